#include "transport/answer_proof.h"

#include <algorithm>
#include <array>

#include "transport/http_exchange.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

constexpr std::size_t kShownBytes = 120;

bool is_page(const HttpResponseHead& head) {
  return head.header("Content-Type").starts_with("text/html");
}

// On one line of printable characters: it comes from nobody we know.
std::string shown(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string line;
  for (const char c : wire::valid_utf8(text, kShownBytes)) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= ' ' && u != 0x7f) {
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (c != '\r') {
      line += {'\\', 'x', kHex[u >> 4], kHex[u & 0x0f]};
    }
  }
  return line;
}

// Formats that end each row with at least one line end.
bool ends_rows_with_lines(std::string_view format) {
  constexpr std::array<std::string_view, 7> kBegin = {"TSV",
                                                      "TabSeparated",
                                                      "CSV",
                                                      "TSKV",
                                                      "JSONEachRow",
                                                      "JSONCompactEachRow",
                                                      "JSONStringsEachRow"};
  return std::any_of(kBegin.begin(), kBegin.end(),
                     [&](std::string_view begin) { return format.starts_with(begin); });
}

// Formats in which a result with rows may have no bytes.
bool may_be_empty(std::string_view format) {
  constexpr std::array<std::string_view, 4> kFormats = {"Null", "RawBLOB", "Template",
                                                        "CustomSeparated"};
  return std::find(kFormats.begin(), kFormats.end(), format) != kFormats.end();
}

}  // namespace

bool is_proven(const HttpResponseHead& head, std::string_view query_id, const ProofRules& rules) {
  if (rules.trust_status) return !is_page(head);
  if (!rules.header.empty()) return head.header(rules.header).find(query_id) != std::string::npos;
  const std::string_view id = head.header("X-ClickHouse-Query-Id");
  if (!id.empty() && (query_id.empty() || id == query_id)) return true;
  // A proxy may give queries IDs of its own (chproxy). ClickHouse's pages, "Ok." among them, have a
  // summary as well: no query was run for them.
  return !head.header("X-ClickHouse-Summary").empty() && !is_page(head);
}

std::string not_clickhouse_text(std::string_view endpoint, const HttpResponseHead& head,
                                std::string_view body, const ProofRules& rules) {
  std::string text = "what answers at " + std::string(endpoint) +
                     " is not ClickHouse: " + std::to_string(head.status);
  if (const auto type = head.header("Content-Type"); !type.empty()) text += " " + shown(type);
  if (const auto server = head.header("Server"); !server.empty())
    text += " (" + shown(server) + ")";
  text += body.empty() ? ", an empty body" : ", \"" + shown(body) + "\"";
  if (rules.trust_status) return text;
  if (!rules.header.empty()) return text + ", without our " + std::string(rules.header);
  return text + ", without our X-ClickHouse-Query-Id";
}

ResultCheck::ResultCheck(const HttpResponseHead& head, bool is_query) {
  const std::string_view format = head.header("X-ClickHouse-Format");
  if ((!is_query && format.empty()) || may_be_empty(format)) return;
  rows_ = wire::summary_value(head.header("X-ClickHouse-Summary"), "result_rows");
  lines_of_rows_ = ends_rows_with_lines(format);
}

void ResultCheck::received(std::string_view piece) {
  bytes_ += piece.size();
  if (rows_ == 0 || !lines_of_rows_) return;
  lines_ += static_cast<std::uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
}

std::string ResultCheck::missing() const {
  if (rows_ == 0 || (bytes_ > 0 && (!lines_of_rows_ || lines_ >= rows_))) return {};
  return "response cut short: " + (bytes_ == 0 ? "no byte" : std::to_string(lines_) + " lines") +
         " of the " + std::to_string(rows_) +
         " rows that its summary counts (is the server's disk full?)";
}

}  // namespace millrace
