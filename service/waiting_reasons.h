// Why a pipeline that is ready stands still in part: for people who ask /readyz. Pure.
#pragma once

#include <string>
#include <vector>

#include "pipeline/lane.h"

namespace millrace {

// A line for each table and reason with lanes that wait for somebody to act: an example, how many
// more, and what to do. Not those that will pass by themselves.
std::vector<std::string> waiting_reasons(const std::string& pipeline,
                                         const std::vector<LaneStatus>& lanes);

}  // namespace millrace
