// Writers of types whose text is a notation of its own: UUID, IPv4, IPv6, Enum, Decimal.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pipeline/encode/column_writer.h"

namespace millrace {

ColumnWriterPtr make_uuid_writer();
ColumnWriterPtr make_ipv4_writer();
ColumnWriterPtr make_ipv6_writer();
// `bytes`: 1 or 2.
ColumnWriterPtr make_enum_writer(unsigned bytes, std::vector<std::pair<std::string, int>> values);
// REQUIRES: 1 <= precision <= 76, scale <= precision.
ColumnWriterPtr make_decimal_writer(unsigned precision, unsigned scale);

}  // namespace millrace
