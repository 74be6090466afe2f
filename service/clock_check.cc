#include "service/clock_check.h"

namespace millrace {
namespace {

using std::chrono::seconds;

constexpr seconds kTolerance{5};

std::string warning(seconds difference, const char* direction) {
  return "the clock of ClickHouse is " + std::to_string(difference.count()) + " s " + direction +
         " that of this host: times in rows, in dead letters and in the logs differ (nothing "
         "else hangs on it); let NTP set both";
}

}  // namespace

std::string clock_warning(std::chrono::system_clock::time_point server,
                          std::chrono::system_clock::time_point asked,
                          std::chrono::system_clock::time_point answered) {
  if (server > answered + kTolerance)
    return warning(std::chrono::duration_cast<seconds>(server - answered), "ahead of");
  if (server < asked - kTolerance)
    return warning(std::chrono::duration_cast<seconds>(asked - server), "behind");
  return "";
}

}  // namespace millrace
