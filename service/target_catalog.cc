#include "service/target_catalog.h"

namespace millrace {

std::shared_ptr<const TableTarget> TargetCatalog::of_topic(const std::string& topic) {
  const std::string table = config_.table_of(topic);
  MutexLock lock(mutex_);
  auto& target = by_table_[table];
  if (!target) {
    auto made = std::make_shared<TableTarget>();
    made->pipeline = config_.name;
    made->table = table;
    made->format = config_.format;
    made->encoding = config_.encoding;
    made->compression = config_.compression;
    made->trace_context = config_.trace_context;
    made->delivery = config_.kafka.delivery;
    made->boundary = config_.boundary;
    made->on_expired_plan = config_.on_expired_plan;
    made->columns = config_.columns;
    made->dead_letters = dead_letters_;
    target = std::move(made);
  }
  return target;
}

std::vector<std::shared_ptr<const TableTarget>> TargetCatalog::all() const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<const TableTarget>> targets;
  for (const auto& [table, target] : by_table_) targets.push_back(target);
  return targets;
}

}  // namespace millrace
