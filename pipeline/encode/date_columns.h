// Writers of Date, Date32, DateTime, DateTime64, Time, Time64.
#pragma once

#include <memory>

#include "pipeline/encode/column_writer.h"
#include "pipeline/encode/date_time_text.h"
#include "pipeline/encode/time_zone.h"

namespace millrace {

ColumnWriterPtr make_date_writer();
// What is no date is the type's first day; in CSV (`commas`) 1970-01-01.
ColumnWriterPtr make_date32_writer(bool commas);
ColumnWriterPtr make_date_time_writer(std::shared_ptr<const TimeZone> zone, TimeForm form);
// REQUIRES: scale <= 9.
ColumnWriterPtr make_date_time64_writer(unsigned scale, std::shared_ptr<const TimeZone> zone,
                                        TimeForm form);

ColumnWriterPtr make_time_writer();
// REQUIRES: scale <= 9.
ColumnWriterPtr make_time64_writer(unsigned scale);

}  // namespace millrace
