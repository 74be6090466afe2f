#include "tests/support/browser.h"

#include <sstream>

#include "tests/support/child_process.h"

namespace millrace::test {

BrowserPage open_page(const std::filesystem::path& folder, const std::string& url, int seconds) {
  const ProgramResult result = run_program(
      {"/usr/bin/chromium", "--headless", "--no-sandbox", "--disable-gpu",
       "--disable-dev-shm-usage", "--enable-logging=stderr", "--user-data-dir=" + folder.string(),
       "--virtual-time-budget=" + std::to_string(seconds * 1000), "--dump-dom", url});
  BrowserPage page;
  if (result.exit_code != 0) page.warnings = result.output;
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) {
    // Chromium's own log has lines like [42:42:0101/120000.0:INFO:CONSOLE(3)] "text".
    const bool of_log = line.starts_with("[");
    if (!of_log) page.dom += line + "\n";
    if (of_log && line.find(":CONSOLE") != std::string::npos) page.warnings += line + "\n";
  }
  return page;
}

}  // namespace millrace::test
