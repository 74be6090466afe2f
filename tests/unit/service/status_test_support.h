// A snapshot in which every part has something to show, and readers for what is rendered from it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "service/status.h"

namespace millrace {

StatusSnapshot filled_snapshot();

// JSON as a flat map: "pipelines.0.name" -> the text of the value, strings unescaped (\u00XX only)
// and with a leading quote mark. Containers appear with "{}" and "[]". Throws std::runtime_error
// for anything that is not exactly one JSON value in valid UTF-8, or has a key twice.
std::map<std::string, std::string> parse_json(std::string_view text);

}  // namespace millrace
