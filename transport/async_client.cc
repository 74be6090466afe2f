#include "transport/async_client.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "transport/mutex.h"

namespace millrace {
namespace {

// The threads of an AsyncClient without an executor of the caller's. Thread-safe.
class ThreadPool final : public Executor {
 public:
  ThreadPool(unsigned threads, std::size_t max_queued) : max_queued_(max_queued) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~ThreadPool() override {
    {
      MutexLock lock(mutex_);
      ending_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  // Waits while the queue is full; but not on one of its own threads, which would wait for itself.
  void post(std::function<void()> task) override {
    MutexLock lock(mutex_);
    while (tasks_.size() >= max_queued_ && !is_own_thread()) changed_.wait(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }

  bool is_own_thread() const {
    return std::any_of(threads_.begin(), threads_.end(), [](const std::thread& thread) {
      return thread.get_id() == std::this_thread::get_id();
    });
  }

 private:
  void run() {
    for (;;) {
      std::function<void()> task;
      {
        MutexLock lock(mutex_);
        while (tasks_.empty() && !ending_) changed_.wait(mutex_);
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
        changed_.notify_all();
      }
      task();
    }
  }

  const std::size_t max_queued_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  bool ending_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

unsigned thread_count(unsigned wanted) {
  return wanted != 0 ? wanted : std::min(32u, std::thread::hardware_concurrency() + 4);
}

ClientOptions without_session(ClientOptions options) {
  if (!options.autogenerate_session_id) options.autogenerate_session_id = false;
  return options;
}

}  // namespace

struct AsyncClient::State {
  State(Client* shared, std::unique_ptr<Client> own_client, const AsyncOptions& async)
      : own(std::move(own_client)), client(shared != nullptr ? *shared : *own) {
    executor = async.executor;
    if (!executor) {
      threads = std::make_shared<ThreadPool>(thread_count(async.threads),
                                             std::max<std::size_t>(async.max_queued, 1));
      executor = threads;
    }
  }

  void begin() {
    MutexLock lock(mutex);
    if (closing) throw UsageError("the AsyncClient was closed");
    ++pending;
  }
  void end() {
    MutexLock lock(mutex);
    --pending;
    done.notify_all();
  }
  void drain() {
    MutexLock lock(mutex);
    closing = true;
    while (pending > 0) done.wait(mutex);
  }

  const std::unique_ptr<Client> own;
  Client& client;
  Mutex mutex;
  CondVar done;
  std::size_t pending GUARDED_BY(mutex) = 0;
  bool closing GUARDED_BY(mutex) = false;
  std::shared_ptr<Executor> executor;
  std::shared_ptr<ThreadPool> threads;  // the executor, if it is ours; last: it uses the rest
};

namespace {

// Whose callback this thread is running, if any.
thread_local const void* running_for = nullptr;

// Tasks do not own the state, or the last one could have to join its own thread: whoever destroys
// it waits for them before.
template <class T, class State, class Function>
void run(const std::shared_ptr<State>& shared, const std::stop_token& stop, Function call,
         OnDone<T> done) {
  State* const state = shared.get();
  state->begin();
  // noexcept: an executor that went on after a throwing callback would leave drain() waiting.
  auto task = [state, stop, call = std::move(call), done = std::move(done)]() mutable noexcept {
    const void* const outer = std::exchange(running_for, state);
    const auto outcome = [&]() -> Outcome<T> {
      try {
        if (stop.stop_requested()) throw AbortedError("stopped before its turn came", false);
        return Outcome<T>(call(state->client));
      } catch (...) {
        return Outcome<T>(std::current_exception());
      }
    };
    done(outcome());
    running_for = outer;
    state->end();
  };
  try {
    state->executor->post(std::move(task));
  } catch (...) {
    state->end();
    throw;
  }
}

template <class T>
std::pair<std::future<T>, OnDone<T>> promised() {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> future = promise->get_future();
  return {std::move(future), [promise](Outcome<T> outcome) {
            if (outcome) {
              promise->set_value(std::move(outcome.value()));
            } else {
              promise->set_exception(outcome.error());
            }
          }};
}

}  // namespace

AsyncClient::AsyncClient(ClientOptions options, const AsyncOptions& async)
    : state_(std::make_shared<State>(
          nullptr, std::make_unique<Client>(without_session(std::move(options))), async)) {}

AsyncClient::AsyncClient(Client& client, const AsyncOptions& async)
    : state_(std::make_shared<State>(&client, nullptr, async)) {}

AsyncClient::~AsyncClient() {
  if (running_for != state_.get()) {
    state_->drain();
    return;
  }
  // In a callback of our own: it can't wait for itself, so somebody else does.
  std::thread([state = std::move(state_)]() mutable {
    state->drain();
    state.reset();
  }).detach();
}

void AsyncClient::close() {
  if (running_for == state_.get()) {
    throw UsageError("AsyncClient::close() in a callback would wait for itself");
  }
  state_->drain();
}

Client& AsyncClient::sync() noexcept { return state_->client; }

void AsyncClient::raw_query(std::string_view sql, QueryOptions options, OnDone<std::string> done) {
  const std::stop_token stop = options.stop;
  run<std::string>(
      state_, stop,
      [sql = std::string(sql), options = std::move(options)](Client& client) {
        return client.raw_query(sql, options);
      },
      std::move(done));
}

std::future<std::string> AsyncClient::raw_query(std::string_view sql, QueryOptions options) {
  auto [future, done] = promised<std::string>();
  raw_query(sql, std::move(options), std::move(done));
  return std::move(future);
}

void AsyncClient::raw_stream(std::string_view sql, QueryOptions options, OnDone<RawStream> done) {
  const std::stop_token stop = options.stop;
  run<RawStream>(
      state_, stop,
      [sql = std::string(sql), options = std::move(options)](Client& client) {
        return client.raw_stream(sql, options);
      },
      std::move(done));
}

std::future<RawStream> AsyncClient::raw_stream(std::string_view sql, QueryOptions options) {
  auto [future, done] = promised<RawStream>();
  raw_stream(sql, std::move(options), std::move(done));
  return std::move(future);
}

void AsyncClient::raw_insert(std::string_view table, InsertBody body, InsertOptions options,
                             OnDone<QuerySummary> done) {
  const std::stop_token stop = options.stop;
  run<QuerySummary>(
      state_, stop,
      [table = std::string(table), body = std::move(body), options = std::move(options)](
          Client& client) { return client.raw_insert(table, body, options); },
      std::move(done));
}

std::future<QuerySummary> AsyncClient::raw_insert(std::string_view table, InsertBody body,
                                                  InsertOptions options) {
  auto [future, done] = promised<QuerySummary>();
  raw_insert(table, std::move(body), std::move(options), std::move(done));
  return std::move(future);
}

void AsyncClient::insert_file(std::string_view table, std::filesystem::path file,
                              InsertOptions options, OnDone<QuerySummary> done) {
  const std::stop_token stop = options.stop;
  run<QuerySummary>(
      state_, stop,
      [table = std::string(table), file = std::move(file), options = std::move(options)](
          Client& client) { return client.insert_file(table, file, options); },
      std::move(done));
}

std::future<QuerySummary> AsyncClient::insert_file(std::string_view table,
                                                   std::filesystem::path file,
                                                   InsertOptions options) {
  auto [future, done] = promised<QuerySummary>();
  insert_file(table, std::move(file), std::move(options), std::move(done));
  return std::move(future);
}

void AsyncClient::command(std::string_view sql, QueryOptions options, OnDone<std::string> done) {
  const std::stop_token stop = options.stop;
  run<std::string>(
      state_, stop,
      [sql = std::string(sql), options = std::move(options)](Client& client) {
        return client.command(sql, options);
      },
      std::move(done));
}

std::future<std::string> AsyncClient::command(std::string_view sql, QueryOptions options) {
  auto [future, done] = promised<std::string>();
  command(sql, std::move(options), std::move(done));
  return std::move(future);
}

void AsyncClient::describe_table(std::string_view table,
                                 OnDone<std::vector<ColumnDescription>> done) {
  run<std::vector<ColumnDescription>>(
      state_, {},
      [table = std::string(table)](Client& client) { return client.describe_table(table); },
      std::move(done));
}

std::future<std::vector<ColumnDescription>> AsyncClient::describe_table(std::string_view table) {
  auto [future, done] = promised<std::vector<ColumnDescription>>();
  describe_table(table, std::move(done));
  return std::move(future);
}

std::future<bool> AsyncClient::ping() {
  auto [future, done] = promised<bool>();
  run<bool>(
      state_, {}, [](Client& client) { return client.is_alive(); }, std::move(done));
  return std::move(future);
}

std::future<std::string> AsyncClient::server_version() {
  auto [future, done] = promised<std::string>();
  run<std::string>(
      state_, {}, [](Client& client) { return client.server_version(); }, std::move(done));
  return std::move(future);
}

std::future<bool> AsyncClient::min_version(std::string_view version) {
  auto [future, done] = promised<bool>();
  run<bool>(
      state_, {},
      [version = std::string(version)](Client& client) { return client.min_version(version); },
      std::move(done));
  return std::move(future);
}

Session AsyncClient::new_session(std::string id, std::optional<std::chrono::seconds> timeout) {
  return sync().new_session(std::move(id), timeout);
}
std::string AsyncClient::session_id() const { return state_->client.session_id(); }
void AsyncClient::set_client_setting(std::string name, SettingText value) {
  sync().set_client_setting(std::move(name), std::move(value));
}
std::optional<std::string> AsyncClient::get_client_setting(std::string_view name) const {
  return state_->client.get_client_setting(name);
}
void AsyncClient::set_access_token(std::string token) { sync().set_access_token(std::move(token)); }
void AsyncClient::close_connections() { sync().close_connections(); }
const ClientOptions& AsyncClient::options() const noexcept { return state_->client.options(); }
const std::shared_ptr<HttpSessionPool>& AsyncClient::pool() const noexcept {
  return state_->client.pool();
}

}  // namespace millrace
