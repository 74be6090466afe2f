// A real browser (Chromium, headless) that opens a page, lets its scripts run, and tells what is
// there.
#pragma once

#include <filesystem>
#include <string>

namespace millrace::test {

struct BrowserPage {
  std::string dom;  // as HTML, with what scripts have made of it
  std::string
      warnings;  // what a person would find in the console, errors of scripts say; and no answer
};
// `folder` is for what it keeps. The page's clock runs ahead to `seconds` after its start.
BrowserPage open_page(const std::filesystem::path& folder, const std::string& url,
                      int seconds = 10);

}  // namespace millrace::test
