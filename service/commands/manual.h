// The command line as a man page and as completions for shells, made from its declaration in
// main.cc. What they print is in deploy/; a test compares.
#pragma once

#include <iosfwd>

namespace CLI {
class App;
}

namespace millrace {

void print_man_page(const CLI::App& app, std::ostream& out);
void print_bash_completion(const CLI::App& app, std::ostream& out);
void print_zsh_completion(const CLI::App& app, std::ostream& out);

}  // namespace millrace
