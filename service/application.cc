#include "service/application.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "pipeline/pipeline.h"
#include "pipeline/worker_pool.h"
#include "service/admin_server.h"
#include "service/clickhouse_monitor.h"
#include "service/config_reload.h"
#include "service/dead_letters/archive.h"
#include "service/dead_letters/preparation.h"
#include "service/descriptor_check.h"
#include "service/exit_watch.h"
#include "service/metrics.h"
#include "service/sources/kafka_reader.h"
#include "service/status.h"
#include "service/supervisor.h"
#include "service/target_catalog.h"
#include "service/version.h"
#include "service/waiting_reasons.h"

namespace millrace {
namespace {

// After the grace period, or a request to stop at once: what ends by itself has ended long before,
// and Kubernetes, as the chart sets it up, waits a second more.
constexpr std::chrono::seconds kAfterGrace{9};

// What a request to end asks for; only ever grows.
enum class Ending { kNone, kDrain, kAbort };

// Whoever stops the process, and the thread that waits for it. Thread-safe.
class EndSignal {
 public:
  void request(Ending ending) {
    {
      MutexLock lock(mutex_);
      ending_ = std::max(ending_, ending);
    }
    changed_.notify_all();
  }
  void wait() {
    MutexLock lock(mutex_);
    while (ending_ == Ending::kNone) changed_.wait(mutex_);
  }
  Ending ending() const {
    MutexLock lock(mutex_);
    return ending_;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  Ending ending_ GUARDED_BY(mutex_) = Ending::kNone;
};

// One configured pipeline with what the status wants to know of it.
struct ConfiguredPipeline {
  std::string delivery;
  std::shared_ptr<DeadLetterArchive> dead_letters;  // may be null
  std::shared_ptr<TargetCatalog> targets;
  std::vector<const KafkaReader*> readers;  // owned by `pipeline`
  std::unique_ptr<Pipeline> pipeline;
};

ConfiguredPipeline build_pipeline(const PipelineConfig& config, std::size_t prefetch_of_all_bytes,
                                  std::shared_ptr<DeadLetterArchive> dead_letters,
                                  const std::shared_ptr<const ServerClock>& server_clock,
                                  ByteBudget& budget, BlockQueue& queue, const LogSink& log) {
  ConfiguredPipeline built;
  built.delivery = to_string(config.kafka.delivery);
  built.targets = std::make_shared<TargetCatalog>(config, dead_letters);
  built.dead_letters = std::move(dead_letters);
  std::vector<std::unique_ptr<SourceReader>> readers;
  for (auto& reader : make_kafka_readers(
           config,
           [targets = built.targets](const std::string& topic) { return targets->of_topic(topic); },
           budget, prefetch_of_all_bytes, server_clock, log)) {
    built.readers.push_back(reader.get());
    readers.push_back(std::move(reader));
  }
  built.pipeline =
      std::make_unique<Pipeline>(PipelineOptions{config.name, config.batch, config.lanes},
                                 std::move(readers), budget, queue, log);
  return built;
}

// All clients of the process ask for the password with each request.
Config with_live_password(Config config, const LiveValue<std::string>& password) {
  config.clickhouse.client.password_provider = [&password] { return password.get(); };
  return config;
}

}  // namespace

// In the order of the data flow; destroyed the other way round, so that nothing outlives what it
// uses.
struct Application::Parts {
  Parts(Config given, const ConfigFile& file, Logger& to)
      : password(given.clickhouse.client.password),
        admin_token(given.admin.token),
        grace(given.shutdown.grace),
        config(with_live_password(std::move(given), password)),
        logger(to),
        log(to.sink()),
        budget(config.memory.budget_bytes),
        endpoints(config.clickhouse.endpoints),
        http_sessions(config.clickhouse.pool),
        workers(config.workers.count, queue, sender_factory(), config.workers.retry, budget, log),
        monitor(config.clickhouse.client, endpoints, http_sessions, server_clock, log),
        reloader(
            config, file,
            [this](const Config& before, const Config& after) { apply(before, after); }, log) {
    for (const PipelineConfig& pipeline : config.pipelines) {
      pipelines.push_back(
          build_pipeline(pipeline, config.prefetch_bytes(),
                         make_dead_letter_archive(pipeline, config.clickhouse, http_sessions),
                         server_clock, budget, queue, log));
    }
    preparation = std::make_unique<DeadLetterPreparation>(archives(), log);
    status = std::make_unique<StatusGatherer>(status_sources(file.name));
    admin = std::make_unique<AdminServer>(config.admin, admin_handlers());
  }

  BlockSenderFactory sender_factory();
  StatusSources status_sources(const std::string& config_file) const;
  AdminHandlers admin_handlers();
  AdminActions admin_actions();
  void set_paused(const std::string& pipeline, bool paused);
  void set_log_level(const std::string& level);
  void apply(const Config& before, const Config& after);
  std::vector<std::string> not_ready_reasons() const;
  std::vector<std::string> waiting() const;
  std::vector<std::string> faults() const;
  std::vector<std::shared_ptr<DeadLetterArchive>> archives() const;
  ExitCode exit_code(bool complete) const;
  [[noreturn]] void give_up();

  ReloadResult reload();

  void start();
  ExitCode drain();
  void abort();
  void abort_peers();

  std::atomic<const char*> still_runs{"the source readers"};  // of the end
  ExitWatch exit_watch{[this] { give_up(); }};
  // What changes without a restart and is nobody else's.
  LiveValue<std::string> password, admin_token;
  LiveValue<std::chrono::milliseconds> grace;
  const Config config;  // as at the start
  Logger& logger;
  const LogSink log;
  EndSignal end;
  ByteBudget budget;
  BlockQueue queue;
  EndpointList endpoints;
  HttpSessionPool http_sessions;
  WorkerPool workers;
  const std::shared_ptr<ServerClock> server_clock = std::make_shared<ServerClock>();
  ClickHouseMonitor monitor;
  std::vector<ConfiguredPipeline> pipelines;
  std::unique_ptr<DeadLetterPreparation> preparation;
  ConfigReloader reloader;
  std::unique_ptr<StatusGatherer> status;
  std::unique_ptr<AdminServer> admin;
  Supervisor supervisor = Supervisor::from_environment();
};

BlockSenderFactory Application::Parts::sender_factory() {
  return [this](unsigned) {
    return make_clickhouse_sender(config.clickhouse.client, config.clickhouse.insert_settings,
                                  endpoints, http_sessions);
  };
}

std::vector<std::string> Application::Parts::not_ready_reasons() const {
  std::vector<std::string> reasons;
  if (std::string reason = monitor.not_ready_reason(); !reason.empty()) reasons.push_back(reason);
  for (const auto& each : pipelines) {
    for (std::string& reason : each.pipeline->not_ready_reasons()) {
      reasons.push_back("pipeline " + each.pipeline->name() + ": " + std::move(reason));
    }
  }
  if (!config.admin.ready_while_waiting) {
    for (std::string& reason : waiting()) reasons.push_back(std::move(reason));
  }
  if (end.ending() != Ending::kNone) reasons.push_back("draining");
  return reasons;
}

std::vector<std::string> Application::Parts::waiting() const {
  std::vector<std::string> all;
  for (const auto& each : pipelines) {
    for (std::string& reason : waiting_reasons(each.pipeline->name(), each.pipeline->lanes()))
      all.push_back(std::move(reason));
  }
  return all;
}

std::vector<std::string> Application::Parts::faults() const {
  std::vector<std::string> faults;
  for (const auto& each : pipelines) {
    for (std::string& fault : each.pipeline->faults()) {
      faults.push_back("pipeline " + each.pipeline->name() + ": " + std::move(fault));
    }
  }
  return faults;
}

std::vector<std::shared_ptr<DeadLetterArchive>> Application::Parts::archives() const {
  std::vector<std::shared_ptr<DeadLetterArchive>> archives;
  for (const auto& each : pipelines)
    if (each.dead_letters) archives.push_back(each.dead_letters);
  return archives;
}

StatusSources Application::Parts::status_sources(const std::string& config_file) const {
  StatusSources sources;
  sources.version = kVersion;
  sources.build = kBuild;
  sources.config_file = config_file;
  sources.budget = &budget;
  sources.queue = &queue;
  sources.workers = &workers;
  sources.http_sessions = &http_sessions;
  sources.queries_in_flight = &monitor.queries_in_flight();
  sources.not_ready_reasons = [this] { return not_ready_reasons(); };
  sources.clickhouse = [this] { return monitor.state(); };
  sources.reload = [this] { return reloader.state(); };
  for (const auto& each : pipelines) {
    PipelineSources pipeline;
    pipeline.name = each.pipeline->name();
    pipeline.delivery = each.delivery;
    pipeline.lanes = [pipe = each.pipeline.get()] { return pipe->lanes(); };
    pipeline.not_ready_reasons = [pipe = each.pipeline.get()] { return pipe->not_ready_reasons(); };
    pipeline.targets = [targets = each.targets] { return targets->all(); };
    pipeline.source = [readers = each.readers] { return source_snapshot(readers); };
    pipeline.paused = [pipe = each.pipeline.get()] { return pipe->flow().paused(); };
    sources.pipelines.push_back(std::move(pipeline));
  }
  return sources;
}

AdminHandlers Application::Parts::admin_handlers() {
  return {.metrics = [this] { return render_metrics(status->gather()); },
          .status = [this] { return to_json(status->gather()); },
          .live_faults = [this] { return faults(); },
          .ready_reasons = [this] { return not_ready_reasons(); },
          .waiting =
              [this] {
                return config.admin.ready_while_waiting ? waiting() : std::vector<std::string>{};
              },
          .actions = admin_actions()};
}

AdminActions Application::Parts::admin_actions() {
  return {.token = [this] { return admin_token.get(); },
          .reload =
              [this] {
                const ReloadResult result = reload();
                return AdminReply{result.faults.empty() ? 200 : 422, to_json(result)};
              },
          .drain = [this] { end.request(Ending::kDrain); },
          .set_log_level = [this](const std::string& level) { set_log_level(level); },
          .pipelines =
              [this] {
                std::vector<std::string> names;
                for (const auto& each : pipelines) names.push_back(each.pipeline->name());
                return names;
              },
          .set_paused = [this](const std::string& name, bool paused) { set_paused(name, paused); }};
}

void Application::Parts::set_paused(const std::string& name, bool paused) {
  for (const auto& each : pipelines) {
    if (each.pipeline->name() != name) continue;
    each.pipeline->flow().set_paused(paused);
    log({LogLevel::kInfo,
         "",
         paused ? "paused: nothing more is read, what was read is sent and committed"
                : "resumed: reading goes on",
         {{"pipeline", name}}});
  }
}

void Application::Parts::set_log_level(const std::string& level) {
  logger.set_level(parse_log_level(level));
  log({LogLevel::kInfo, "", "the log level has changed", {{"level", level}}});
}

// Every setting that is declared live. The checks were made; what could still throw comes first.
void Application::Parts::apply(const Config& before, const Config& after) {
  http_sessions.set_options(after.clickhouse.pool);
  password.set(after.clickhouse.client.password);
  admin_token.set(after.admin.token);
  grace.set(after.shutdown.grace);
  workers.set_retry(after.workers.retry);
  // One that was set by hand stays until the file says another one.
  if (before.log.level != after.log.level) set_log_level(after.log.level);
  for (const PipelineConfig& pipeline : after.pipelines) {
    for (const auto& each : pipelines) {
      if (each.pipeline->name() != pipeline.name) continue;
      each.pipeline->flow().set_limits(pipeline.batch, pipeline.lanes);
    }
  }
  queue.unpark_all();  // what waited may be possible now
}

ReloadResult Application::Parts::reload() {
  supervisor.reloading();
  ReloadResult result = reloader.reload();
  supervisor.ready();
  return result;
}

void Application::Parts::start() {
  const std::size_t descriptors = status->gather().process.max_fds;
  if (const std::string warning = descriptor_warning(config, descriptors); !warning.empty())
    log({LogLevel::kWarning, "", warning, {}});
  admin->start();  // first: whoever waits for us can see why
  monitor.start();
  workers.start();
  preparation->start();
  for (auto& each : pipelines) each.pipeline->start();
  reloader.start();
  // Not when the servers answer: that a server is down is no reason to be started again.
  supervisor.ready();
  supervisor.start_watchdog([this] { return faults().empty(); });
  log({LogLevel::kInfo,
       "started",
       "millrace runs",
       {{"version", std::string(kVersion)},
        {"pipelines", std::to_string(pipelines.size())},
        {"workers", std::to_string(config.workers.count)},
        {"admin", "http://" + config.admin.host + ":" + std::to_string(admin->port())}}});
}

ExitCode Application::Parts::drain() {
  supervisor.stopping();
  const std::chrono::milliseconds patience = grace.get();
  const SteadyTime deadline = std::chrono::steady_clock::now() + patience;
  log({LogLevel::kInfo,
       "draining",
       "draining: reading stops, what was read is sent and committed",
       {{"grace_seconds", std::to_string(patience.count() / 1000)}}});
  exit_watch.expect_end_by(deadline + kAfterGrace);
  for (auto& each : pipelines) each.pipeline->drain(deadline);
  queue.unpark_all();  // a last try now, not when the pause of each is over
  if (end.ending() == Ending::kAbort) abort();  // asked for before the pipelines were told to drain
  bool complete = true;
  for (auto& each : pipelines) complete = each.pipeline->join() && complete;
  // Whatever is still on its way belongs to nobody now: it must not hold the process up.
  abort_peers();
  still_runs = "the workers";
  workers.stop();
  still_runs = "the preparation of dead letters";
  preparation->stop();
  still_runs = "the look at ClickHouse";
  monitor.stop();
  still_runs = "the look at the configuration";
  reloader.stop();
  supervisor.stop();
  still_runs = "the admin port";
  admin->stop();
  still_runs = "what is to be closed";
  return exit_code(complete);
}

ExitCode Application::Parts::exit_code(bool complete) const {
  if (end.ending() == Ending::kAbort) return ExitCode::kStopped;
  if (const auto gone = faults(); !gone.empty()) {
    log({LogLevel::kError,
         "not_drained",
         "ended, but not drained: " + gone.front() +
             "; rows that are not committed will be read again",
         {}});
    return ExitCode::kFailure;
  }
  if (complete) {
    log({LogLevel::kInfo,
         "drained",
         "drained: all that was read is in ClickHouse and committed",
         {}});
    return ExitCode::kOk;
  }
  log({LogLevel::kWarning,
       "drain_incomplete",
       "the grace period ended before all blocks were acknowledged and committed, or a source "
       "could "
       "not be reached; what is not committed will be read again",
       {{"setting", "shutdown.grace"}}});
  return ExitCode::kDrainIncomplete;
}

void Application::Parts::give_up() {
  const bool aborted = end.ending() == Ending::kAbort;
  log({LogLevel::kError,
       "",
       std::string("something does not end (a file system, a name server?): the process ends "
                   "without it; what is not committed will be read again"),
       {{"still_runs", still_runs.load()}}});
  std::_Exit(static_cast<int>(aborted ? ExitCode::kStopped : ExitCode::kDrainIncomplete));
}

void Application::Parts::abort() {
  exit_watch.expect_end_by(std::chrono::steady_clock::now() + kAfterGrace);
  for (auto& each : pipelines) each.pipeline->abort();
  abort_peers();
}

// Ends every wait for ClickHouse and for the stores of dead letters.
void Application::Parts::abort_peers() {
  http_sessions.abort();
  for (const auto& archive : archives()) archive->abort();
}

Application::Application(Config config, const ConfigFile& file, Logger& logger)
    : parts_(std::make_unique<Parts>(std::move(config), file, logger)) {}

Application::~Application() = default;

ExitCode Application::run() {
  try {
    parts_->start();
  } catch (const std::exception& error) {
    parts_->log({LogLevel::kError, "start_failed", error.what(), {}});
    parts_->abort();
    return ExitCode::kFailure;
  }
  parts_->end.wait();
  return parts_->drain();
}

void Application::reload() { parts_->reload(); }

void Application::request_drain() { parts_->end.request(Ending::kDrain); }

void Application::request_abort() {
  parts_->end.request(Ending::kAbort);
  parts_->abort();
}

}  // namespace millrace
