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

#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <variant>

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

  std::future<std::string> raw_query(std::string sql, QueryOptions options = {});
  void raw_query(std::string sql, QueryOptions options, OnDone<std::string> done);
  std::future<RawStream> raw_stream(std::string sql, QueryOptions options = {});
  void raw_stream(std::string sql, QueryOptions options, OnDone<RawStream> done);
  std::future<QuerySummary> raw_insert(std::string table, InsertBody body,
                                       InsertOptions options = {});
  void raw_insert(std::string table, InsertBody body, InsertOptions options,
                  OnDone<QuerySummary> done);
  std::future<std::string> command(std::string sql, QueryOptions options = {});
  void command(std::string sql, QueryOptions options, OnDone<std::string> done);
  std::future<bool> ping();

  // No more calls are taken (UsageError); waits until the begun ones are done. Throws UsageError
  // when called from a callback, which would wait for itself.
  void close();
  Client& sync() noexcept;  // the client behind it

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace millrace
