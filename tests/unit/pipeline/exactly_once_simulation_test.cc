// One lane, a broker that keeps its checkpoint, a ClickHouse that remembers tokens, and owners that
// crash, sleep and are replaced: random schedules of all that, and every row arrives once. Each
// owner has a host of its own, whose clock is wrong by up to a day. The ClickHouse is a plain
// table, and can be killed: then it knows the token of an insert and has not its rows
// (restart_check.h).
//
// What is real: the producer (cutting, replay, holding back), the lane's progress, the text of the
// plan, the rule when rows are looked for. What is played: time, the broker, the server, and the
// order in which everything happens. MILLRACE_SCHEDULES is how many; each has a seed of its own,
// which a failure prints and MILLRACE_SEED plays again with MILLRACE_SCHEDULES=1.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/producer.h"
#include "pipeline/restart_check.h"
#include "tests/unit/pipeline/fakes.h"
#include "tests/unit/pipeline/seed.h"

namespace millrace {
namespace {

using testing::make_record;
using testing::make_target;

// What to leave out of the protocol, to see that the simulation would tell.
enum class Without { kNothing, kPlanBeforeSend, kReplay, kFence };

// When a block that is confirmed is looked for, if the confirmed try was not the first.
enum class LookWhen {
  kAsTheWorkerDoes,
  kAfterARestart,           // by ClickHouse's clock
  kAfterARestartByOurClock  // by those of two hosts
};

struct Rules {
  Without without = Without::kNothing;
  LookWhen look = LookWhen::kAsTheWorkerDoes;
  Boundary boundary = Boundary::kFilled;
  bool rewinds = false;  // now and then somebody sets the group back, and its plan is gone
};
constexpr std::int64_t kBlockRows = 4;

using Random = std::minstd_rand;
bool chance(Random& random, unsigned percent) { return random() % 100 < percent; }

// The partition: offsets with holes, some of which are tombstones or control records.
struct Log {
  enum class Kind { kRow, kTombstone, kControl };
  struct Entry {
    std::int64_t offset;
    Kind kind;
  };
  std::vector<Entry> entries;
  std::int64_t end = 0;

  explicit Log(Random& random) {
    const std::size_t count = 5 + random() % 30;
    for (std::size_t i = 0; i < count; ++i) {
      if (chance(random, 15)) end += static_cast<std::int64_t>(1 + random() % 3);  // compacted away
      const Kind kind = chance(random, 80)   ? Kind::kRow
                        : chance(random, 50) ? Kind::kTombstone
                                             : Kind::kControl;
      entries.push_back({end++, kind});
    }
    end += (kBlockRows - end % kBlockRows) % kBlockRows;  // what is behind the last border waits
  }
  std::size_t index_of(std::int64_t offset) const {
    return static_cast<std::size_t>(
        std::lower_bound(entries.begin(), entries.end(), offset,
                         [](const Entry& entry, std::int64_t at) { return entry.offset < at; }) -
        entries.begin());
  }
};

// The broker's group: the checkpoint of the lane, and who may write it.
struct Broker {
  std::uint64_t generation = 0;
  std::int64_t position = 0;
  std::string metadata;
};

using std::chrono::seconds;
using std::chrono::sys_seconds;

struct ClickHouse {
  sys_seconds now{seconds(1'800'000'000)};  // its clock, and the true time
  sys_seconds started = now;
  std::set<std::string> tokens;
  std::map<std::int64_t, int> rows;  // how often each offset is there

  void insert(const std::string& token, const std::vector<std::int64_t>& offsets) {
    if (!tokens.insert(token).second) return;
    for (const std::int64_t offset : offsets) ++rows[offset];
  }
  // Between its deduplication log and the rename of the part.
  void insert_and_die(const std::string& token) {
    tokens.insert(token);
    started = now;
  }
  // As a process sees it by the clock that does not jump.
  SteadyTime steady() const { return SteadyTime{} + (now - sys_seconds{seconds(1'700'000'000)}); }
};

// On the wire: it may arrive after its sender is gone.
struct Insert {
  std::string token;
  std::vector<std::int64_t> offsets;
  std::uint64_t owner;
  std::size_t block;  // of the owner's
};
struct Commit {
  std::uint64_t owner;
  Checkpoint checkpoint;
};

// A process that believes to own the lane.
class Owner {
 public:
  Owner(std::uint64_t generation, const Log& log, const Broker& broker, const Rules& rules,
        seconds skew, const ClickHouse& server)
      : generation_(generation),
        log_(log),
        without_(rules.without),
        look_(rules.look),
        skew_(skew),
        server_(server) {
    target_->boundary = rules.boundary;
    Checkpoint from =
        parse_plan(broker.position, broker.metadata).value_or(Checkpoint{broker.position});
    if (without_ == Without::kReplay) from.ends.clear();
    lane_ = &producer_.open_planned_lane({"g", "t", 0}, target_, from);
    next_ = log_.index_of(broker.position);
    for (const std::int64_t end : from.ends) named_.emplace(end, from.written);
  }

  std::uint64_t generation() const { return generation_; }
  bool done() const {
    return next_ == log_.entries.size() && producer_.idle(*lane_) && !lane_->replaying();
  }
  std::int64_t position() const { return lane_->progress().position(); }

  void read() {
    if (leaving_ || producer_.wants_pause(*lane_)) return;
    if (next_ == log_.entries.size()) {
      producer_.advance(*lane_, log_.end);
      return;
    }
    const Log::Entry& entry = log_.entries[next_];
    if (entry.kind == Log::Kind::kControl) {
      producer_.advance(*lane_, entry.offset + 1);
    } else if (entry.kind == Log::Kind::kTombstone) {
      producer_.skip(*lane_, entry.offset);
    } else if (producer_.append(*lane_, make_record(entry.offset, "{}"), SteadyTime{}) !=
               AppendResult::kAppended) {
      return;
    }
    ++next_;
  }
  void cut() {
    producer_.cut(*lane_, CutReason::kAge);
    if (without_ == Without::kPlanBeforeSend) producer_.planned(*lane_, log_.end);
  }
  void leave() {
    producer_.forget_unplanned(*lane_);
    leaving_ = true;
  }

  std::optional<Commit> commit() {
    if (committing_) return std::nullopt;
    committing_ = true;
    Commit commit{generation_, producer_.checkpoint(*lane_)};
    const auto& ends = commit.checkpoint.ends;
    named_.erase(named_.begin(), ends.empty() ? named_.end() : named_.lower_bound(ends.front()));
    for (const std::int64_t end : ends) named_.try_emplace(end, clock());
    if (!named_.empty()) commit.checkpoint.written = named_.begin()->second;
    return commit;
  }
  void committed(const Checkpoint& named) {
    committing_ = false;
    if (!named.ends.empty()) producer_.planned(*lane_, named.ends.back());
  }

  std::optional<Insert> send() {
    std::size_t at = 0;
    if (!to_repeat_.empty()) {
      at = to_repeat_.front();
      to_repeat_.pop_front();
    } else if (queue_.queued() > 0) {
      at = sent_.size();
      sent_.push_back(outlet_.pop());
    } else {
      return std::nullopt;
    }
    InsertBlock& block = *sent_[at];
    if (block.attempt_started == SteadyTime{}) block.attempt_started = server_.steady();
    Insert insert{block.token, {}, generation_, at};
    if (const auto repair = repairs_.find(at); repair != repairs_.end()) {
      insert.token += "~" + std::to_string(repair->second.count);
      insert.offsets = repair->second.missing;
      return insert;
    }
    for (const RecordEntry& entry : block.buffer.entries()) insert.offsets.push_back(entry.offset);
    return insert;
  }
  void answered(std::size_t at, bool clearly) {
    InsertBlock& block = *sent_[at];
    if (!clearly && !block.unknown_since) block.unknown_since = block.attempt_started;
    if (!clearly || (looks_for(block) && lacks_rows(at))) {
      to_repeat_.push_back(at);
    } else {
      block.lane->finish(block.cut);
    }
  }

 private:
  struct Repair {
    unsigned count = 0;
    std::vector<std::int64_t> missing;
  };

  // What it takes for the time of ClickHouse.
  sys_seconds clock() const {
    return look_ == LookWhen::kAfterARestartByOurClock ? server_.now + skew_ : server_.now;
  }
  bool looks_for(const InsertBlock& block) const {
    if (!block.unknown_since) return false;
    const FirstTry& then = *block.unknown_since;
    const bool restarted =
        may_have_restarted(server_.now - server_.started, age_of(then, server_.steady(), clock()));
    if (look_ != LookWhen::kAsTheWorkerDoes) return restarted;
    return judge_repeat(then, restarted, Look::kCan) == RepeatProof::kLook;
  }
  bool lacks_rows(std::size_t at) {
    std::vector<std::int64_t> missing;
    for (const RecordEntry& entry : sent_[at]->buffer.entries()) {
      const auto found = server_.rows.find(entry.offset);
      if (found == server_.rows.end() || found->second == 0) missing.push_back(entry.offset);
    }
    if (missing.empty()) return false;
    repairs_[at] = {repairs_[at].count + 1, std::move(missing)};
    return true;
  }

  const std::uint64_t generation_;
  const Log& log_;
  const Without without_;
  const LookWhen look_;
  const seconds skew_;  // of the host's clock
  const ClickHouse& server_;
  ByteBudget budget_{1u << 30};
  BlockQueue queue_;
  BlockQueue::Outlet outlet_ = queue_.make_outlet();
  LaneRegistry registry_;
  FlowControl flow_{{.max_rows = kBlockRows}, {.max_blocks_in_flight = 3}};
  Producer producer_{budget_, queue_, flow_, registry_};
  std::shared_ptr<TableTarget> target_ = make_target();
  Lane* lane_ = nullptr;
  std::size_t next_ = 0;
  bool committing_ = false, leaving_ = false;
  std::vector<InsertBlockPtr> sent_;
  std::deque<std::size_t> to_repeat_;
  std::map<std::size_t, Repair> repairs_;
  std::map<std::int64_t, sys_seconds> named_;  // planned ends: when each was first
};

class World {
 public:
  World(std::uint32_t seed, const Rules& rules) : random_(seed), log_(random_), rules_(rules) {}

  // Nothing, or what is wrong at the end.
  std::string run() {
    const std::size_t steps = 20 + random_() % 120;
    for (std::size_t i = 0; i < steps; ++i) step();
    settle();
    std::string wrong;
    for (const Log::Entry& entry : log_.entries) {
      const int times = server_.rows[entry.offset];
      if (times == (entry.kind == Log::Kind::kRow ? 1 : 0)) continue;
      wrong += " offset " + std::to_string(entry.offset) + " is there " + std::to_string(times) +
               " times;";
    }
    return wrong;
  }

 private:
  Owner* owner(std::uint64_t generation) {
    const auto found = std::find_if(owners_.begin(), owners_.end(), [&](const auto& each) {
      return each->generation() == generation;
    });
    return found == owners_.end() ? nullptr : found->get();
  }
  void drop(std::uint64_t generation) {
    std::erase_if(owners_, [&](const auto& each) { return each->generation() == generation; });
  }
  template <class T>
  T take_any(std::vector<T>& from) {
    std::swap(from[random_() % from.size()], from.back());
    T taken = std::move(from.back());
    from.pop_back();
    return taken;
  }

  void take_over() {
    ++broker_.generation;
    if (rules_.rewinds && chance(random_, 30)) {
      const auto strides = static_cast<unsigned>(broker_.position / kBlockRows);
      broker_.position = static_cast<std::int64_t>(random_() % (strides + 1)) * kBlockRows;
      broker_.metadata.clear();
    }
    constexpr seconds kSkews[] = {seconds(-86'400), seconds(-1'800), seconds(-4),    seconds(0),
                                  seconds(4),       seconds(1'800),  seconds(86'400)};
    const seconds skew = kSkews[random_() % std::size(kSkews)];
    owners_.push_back(
        std::make_unique<Owner>(broker_.generation, log_, broker_, rules_, skew, server_));
  }

  void step() {
    server_.now += seconds(random_() % 3);
    if (owners_.empty()) return take_over();
    Owner& one = *owners_[random_() % owners_.size()];
    switch (random_() % 16) {
      case 0:
        return chance(random_, 30) ? drop(one.generation()) : void();  // kill -9
      case 1:
        // The former owner sleeps, or gives the lane back.
        if (!chance(random_, 30) || owners_.size() > 2) return;
        if (chance(random_, 50)) one.leave();
        return take_over();
      case 2:
      case 3:
        return one.cut();
      case 4:
      case 5:
      case 6:
        if (auto commit = one.commit()) commits_.push_back(std::move(*commit));
        return;
      case 7:
      case 8:
      case 9:
        if (!commits_.empty()) arrive(take_any(commits_));
        return;
      case 10:
      case 11:
        if (auto insert = one.send()) inserts_.push_back(std::move(*insert));
        return;
      case 12:
      case 13:
        if (!inserts_.empty()) arrive(take_any(inserts_));
        return;
      default:
        return one.read();
    }
  }

  // A commit, or the news that it did not come back: then its owner gives up the lane, because
  // the commit could still arrive behind a later one.
  void arrive(const Commit& commit) {
    const bool lost = chance(random_, 10), answer_lost = chance(random_, 10);
    const bool taken =
        !lost && (rules_.without == Without::kFence || commit.owner == broker_.generation);
    if (taken) {
      broker_.position = commit.checkpoint.position;
      broker_.metadata = plan_text(commit.checkpoint);
    }
    Owner* sender = owner(commit.owner);
    if (sender == nullptr) return;
    if (taken && !answer_lost) return sender->committed(commit.checkpoint);
    if (rules_.without == Without::kFence) return sender->committed({});
    drop(commit.owner);
  }

  void arrive(const Insert& insert) {
    const bool refused = chance(random_, 15), answer_lost = chance(random_, 20);
    // Who cuts a block that a forgotten plan named does not know that it was sent: such a group
    // needs a replicated table, which a kill does no harm.
    const bool killed = !refused && !rules_.rewinds && chance(random_, 5);
    if (killed) {
      server_.insert_and_die(insert.token);
    } else if (!refused) {
      server_.insert(insert.token, insert.offsets);
    }
    Owner* sender = owner(insert.owner);
    if (sender != nullptr) sender->answered(insert.block, !refused && !killed && !answer_lost);
  }

  // All faults end: what is on the wire arrives, and one owner finishes the work.
  void settle() {
    owners_.clear();
    while (!inserts_.empty()) arrive(take_any(inserts_));
    while (!commits_.empty()) arrive(take_any(commits_));
    take_over();
    Owner& last = *owners_.front();
    for (int i = 0; !last.done() || last.position() < log_.end; ++i) {
      ASSERT_LT(i, 10'000) << "the last owner does not come to an end";
      last.read();
      last.cut();
      if (auto commit = last.commit()) {
        broker_.position = commit->checkpoint.position;
        last.committed(commit->checkpoint);
      }
      while (auto insert = last.send()) {
        server_.insert(insert->token, insert->offsets);
        last.answered(insert->block, true);
      }
    }
  }

  Random random_;
  const Log log_;
  const Rules rules_;
  Broker broker_;
  ClickHouse server_;
  std::vector<std::unique_ptr<Owner>> owners_;
  std::vector<Commit> commits_;
  std::vector<Insert> inserts_;
};

std::size_t schedules(std::size_t by_default) {
  const char* given = std::getenv("MILLRACE_SCHEDULES");
  return given != nullptr ? std::stoul(given) : by_default;
}

// The first of `count` schedules that goes wrong: its seed and what is wrong.
std::optional<std::pair<std::uint32_t, std::string>> first_wrong(std::uint64_t seed,
                                                                 std::size_t count,
                                                                 const Rules& rules) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto own = static_cast<std::uint32_t>(seed + i);
    if (std::string wrong = World(own, rules).run(); !wrong.empty()) return {{own, wrong}};
  }
  return std::nullopt;
}

TEST(ExactlyOnceSimulation, EveryRowArrivesOnceWhateverHappens) {
  const auto wrong = first_wrong(testing::test_seed(), schedules(5'000), {});
  EXPECT_FALSE(wrong) << "MILLRACE_SEED=" << wrong->first << wrong->second;
}

TEST(ExactlyOnceSimulation, AtStridesAlsoWhenTheGroupIsSetBackAndItsPlanIsLost) {
  const auto wrong = first_wrong(testing::test_seed(), schedules(5'000),
                                 {.boundary = Boundary::kStride, .rewinds = true});
  EXPECT_FALSE(wrong) << "MILLRACE_SEED=" << wrong->first << wrong->second;
}

TEST(ExactlyOnceSimulation, TheServersClockAloneTellsWhenRowsAreToBeLookedFor) {
  const auto wrong =
      first_wrong(testing::test_seed(), schedules(2'000), {.look = LookWhen::kAfterARestart});
  EXPECT_FALSE(wrong) << "MILLRACE_SEED=" << wrong->first << wrong->second;
}

// The simulation is worth something only if it sees what each part of the protocol prevents.
TEST(ExactlyOnceSimulation, SeesWhatIsMissing) {
  for (const Without without : {Without::kPlanBeforeSend, Without::kReplay, Without::kFence}) {
    EXPECT_TRUE(first_wrong(1, 20'000, {.without = without})) << static_cast<int>(without);
  }
  EXPECT_TRUE(first_wrong(1, 20'000, {.rewinds = true})) << "what strides prevent";
  EXPECT_TRUE(first_wrong(1, 20'000, {.look = LookWhen::kAfterARestartByOurClock}))
      << "what two hosts' clocks do";
}

}  // namespace
}  // namespace millrace
