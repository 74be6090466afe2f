// A reader and a writer side by side, with a bounded buffer between them.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace millrace {

// Calls `next` on a thread of its own until it returns nothing, and `consume` on the caller's with
// the same bytes in the same order, in other pieces; at most `max_bytes` (not 0) are between the
// two. What either of them throws is thrown when the other has ended; `wake_reader` must make a
// `next` that waits return or throw soon.
void read_ahead(std::size_t max_bytes, const std::function<std::string_view()>& next,
                const std::function<void(std::string_view)>& consume,
                const std::function<void()>& wake_reader);

}  // namespace millrace
