// The files of the page, as bytes of the program; embed.cmake makes them from those beside this
// one.
#pragma once

#include <vector>

namespace millrace {

struct PageFile {
  const char* path;  // under which the admin port serves it: "/page.css"
  const char* content_type;
  const char* content;
};

const std::vector<PageFile>& page_files();

}  // namespace millrace
