// A part of a block -> the body of its insert, in the form that costs the server least.
//
//   rows ─► NativeEncoder ─► one Native block
//        └► Encoder, the messages as they are: another format, or a table whose columns, or
//           whose defaults, only the server can compute
//
// and compressed, where the target says so.
//
// How a table looks is asked when its first block comes, and again when something does not fit: a
// row that can't be encoded, a field without a column, an insert that the server refuses. The table
// may have been altered since.
#pragma once

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/encode/encode_facts.h"
#include "pipeline/encode/native_encoder.h"
#include "pipeline/encoded_body.h"
#include "pipeline/encoder.h"
#include "pipeline/worker_events.h"

namespace millrace {

// Records of which nothing can be inserted, whatever is tried.
class RowsNotEncoded : public std::exception {
 public:
  struct Record {
    std::size_t index;  // in the block
    EncodeFailure failure;
  };
  explicit RowsNotEncoded(std::vector<Record> records) : records_(std::move(records)) {}
  const std::vector<Record>& records() const noexcept { return records_; }
  const char* what() const noexcept override { return "rows can't be encoded"; }

 private:
  std::vector<Record> records_;
};

// Owned by one thread: a worker, which uses it for one block after another.
class BodyEncoder {
 public:
  using AskFacts = std::function<EncodeFacts(const TableTarget&)>;
  BodyEncoder(AskFacts ask, LogSink log) : ask_(std::move(ask)), log_(std::move(log)) {}

  // Valid until the next call. Throws RowsNotEncoded, and what asking throws.
  const EncodedBody& encode(const InsertBlock& block, const BlockPart& part);
  // What would be sent of a record if the server were to read it. Valid until the next call.
  std::string_view as_json(const InsertBlock& block, std::size_t index);
  // Asks how the table looks now; true when it looks another way than the last body was made for.
  bool plan_again(const TableTarget& target);
  std::size_t buffer_bytes() const;
  // Gives large buffers back. Called when no block waits: an idle worker holds no memory that the
  // byte budget does not know of.
  void trim();

 private:
  struct Table {
    std::optional<EncodeFacts> facts;
    SteadyTime asked{};
    std::unique_ptr<NativeEncoder> encoder;  // null: the messages are passed on as they are
    // What an insert of messages that are passed on must name: all columns of a table some of which
    // are EPHEMERAL, as only that lets their fields in. Of other tables nothing.
    std::vector<std::string_view> named;
  };
  Table& table_of(const TableTarget& target);
  bool ask(Table& table, const TableTarget& target);
  void pass_on(Table& table, const TableTarget& target, const CannotEncode& why);
  bool encode_native(const InsertBlock& block, const BlockPart& part);
  void compress(const BodyCompression& how);
  std::vector<RowsNotEncoded::Record> fill(NativeEncoder& encoder, const InsertBlock& block,
                                           const BlockPart& part);

  const AskFacts ask_;
  const LogSink log_;
  Encoder encoder_;
  std::map<const TableTarget*, Table> tables_;
  NativeEncoder* used_ = nullptr;  // the one that holds buffers
  EncodedBody body_;
  std::string columns_;  // of one record
  BodyCompression compressor_of_;
  std::unique_ptr<Compressor> compressor_;  // of compressor_of_; null: none was needed so far
  std::string compressed_;
};

}  // namespace millrace
