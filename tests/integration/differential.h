// The same rows twice into a real ClickHouse: as text for the server to read, and as Native by our
// encoder. What one refuses the other must refuse, with the same code; what one takes must be the
// same in both tables.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/encode/native_encoder.h"
#include "pipeline/encode/native_plan.h"
#include "transport/client.h"

namespace millrace::test {

// Two tables of the same columns; `n` UInt32, the first of them, numbers the messages. Owned by one
// thread.
class Differential {
 public:
  // `columns` as in CREATE TABLE, without `n`.
  Differential(Client& client, const std::string& columns, Settings settings = {},
               std::string format = "JSONEachRow");

  // Feeds messages, each by itself. A message that holds rows without `n` is fine where only its
  // refusal or its rows' values matter. Returns what differs, for people; empty: nothing.
  std::vector<std::string> feed_each(const std::vector<std::string>& messages);
  // One message, where the server may refuse what our encoder leaves to it.
  std::vector<std::string> feed_through(const std::string& message);
  // One message, with columns put in front of the fields of each row by both sides.
  std::vector<std::string> feed_spliced(const std::string& message, const std::string& columns);
  // The same, faster: what our encoder takes goes to the server as one insert.
  std::vector<std::string> feed_together(const std::vector<std::string>& messages);

  std::size_t refused() const noexcept { return refused_; }
  const NativePlan* plan() const noexcept { return plan_.get(); }
  const std::optional<CannotEncode>& cannot() const noexcept { return cannot_; }

 private:
  // The code of the refusal; nothing if it was taken.
  std::optional<int> insert_text(std::string_view body, std::string* why = nullptr);
  std::optional<EncodeFailure> encode(const std::string& message, std::string_view columns = {});
  void feed(const std::string& message, const std::string& sent, std::string_view columns,
            std::vector<std::string>& differences);
  static void compare_codes(const std::string& message, const std::optional<EncodeFailure>& ours,
                            const std::optional<int>& theirs, const std::string& why,
                            std::vector<std::string>& differences);
  void insert_native(std::vector<std::string>& differences);
  void compare(const std::vector<std::string>& messages, std::vector<std::string>& differences);
  void begin();

  Client& client_;
  const std::string format_;
  const Settings settings_;
  std::shared_ptr<const NativePlan> plan_;
  std::optional<CannotEncode> cannot_;
  std::unique_ptr<NativeEncoder> encoder_;
  std::size_t refused_ = 0;
};

}  // namespace millrace::test
