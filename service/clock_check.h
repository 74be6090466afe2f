// Whether the clocks of this host and of ClickHouse agree. How old a planned block is, and whether
// its table may have forgotten it, is told by both.
#pragma once

#include <chrono>
#include <string>

namespace millrace {

// `server`: ClickHouse's time in an answer to a question that was asked at `asked` and answered at
// `answered`. Empty when they agree within 5 s; else by how much not, and what to do. Pure.
std::string clock_warning(std::chrono::system_clock::time_point server,
                          std::chrono::system_clock::time_point asked,
                          std::chrono::system_clock::time_point answered);

}  // namespace millrace
