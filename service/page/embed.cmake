# cmake -D FILES=LIST -D OUTPUT=FILE -P embed.cmake: writes page_files.cc. index.html is served as "/",
# each other file under its name.
set(types_html "text/html; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")

set(source "// Made by service/page/embed.cmake.\n#include \"service/page/page_files.h\"\n\n")
string(APPEND source "namespace millrace {\n\nconst std::vector<PageFile>& page_files() {\n")
string(APPEND source "  static const std::vector<PageFile> files{\n")
foreach(file IN LISTS FILES)
  file(READ "${file}" content)
  cmake_path(GET file FILENAME name)
  cmake_path(GET file EXTENSION LAST_ONLY extension)
  string(SUBSTRING "${extension}" 1 -1 extension)
  string(REGEX REPLACE "^index.html$" "" name "${name}")
  string(APPEND source "{\"/${name}\", \"${types_${extension}}\", R\"embedded(${content})embedded\"},\n")
endforeach()
string(APPEND source "};\n  return files;\n}\n\n}  // namespace millrace\n")
file(WRITE "${OUTPUT}" "${source}")
