// The client's calls on a bounded set of threads, with a future or a callback for each result.
//
// ```cpp
// AsyncClient client({.host = "127.0.0.1"});
// std::future<std::string> one = client.raw_query("SELECT 1");
// client.raw_insert("t1", std::string("1\n"), {.format = "TSV"}, [](Outcome<QuerySummary> done) {
//   if (!done) std::cerr << "the insert failed";
// });
// std::cout << one.get();
// ```
//
// Without a ClickHouse session unless the options ask for one: running side by side is the point.
// Arguments are copied or moved in, so bodies that borrow their bytes must outlive the call.
// A callback runs on one of the threads and must not wait for another call, nor throw: as out of
// any thread, that ends the process. stop tokens in the options end a call that waits in the queue,
// too.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "transport/client.h"

namespace millrace {

// A value, or why there is none.
template <class T>
class Outcome {
 public:
  explicit Outcome(T value) : result_(std::move(value)) {}
  explicit Outcome(std::exception_ptr error) : result_(std::move(error)) {}
  explicit operator bool() const noexcept { return result_.index() == 0; }
  T& value() {  // throws the error
    if (auto* error = std::get_if<std::exception_ptr>(&result_)) std::rethrow_exception(*error);
    return std::get<0>(result_);
  }
  std::exception_ptr error() const noexcept {
    const auto* error = std::get_if<std::exception_ptr>(&result_);
    return error != nullptr ? *error : nullptr;
  }

 private:
  std::variant<T, std::exception_ptr> result_;
};
template <class T>
using OnDone = std::function<void(Outcome<T>)>;

// Where calls run. Thread-safe. Yours must not run a task inside post().
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::function<void()> task) = 0;
};

struct AsyncOptions {
  unsigned threads = 0;                  // 0: processors + 4, at most 32
  std::size_t max_queued = 1024;         // calls that wait for a thread; who comes then waits, too
  std::shared_ptr<Executor> executor{};  // instead of threads of its own
};

// Thread-safe.
class AsyncClient {
 public:
  explicit AsyncClient(ClientOptions options = {}, const AsyncOptions& async = {});
  // On a client that is there already; it must outlive this one.
  explicit AsyncClient(Client& client, const AsyncOptions& async = {});
  // Waits for all calls that were begun and those in the queue; in a callback, where it would wait
  // for itself, a thread of its own does.
  ~AsyncClient();
  AsyncClient(const AsyncClient&) = delete;

  // As Client's. Texts are copied.
  std::future<std::string> raw_query(std::string_view sql, QueryOptions options = {});
  void raw_query(std::string_view sql, QueryOptions options, OnDone<std::string> done);
  std::future<RawStream> raw_stream(std::string_view sql, QueryOptions options = {});
  void raw_stream(std::string_view sql, QueryOptions options, OnDone<RawStream> done);
  std::future<QuerySummary> raw_insert(std::string_view table, InsertBody body,
                                       InsertOptions options = {});
  void raw_insert(std::string_view table, InsertBody body, InsertOptions options,
                  OnDone<QuerySummary> done);
  std::future<QuerySummary> insert_file(std::string_view table, std::filesystem::path file,
                                        InsertOptions options = {});
  void insert_file(std::string_view table, std::filesystem::path file, InsertOptions options,
                   OnDone<QuerySummary> done);
  std::future<std::string> command(std::string_view sql, QueryOptions options = {});
  void command(std::string_view sql, QueryOptions options, OnDone<std::string> done);
  std::future<std::vector<ColumnDescription>> describe_table(std::string_view table);
  void describe_table(std::string_view table, OnDone<std::vector<ColumnDescription>> done);
  std::future<bool> ping();  // whether the server answers, within 3 s
  std::future<bool> is_alive() { return ping(); }
  std::future<std::string> server_version();
  std::future<bool> min_version(std::string_view version);

  // These ask nobody, and return at once. A session's own calls are synchronous; to use one from
  // here give its ID in the options.
  Session new_session(std::string id = {}, std::optional<std::chrono::seconds> timeout = {});
  std::string session_id() const;
  void set_client_setting(std::string name, SettingText value);
  std::optional<std::string> get_client_setting(std::string_view name) const;
  void set_access_token(std::string token);
  void close_connections();
  const ClientOptions& options() const noexcept;
  const std::shared_ptr<HttpSessionPool>& pool() const noexcept;

  // No more calls are taken (UsageError); waits until the begun ones are done. Throws UsageError
  // when called from a callback, which would wait for itself.
  void close();
  Client& sync() noexcept;  // the client behind it

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace millrace
