// How a metric is declared, and how its samples are taken from a snapshot. Only metrics.cc includes
// it.
#pragma once

#include <prometheus/metric_family.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <limits>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "service/json_writer.h"
#include "service/status.h"

namespace millrace {

inline std::vector<std::string> split_words(std::string_view words) {
  std::istringstream stream{std::string(words)};
  std::vector<std::string> list;
  for (std::string word; stream >> word;) list.push_back(word);
  return list;
}

// The samples of one family. Label values come in the order in which the labels are declared.
class Samples {
 public:
  Samples(prometheus::MetricFamily& family, std::vector<std::string> labels)
      : family_(family), labels_(std::move(labels)) {}

  template <class T>
  void add(std::initializer_list<std::string_view> label_values, T value) {
    prometheus::ClientMetric& metric = labelled(label_values);
    if (family_.type == prometheus::MetricType::Counter) {
      metric.counter.value = static_cast<double>(value);
    } else {
      metric.gauge.value = static_cast<double>(value);
    }
  }

  void add(std::initializer_list<std::string_view> label_values, const Histogram::Snapshot& from) {
    prometheus::ClientMetric::Histogram& to = labelled(label_values).histogram;
    to.sample_sum = from.sum;
    for (std::size_t i = 0; i < from.counts.size(); ++i) {
      to.sample_count += from.counts[i];
      to.bucket.push_back({.cumulative_count = to.sample_count,
                           .upper_bound = i < from.upper_bounds.size()
                                              ? from.upper_bounds[i]
                                              : std::numeric_limits<double>::infinity()});
    }
  }

 private:
  prometheus::ClientMetric& labelled(std::span<const std::string_view> values) {
    if (values.size() != labels_.size()) throw std::logic_error(family_.name + ": labels");
    prometheus::ClientMetric& metric = family_.metric.emplace_back();
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      metric.label.push_back({labels_[i], to_valid_utf8(values[i])});
    }
    return metric;
  }

  prometheus::MetricFamily& family_;
  const std::vector<std::string> labels_;
};

struct MetricDeclaration {
  const char* name;
  prometheus::MetricType type;
  const char* labels;
  const char* help;
  std::function<void(const StatusSnapshot&, Samples&)> fill;
  const char* what_to_do = "";  // when it is high, or not what it should be
};

// Ways to fill a family, for what many have in common.

template <class Get>
auto one(Get get) {
  return [get](const StatusSnapshot& s, Samples& out) { out.add({}, std::invoke(get, s)); };
}

template <class Get>
auto of_http_sessions(Get get) {
  return one([get](const StatusSnapshot& s) { return std::invoke(get, s.http_sessions); });
}

template <class Get>
auto per_source(Get get) {
  return [get](const StatusSnapshot& s, Samples& out) {
    for (const auto& p : s.pipelines) {
      out.add({p.name, p.source.kind}, std::invoke(get, p.source));
    }
  };
}

template <class Map>
auto per_source_and(Map SourceSnapshot::*map) {
  return [map](const StatusSnapshot& s, Samples& out) {
    for (const auto& p : s.pipelines) {
      for (const auto& [label, count] : p.source.*map) {
        out.add({p.name, p.source.kind, label}, count);
      }
    }
  };
}

template <class Get>
auto per_table(Get get) {
  return [get](const StatusSnapshot& s, Samples& out) {
    for (const auto& p : s.pipelines) {
      for (const auto& t : p.tables) out.add({p.name, t.table}, std::invoke(get, t));
    }
  };
}

// For an array in TableSnapshot that an enumeration counts through.
template <class Enum, class Array>
auto per_table_and(Array TableSnapshot::*array) {
  return [array](const StatusSnapshot& s, Samples& out) {
    for (const auto& p : s.pipelines) {
      for (const auto& t : p.tables) {
        const auto& values = t.*array;
        for (std::size_t i = 0; i < values.size(); ++i) {
          out.add({p.name, t.table, to_string(static_cast<Enum>(i))}, values[i]);
        }
      }
    }
  };
}

template <class Predicate>
auto lanes_where(Predicate predicate) {
  return [predicate](const StatusSnapshot& s, Samples& out) {
    for (const auto& p : s.pipelines) {
      out.add({p.name}, std::count_if(p.lanes.begin(), p.lanes.end(), predicate));
    }
  };
}

template <class Map>
auto per_table_and_label(Map TableSnapshot::*map) {
  return [map](const StatusSnapshot& s, Samples& out) {
    for (const auto& p : s.pipelines) {
      for (const auto& t : p.tables) {
        for (const auto& [code, count] : t.*map) out.add({p.name, t.table, code}, count);
      }
    }
  };
}

}  // namespace millrace
