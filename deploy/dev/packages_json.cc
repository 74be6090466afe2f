// millrace-packages-json: turns Debian's package index into JSON, one object a line.
//
//   apt-cache dumpavail | millrace-packages-json [--fields FILE] > packages.jsonl
//
// The index is a list of stanzas, divided by empty lines. A stanza is lines `Name: value`; a line
// that starts with white space continues the value above it. Every field becomes a member: its name
// in lower snake_case, its value a string, or a number for the two sizes.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {
namespace {

struct Field {
  std::string name;
  std::string value;
};

std::string to_snake_case(std::string_view name) {
  std::string result;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') {
      result += static_cast<char>(c - 'A' + 'a');
    } else {
      result += c == '-' ? '_' : c;
    }
  }
  return result;
}

// Length of the well-formed UTF-8 sequence at the start of `text`, or 0 (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF).
size_t utf8_sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto continues = [&](size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0);
  const unsigned second = byte(1);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !continues(1)) return 0;
  if (first < 0xe0) return 2;
  if (!continues(2)) return 0;
  if (first < 0xf0) {
    if (first == 0xe0 && second < 0xa0) return 0;
    if (first == 0xed && second > 0x9f) return 0;
    return 3;
  }
  if (!continues(3)) return 0;
  if (first == 0xf0 && second < 0x90) return 0;
  if (first == 0xf4 && second > 0x8f) return 0;
  return 4;
}

void append_escaped(std::string& out, unsigned char c) {
  constexpr char kDigits[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c < 0x20) {
    out += "\\u00";
    out += kDigits[c >> 4];
    out += kDigits[c & 15];
  } else {
    out += static_cast<char>(c);
  }
}

// A JSON string. A byte that is not UTF-8 becomes U+FFFD.
void append_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    size_t length = utf8_sequence_length(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      length = 1;
    } else if (length == 1) {
      append_escaped(out, static_cast<unsigned char>(text[0]));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  out += '"';
}

// May the value stand in JSON without quotes? A leading zero may not, nor what overflows 64 bits.
bool is_number(const Field& field) {
  if (field.name != "size" && field.name != "installed_size") return false;
  const std::string& value = field.value;
  return !value.empty() && value.size() < 20 && (value == "0" || value[0] != '0') &&
         value.find_first_not_of("0123456789") == std::string::npos;
}

class Converter {
 public:
  explicit Converter(std::ostream& out) : out_(out) {}

  void add_line(std::string_view line) {
    const size_t colon = line.find(':');
    if (line.empty()) {
      finish_stanza();
    } else if (line[0] == ' ' || line[0] == '\t') {
      if (!fields_.empty()) fields_.back().value.append("\n").append(line.substr(1));
    } else if (colon != std::string_view::npos) {
      start_field(to_snake_case(line.substr(0, colon)), line.substr(colon + 1));
    }
  }

  // Writes the object of the stanza so far, if there is one.
  void finish_stanza() {
    if (fields_.empty()) return;
    text_.clear();
    for (size_t i = 0; i < fields_.size(); ++i) {
      const Field& field = fields_[i];
      if (is_repeated(i)) continue;
      text_ += text_.empty() ? '{' : ',';
      append_string(text_, field.name);
      text_ += ':';
      if (is_number(field)) {
        text_ += field.value;
      } else {
        append_string(text_, field.value);
      }
      names_.insert(field.name);
    }
    text_ += "}\n";
    out_ << text_;
    fields_.clear();
  }

  const std::set<std::string>& names() const { return names_; }

 private:
  // The first of two fields with one name wins: an object should have each name once.
  bool is_repeated(size_t index) const {
    for (size_t i = 0; i < index; ++i) {
      if (fields_[i].name == fields_[index].name) return true;
    }
    return false;
  }

  void start_field(std::string name, std::string_view value) {
    const size_t first = value.find_first_not_of(" \t");
    value.remove_prefix(first == std::string_view::npos ? value.size() : first);
    fields_.push_back({std::move(name), std::string(value)});
  }

  std::ostream& out_;
  std::vector<Field> fields_;    // of the stanza that is being read
  std::set<std::string> names_;  // of all fields so far
  std::string text_;             // kept to reuse its memory
};

int convert(const std::string& fields_file) {
  std::ios::sync_with_stdio(false);
  Converter converter(std::cout);
  std::string line;
  while (std::getline(std::cin, line)) converter.add_line(line);
  converter.finish_stanza();
  std::cout.flush();

  std::ofstream fields;
  if (!fields_file.empty()) {
    fields.open(fields_file);
    for (const std::string& name : converter.names()) fields << name << '\n';
    fields.flush();
  }
  if (std::cin.bad() || !std::cout || !fields) {
    std::cerr << "millrace-packages-json: reading or writing failed" << std::endl;
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  CLI::App app("Debian's package index (stdin) as one JSON object a line (stdout).",
               "millrace-packages-json");
  std::string fields_file;
  app.add_option("--fields", fields_file, "write the names of all fields here, one a line");
  CLI11_PARSE(app, argc, argv);
  return millrace::convert(fields_file);
}
