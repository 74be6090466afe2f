#include "transport/parameters.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <functional>

#include "transport/error.h"
#include "transport/statement.h"

namespace millrace {
namespace {

constexpr std::string_view kKeepFraction = "_64";

bool is_tag(std::string_view name) {
  return name.size() >= 2 && name.starts_with('$') && name.ends_with('$') &&
         std::all_of(name.begin() + 1, name.end() - 1, [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
         });
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

bool is_instant(const Value& value) {
  if (const auto* items = std::get_if<Array>(&value.data())) {
    return !items->empty() && is_instant(items->front());
  }
  return std::holds_alternative<DateTime64>(value.data()) ||
         std::holds_alternative<std::chrono::sys_seconds>(value.data());
}

// The bytes that a `$tag$` of the statement stands for.
using Heredocs = std::map<std::string_view, std::string_view>;

Heredocs heredocs(const Named& parameters) {
  Heredocs found;
  for (const auto& [name, value] : parameters) {
    const auto* bytes = std::get_if<Bytes>(&value.data());
    if (bytes == nullptr || !is_tag(name)) continue;
    const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    // The heredoc would end inside, and the rest of the bytes would be SQL. A `$` at the end could
    // make one with the first of the tag's.
    if ((std::string(text) + name).find(name) != text.size()) {
      throw UsageError("the bytes of " + name + " hold its own tag: choose another name");
    }
    found.emplace(name, text);
  }
  return found;
}

std::string with_heredocs(const std::string& sql, const Heredocs& heredocs) {
  if (heredocs.empty()) return sql;
  std::string result;
  for (std::size_t i = 0; i < sql.size();) {
    const std::string_view rest = std::string_view(sql).substr(i);
    const auto found = std::find_if(heredocs.begin(), heredocs.end(), [&](const auto& heredoc) {
      return rest.starts_with(heredoc.first);
    });
    if (found == heredocs.end()) {
      result += sql[i++];
      continue;
    }
    const auto& [tag, bytes] = *found;
    result.append(tag).append(bytes).append(tag);
    i += tag.size();
  }
  return result;
}

// A `$tag$` that is no Bytes can only be the name of a placeholder, and only once: twice, it is a
// heredoc to the server, and to placeholders().
void check_tag(std::string_view sql, const std::vector<Placeholder>& slots,
               const std::string& name) {
  const auto same = [&](const Placeholder& slot) { return slot.name == name; };
  if (std::any_of(slots.begin(), slots.end(), same)) return;
  const std::size_t uses = count(sql, name);
  if (uses > 1) {
    throw UsageError("parameter " + name + " occurs twice, which makes a heredoc: rename it");
  }
  if (uses == 1) {
    throw UsageError("parameter " + name + " must be Bytes, or a placeholder {" + name + ":Type}");
  }
}

std::vector<std::pair<std::string, std::string>> server_side(std::string_view sql,
                                                             const Named& parameters,
                                                             const Heredocs& binary,
                                                             const std::vector<Placeholder>& slots,
                                                             MapText map_text) {
  std::map<std::string, std::string> params;
  for (const auto& [given_name, value] : parameters) {
    if (binary.contains(given_name)) continue;
    const auto find = [&](std::string_view name) {
      return std::find_if(slots.begin(), slots.end(),
                          [&](const Placeholder& slot) { return slot.name == name; });
    };
    std::string name = given_name;
    const bool keep_fraction =
        name.ends_with(kKeepFraction) && find(name) == slots.end() && is_instant(value);
    if (keep_fraction) name.resize(name.size() - kKeepFraction.size());
    if (!is_placeholder_name(name)) {
      throw UsageError("'" + given_name + "' cannot be the name of a parameter");
    }
    if (is_tag(name)) check_tag(sql, slots, name);
    const auto slot = find(name);
    const std::string_view type = slot == slots.end() ? std::string_view() : slot->type;
    const bool added =
        params.emplace("param_" + name, value.as_bind_text(type, map_text, keep_fraction)).second;
    if (!added) throw UsageError("parameter " + name + " is given twice: also as " + given_name);
  }
  return {params.begin(), params.end()};
}

// printf with `%s`, `%(name)s` and `%%`; `literal` gives the text for a name, empty for `%s`.
std::string fill(std::string_view sql,
                 const std::function<std::string(std::string_view)>& literal) {
  std::string result;
  for (;;) {
    const auto percent = sql.find('%');
    result.append(sql.substr(0, percent));
    if (percent == std::string_view::npos) return result;
    sql.remove_prefix(percent + 1);
    std::string_view name;
    if (sql.starts_with('(')) {
      const auto close = sql.find(")s");
      if (close == std::string_view::npos) throw UsageError("a %( without )s in the statement");
      name = sql.substr(1, close - 1);
      sql.remove_prefix(close + 1);
    }
    if (sql.starts_with('s')) {
      result += literal(name);
    } else if (sql.starts_with('%')) {
      result += '%';
    } else {
      throw UsageError("a % in the statement that is neither %s nor %(name)s: write it %%");
    }
    sql.remove_prefix(1);
  }
}

std::string fill_named(std::string_view sql, const Named& parameters, MapText map_text) {
  return fill(sql, [&](std::string_view name) {
    if (name.empty()) throw UsageError("a %s in the statement, but the parameters have names");
    if (const auto found = parameters.find(std::string(name)); found != parameters.end()) {
      return found->second.as_sql_literal(map_text);
    }
    const auto precise = parameters.find(std::string(name) + std::string(kKeepFraction));
    if (precise == parameters.end() || !is_instant(precise->second)) {
      throw UsageError("no parameter for %(" + std::string(name) + ")s");
    }
    return precise->second.as_sql_literal(map_text);
  });
}

std::string fill_positional(std::string_view sql, const Positional& parameters, MapText map_text) {
  std::size_t used = 0;
  std::string result = fill(sql, [&](std::string_view name) {
    if (!name.empty()) {
      throw UsageError("%(" + std::string(name) + ")s needs parameters with names");
    }
    const std::size_t index = used++;
    return index < parameters.size() ? parameters[index].as_sql_literal(map_text) : std::string();
  });
  if (used != parameters.size()) {
    throw UsageError(std::to_string(parameters.size()) + " parameters for " + std::to_string(used) +
                     " %s in the statement");
  }
  return result;
}

BoundQuery bind_named(std::string_view sql, const Named& parameters, MapText map_text) {
  BoundQuery bound{strip_semicolons(sql)};
  const Heredocs binary = heredocs(parameters);
  bound.binary = !binary.empty();
  std::vector<Placeholder> slots = placeholders(sql);
  std::erase_if(slots, [&](const Placeholder& slot) { return binary.contains(slot.name); });
  if (binary.size() < parameters.size()) {
    if (!slots.empty()) {
      bound.params = server_side(sql, parameters, binary, slots, map_text);
    } else {
      for (const auto& [name, value] : parameters) {
        if (is_tag(name) && !binary.contains(name)) check_tag(sql, slots, name);
      }
      bound.sql = fill_named(bound.sql, parameters, map_text);
    }
  }
  bound.sql = with_heredocs(bound.sql, binary);
  return bound;
}

}  // namespace

BoundQuery bind_parameters(std::string_view sql, const Parameters& parameters, MapText map_text) {
  if (const Named* named = parameters.named(); named && !named->empty()) {
    return bind_named(sql, *named, map_text);
  }
  if (const Positional* values = parameters.positional(); values && !values->empty()) {
    return {fill_positional(strip_semicolons(sql), *values, map_text)};
  }
  return {std::string(sql)};
}

}  // namespace millrace
