#include <utility>

#include "transport/client.h"
#include "transport/client_core.h"

namespace millrace {

Session Client::new_session(std::string id, std::optional<std::chrono::seconds> timeout) {
  if (id.empty()) id = random_uuid();
  return {Client(core_), std::move(id), timeout.value_or(core_->options().session_timeout)};
}

Session::Session(Client client, std::string id, std::chrono::seconds timeout)
    : client_(std::move(client)), id_(std::move(id)), timeout_(timeout) {}

template <class Options>
Options Session::in_session(Options options) const {
  options.session_id = id_;
  options.settings.try_emplace("session_timeout", std::to_string(timeout_.count()));
  return options;
}

std::string Session::raw_query(std::string_view sql, QueryOptions options) {
  return client_.raw_query(sql, in_session(std::move(options)));
}

RawStream Session::raw_stream(std::string_view sql, QueryOptions options) {
  return client_.raw_stream(sql, in_session(std::move(options)));
}

QuerySummary Session::raw_insert(std::string_view table, InsertBody body, InsertOptions options) {
  return client_.raw_insert(table, std::move(body), in_session(std::move(options)));
}

QuerySummary Session::insert_file(std::string_view table, const std::filesystem::path& file,
                                  InsertOptions options) {
  return client_.insert_file(table, file, in_session(std::move(options)));
}

std::string Session::command(std::string_view sql, QueryOptions options) {
  return client_.command(sql, in_session(std::move(options)));
}

bool Session::check() {
  try {
    (void)client_.raw_query("SELECT 1",
                            in_session(QueryOptions{.settings = {{"session_check", true}}}));
    return true;
  } catch (const ClickHouseError& e) {
    if (e.code() == 372) return false;
    throw;
  }
}

void Session::close() noexcept {
  try {
    client_.close_session(id_);
  } catch (const std::exception&) {
    // It ends by its time-out.
  }
}

}  // namespace millrace
