#include "service/waiting_reasons.h"

#include <map>
#include <utility>

#include "pipeline/advice.h"
#include "service/terminal.h"

namespace millrace {

std::vector<std::string> waiting_reasons(const std::string& pipeline,
                                         const std::vector<LaneStatus>& lanes) {
  struct Waiting {
    const LaneStatus* example = nullptr;
    std::size_t lanes = 0;
  };
  std::map<std::pair<std::string, std::string>, Waiting> found;
  for (const LaneStatus& lane : lanes) {
    if (!lane.waiting || lane.wait.disposition == Disposition::kRetry) continue;
    Waiting& waiting = found[{lane.table, lane.wait.reason}];
    if (waiting.lanes++ == 0) waiting.example = &lane;
  }
  std::vector<std::string> reasons;
  for (const auto& [key, waiting] : found) {
    const LaneStatus& lane = *waiting.example;
    std::string text = "pipeline " + pipeline + ": lane " + lane.id.to_string();
    if (waiting.lanes > 1) text += " and " + std::to_string(waiting.lanes - 1) + " more";
    text += waiting.lanes > 1 ? " wait" : " waits";
    text += " for somebody to act, " + lane.wait.reason + ": " + advice_for(lane.wait, lane.table);
    reasons.push_back(escape_for_line(text));
  }
  return reasons;
}

}  // namespace millrace
