// A snapshot in the text format of Prometheus. Each metric is declared once, in metrics.cc; the
// declarations are also the reference (METRICS.md, which a test compares).
#pragma once

#include <iosfwd>
#include <string>

#include "service/status.h"

namespace millrace {

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

std::string render_metrics(const StatusSnapshot& snapshot);
// The reference of all metrics as Markdown.
void print_metrics_reference(std::ostream& out);

}  // namespace millrace
