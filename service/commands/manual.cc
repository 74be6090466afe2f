#include "service/commands/manual.h"

#include <CLI/CLI.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {
namespace {

// A command with the words that lead to it: "dead-letters list". The root has none.
struct Command {
  std::string words;
  const CLI::App* app;
};

bool is_shown(const CLI::App& app) { return !app.get_group().empty(); }

void collect(const CLI::App& app, const std::string& words, std::vector<Command>& into) {
  into.push_back({words, &app});
  for (const CLI::App* sub :
       app.get_subcommands([](const CLI::App* each) { return is_shown(*each); }))
    collect(*sub, words + (words.empty() ? "" : " ") + sub->get_name(), into);
}

std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> all;
  collect(app, "", all);
  return all;
}

std::vector<const CLI::Option*> options_of(const CLI::App& app, bool positional) {
  return app.get_options([=](const CLI::Option* each) {
    return !each->get_group().empty() && each->get_positional() == positional;
  });
}

// "-c", "--config".
std::vector<std::string> flags_of(const CLI::Option& option) {
  std::vector<std::string> flags;
  for (const std::string& name : option.get_snames()) flags.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flags.push_back("--" + name);
  return flags;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// As text of a man page: a backslash and a leading dot or quote would be instructions.
std::string roff(std::string_view text) {
  std::string safe;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) safe += "\\&";
    if (c == '\\')
      safe += "\\e";
    else if (c == '-')
      safe += "\\-";
    else
      safe += c;
    line_start = c == '\n';
  }
  return safe;
}

void print_option(const CLI::Option& option, std::ostream& out) {
  std::string names;
  if (option.get_positional()) {
    names = "\\fI" + roff(option.get_name(true)) + "\\fR";
  } else {
    for (const std::string& flag : flags_of(option))
      names += (names.empty() ? "" : ", ") + ("\\fB" + roff(flag) + "\\fR");
    if (takes_value(option)) names += " \\fI" + roff(option.get_type_name()) + "\\fR";
  }
  out << ".TP\n" << names << "\n" << roff(option.get_description()) << "\n";
}

void print_command(const Command& command, std::ostream& out) {
  out << ".SS " << roff("millrace " + command.words);
  for (const CLI::Option* option : options_of(*command.app, true))
    out << " " << roff(option->get_name(true));
  out << "\n" << roff(command.app->get_description()) << "\n";
  for (const bool positional : {true, false})
    for (const CLI::Option* option : options_of(*command.app, positional))
      print_option(*option, out);
}

// The words that can follow a command: its commands and its flags.
std::vector<std::string> words_after(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* sub :
       app.get_subcommands([](const CLI::App* each) { return is_shown(*each); }))
    words.push_back(sub->get_name());
  for (const CLI::Option* option : options_of(app, false))
    for (std::string& flag : flags_of(*option)) words.push_back(std::move(flag));
  return words;
}

// In single quotes of a shell.
std::string shell_quoted(std::string_view text) {
  std::string safe = "'";
  for (const char c : text) safe += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return safe + "'";
}

// In the brackets of a zsh specification.
std::string zsh_text(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') safe += '\\';
    safe += c;
  }
  return safe;
}

void print_zsh_arguments(const Command& command, std::ostream& out) {
  out << "    " << shell_quoted(command.words) << ")\n      _arguments";
  for (const CLI::Option* option : options_of(*command.app, false))
    for (const std::string& flag : flags_of(*option))
      out << " \\\n        "
          << shell_quoted("*" + flag + "[" + zsh_text(option->get_description()) + "]" +
                          (takes_value(*option) ? ":value:_files" : ""));
  out << " \\\n        '*:argument:_files'\n      ;;\n";
}

}  // namespace

void print_man_page(const CLI::App& app, std::ostream& out) {
  out << ".\\\" Made by `millrace manual man`; a test compares.\n"
         ".TH MILLRACE 1\n.SH NAME\nmillrace \\- "
      << roff(app.get_description()) << "\n.SH SYNOPSIS\n.B millrace\n.I command\n[options]\n"
      << ".SH COMMANDS\n";
  for (const Command& command : commands_of(app))
    if (!command.words.empty()) print_command(command, out);
  out << ".SH OPTIONS\n";
  for (const CLI::Option* option : options_of(app, false)) print_option(*option, out);
  out << ".SH EXIT STATUS AND SIGNALS\n.nf\n" << roff(app.get_footer()) << "\n.fi\n";
}

void print_bash_completion(const CLI::App& app, std::ostream& out) {
  out << "# Completion for bash. Made by `millrace manual bash`; a test compares.\n"
         "_millrace() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} command= words= word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \"${command:+$command }$word\" in\n";
  const std::vector<Command> commands = commands_of(app);
  for (const Command& command : commands)
    if (!command.words.empty())
      out << "      " << shell_quoted(command.words) << ") command=" << shell_quoted(command.words)
          << " ;;\n";
  out << "    esac\n  done\n  case $command in\n";
  for (const Command& command : commands) {
    std::string words;
    for (const std::string& word : words_after(*command.app))
      words += (words.empty() ? "" : " ") + word;
    out << "    " << shell_quoted(command.words) << ") words=" << shell_quoted(words) << " ;;\n";
  }
  out << "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "  [[ -z $command || $current == -* ]] || "
         "mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$current\")\n"
         "}\n"
         "complete -o filenames -F _millrace millrace\n";
}

void print_zsh_completion(const CLI::App& app, std::ostream& out) {
  out << "#compdef millrace\n"
         "# Completion for zsh. Made by `millrace manual zsh`; a test compares.\n"
         "_millrace() {\n"
         "  local -a commands\n";
  for (const Command& command : commands_of(app)) {
    const auto subs =
        command.app->get_subcommands([](const CLI::App* each) { return is_shown(*each); });
    if (subs.empty()) continue;
    const int place = command.words.empty() ? 2 : 3;
    out << "  if (( CURRENT == " << place << " ))";
    if (!command.words.empty())
      out << " && [[ $words[2] == " << shell_quoted(command.words) << " ]]";
    out << "; then\n    commands=(\n";
    for (const CLI::App* sub : subs)
      out << "      " << shell_quoted(sub->get_name() + ":" + zsh_text(sub->get_description()))
          << "\n";
    out << "    )\n    _describe command commands\n    return\n  fi\n";
  }
  out << "  local command=$words[2]\n"
         "  [[ $command == dead-letters ]] && command=\"$command $words[3]\"\n"
         "  case $command in\n";
  for (const Command& command : commands_of(app))
    if (command.app->get_subcommands([](const CLI::App*) { return true; }).empty())
      print_zsh_arguments(command, out);
  out << "  esac\n}\n_millrace \"$@\"\n";
}

}  // namespace millrace
