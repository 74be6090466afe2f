// Times as date_time_input_format=best_effort takes them: parts of a date and a time in many
// orders.
#pragma once

#include "pipeline/encode/date_time_text.h"

namespace millrace {

// Behind the opening quote, or from where the text begins; it stops where the text of a time ends,
// and refuses what is none. `with_fraction`: for DateTime64.
Moment read_best_effort_time(JsonCursor& in, bool with_fraction, const TimeZone& zone);

}  // namespace millrace
