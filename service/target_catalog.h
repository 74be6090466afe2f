// topic -> TableTarget of one pipeline. Topics of a pattern are met at run time, so targets are
// made when first asked for; topics that go into one table share one target, and so its counters.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/table_target.h"
#include "service/config.h"
#include "transport/mutex.h"

namespace millrace {

// Thread-safe.
class TargetCatalog {
 public:
  TargetCatalog(PipelineConfig config, std::shared_ptr<DeadLetterStore> dead_letters)
      : config_(std::move(config)), dead_letters_(std::move(dead_letters)) {}

  std::shared_ptr<const TableTarget> of_topic(const std::string& topic);
  std::vector<std::shared_ptr<const TableTarget>> all() const;

 private:
  const PipelineConfig config_;
  const std::shared_ptr<DeadLetterStore> dead_letters_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<const TableTarget>> by_table_ GUARDED_BY(mutex_);
};

}  // namespace millrace
