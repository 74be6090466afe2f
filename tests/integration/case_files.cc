#include "tests/integration/case_files.h"

#include <Poco/Dynamic/Var.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <stdexcept>

#include "tests/support/files.h"

namespace millrace::test {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

std::string replace_variables(std::string text, const Variables& variables) {
  for (const auto& [name, value] : variables) {
    const std::string wanted = "${" + name + "}";
    for (auto at = text.find(wanted); at != std::string::npos;
         at = text.find(wanted, at + value.size())) {
      text.replace(at, wanted.size(), value);
    }
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> statements_of(const std::string& sql) {
  std::vector<std::string> statements;
  for (std::size_t at = 0; at < sql.size();) {
    const std::size_t end = std::min(sql.find(";\n", at), sql.size());
    const std::string statement = sql.substr(at, end - at);
    if (statement.find_first_not_of(" \n;") != std::string::npos) statements.push_back(statement);
    at = end + 2;
  }
  return statements;
}

// A line of records.jsonl.
KafkaMessage message_of(const std::string& line) {
  const auto record = Poco::JSON::Parser().parse(line).extract<Poco::JSON::Object::Ptr>();
  KafkaMessage message;
  if (record->has("key") && !record->isNull("key"))
    message.key = record->getValue<std::string>("key");
  if (record->has("value") && !record->isNull("value"))
    message.payload = record->getValue<std::string>("value");
  message.timestamp_ms = record->optValue<Poco::Int64>("timestamp", 0);
  message.partition = record->optValue<int>("partition", -1);
  if (const auto headers = record->getObject("headers")) {
    for (const auto& [name, value] : *headers)
      message.headers.emplace_back(name, value.convert<std::string>());
  }
  return message;
}

ExpectedLetter letter_of(const std::string& line) {
  ExpectedLetter letter;
  std::istringstream in(line);
  std::getline(in, letter.offset, '\t');
  std::getline(in, letter.code, '\t');
  std::getline(in, letter.message);
  return letter;
}

}  // namespace

Case::Case(const std::filesystem::path& folder, const Variables& variables) {
  std::set<std::string> unread;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    unread.insert(entry.path().filename().string());
  unread.erase("README.md");
  const auto read = [&](const char* file) {
    return unread.erase(file) == 0 ? std::string()
                                   : replace_variables(read_file(folder / file), variables);
  };
  config = read("millrace.yaml");
  statements = statements_of(read("table.sql"));
  for (const std::string& line : lines_of(read("messages.jsonl"))) {
    messages.emplace_back().payload = line;
  }
  for (const std::string& line : lines_of(read("records.jsonl")))
    messages.push_back(message_of(line));
  rows_sql = read("rows.sql");
  rows = read("rows.tsv");
  for (const std::string& line : lines_of(read("letters.tsv"))) letters.push_back(letter_of(line));
  log = lines_of(read("log.txt"));
  log_without = lines_of(read("log_without.txt"));
  status = lines_of(read("status.txt"));
  check = lines_of(read("check.txt"));
  if (!check.empty()) {
    check_code = std::stoi(check.front());
    check.erase(check.begin());
  }
  if (const std::string code = read("exit_code.txt"); !code.empty()) exit_code = std::stoi(code);
  if (!unread.empty())
    throw std::runtime_error(folder.string() + ": nothing reads " + *unread.begin());
  if (config.empty()) throw std::runtime_error(folder.string() + ": no millrace.yaml");
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(project_file("tests/cases"))) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace millrace::test
