// Whether the clocks of this host and of ClickHouse agree: for people who compare times. No
// decision about rows hangs on it (pipeline/server_clock.h).
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
