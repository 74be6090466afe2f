#include "tests/integration/differential_shapes.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

namespace millrace::test {
namespace {

using Texts = std::vector<std::string>;

// The digits of one number as far as they go: of a Unix time in ever smaller units, of a date
// without separators, zeros, and the largest ones.
constexpr std::string_view kDigits[] = {"1717087559649123456789012", "2024053016455964912345678",
                                        "0000000000000000000000000", "9999999999999999999999999",
                                        "0017170875596491234567890"};
constexpr std::size_t kMostDigits = 25;

// What may stand behind the digits of a time.
const Texts& tails() {
  static const Texts tails = {"Z",      " ",   "+01:00", "-0330",   "T",   "-",    ":",  ":00",
                              ":00:00", "/1",  "-01-02", "e3",      "E",   "+1",   "/",  ",",
                              " UTC",   " PM", "x",      "\\u0030", "T12", " 12",  "-",  "+5",
                              ".",      ".x",  ".5.5",   ".5Z",     ".5 ", ".5e3", ".-5"};
  return tails;
}

// Every length; every length with each sign, each number of decimals and each tail.
Texts numbers_of_a_time() {
  Texts texts;
  for (std::size_t n = 1; n <= kMostDigits; ++n) texts.emplace_back(kDigits[0].substr(0, n));
  for (std::size_t n = 1; n <= kMostDigits; ++n) {
    for (const std::string_view digits : kDigits) texts.emplace_back(digits.substr(0, n));
    const std::string number(kDigits[0].substr(0, n));
    for (const char* sign : {"-", "+", " ", "--"}) texts.push_back(sign + number);
    texts.push_back("-" + number + ".5");
    for (std::size_t decimals = 1; decimals <= 21; decimals += decimals < 4 ? 1 : 3) {
      texts.push_back(number + "." + std::string("649123456987654321012").substr(0, decimals));
    }
    for (const std::string& tail : tails()) texts.push_back(number + tail);
  }
  return texts;
}

// A date, a separator, a time of day, decimals and a zone, each in every form.
class TimeTexts {
 public:
  explicit TimeTexts(std::mt19937_64& random) : random_(random) {}

  Texts make(std::size_t count) {
    Texts texts;
    while (texts.size() < count) texts.push_back(one());
    return texts;
  }

 private:
  const char* one_of(std::initializer_list<const char*> texts) {
    return texts.begin()[random_() % texts.size()];
  }
  std::string one() {
    std::string date = one_of({"2024-05-30",    "2024-5-3",    "2024/05/30", "20240530",
                               "2024 05 30",    "30-05-2024",  "30.05.24",   "30-May-2024",
                               "May 30 2024",   "30 May 2024", "2024-05",    "2024",
                               "202405",        "24",          "",           "Thu, 30 May",
                               "1969-12-31",    "1899-12-31",  "9999-12-31", "0000-00-00",
                               "2024-02-30",    "2024.05.30",  "5/30/2024",  "1/2/70",
                               "2106-02-07",    "2299-12-31",  "2300-01-01", "Jan 2024",
                               "31 Februar 24", "2024-00-00"});
    std::string clock =
        one_of({"", "16:45:59", "16:45", "4:5:9", "164559", "16", "1645", "24:00:00", "99:99:99",
                "4", "16:45:", "16:", "16:45:5", "00:00:00"});
    std::string rest = one_of({"", ".", ".6", ".649", ".649123", ".649123456", ".1234567890123",
                               ".123456789012345678", ".1234567890123456789",
                               ".12345678901234567890123", "", "", ""});
    rest += one_of({"",   "",  "",     "Z",    "+01:00", "+0100", "+1",     "-11:30", " UTC", " PM",
                    "am", "z", " MSK", " +02", "GMT",    "+123",  "+12345", " ",      "x",    ","});
    const char* between = one_of({" ", " ", "T", "T", "", ",", ", ", "-", "  ", "_", "~"});
    if (random_() % 16 == 0) std::swap(date, clock);
    return date + between + clock + rest;
  }

  std::mt19937_64& random_;
};

Texts times_of_day() {
  Texts texts;
  for (const char* sign : {"", "-", "+"}) {
    for (const char* hours : {"", "1", "12", "123", "1234", "999", "00"}) {
      for (const char* minutes : {"", ":", ":4", ":45", ":99", ":456"}) {
        for (const char* rest :
             {"", ":5", ":59", ":99", ":59.6", ":59.649123456789", ":59.", ".5", ":59:1", " "}) {
          texts.push_back(std::string(sign) + hours + minutes + rest);
        }
      }
    }
  }
  return texts;
}

// Around the limits of each width, every number of digits, and what may stand around them.
Texts integers() {
  Texts texts;
  for (const char* limit :
       {"127",
        "128",
        "129",
        "255",
        "256",
        "257",
        "32767",
        "32768",
        "32769",
        "65535",
        "65536",
        "65537",
        "2147483647",
        "2147483648",
        "2147483649",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "170141183460469231731687303715884105727",
        "170141183460469231731687303715884105728",
        "340282366920938463463374607431768211455",
        "340282366920938463463374607431768211456",
        "57896044618658097711785492504343953926634992332820282019728792003956564819967",
        "57896044618658097711785492504343953926634992332820282019728792003956564819968",
        "115792089237316195423570985008687907853269984665640564039457584007913129639935",
        "115792089237316195423570985008687907853269984665640564039457584007913129639936"}) {
    for (const char* sign : {"", "-", "+", "0", "-0"}) texts.push_back(std::string(sign) + limit);
  }
  for (std::size_t n = 1; n <= 24; ++n) {
    const std::string number(kDigits[0].substr(0, n));
    for (const char* tail : {"", ".", ".0", "e1", "E", " ", "-", "+", "x", "\\u0030", ",", "_0"}) {
      texts.push_back(number + tail);
    }
  }
  for (const char* odd :
       {"-",    "+",    "--1",   "++1", "-+1",  "+-1",  "- 1",  "00", "-00", "0x1",
        "0b1",  "01",   "1'000", "t",   "true", "True", "TRUE", "tr", "f",   "false",
        "fals", "null", "NULL",  "nul", "nan",  "inf",  ".",    ".5", "e1",  ""}) {
    texts.emplace_back(odd);
  }
  return texts;
}

Texts decimals() {
  Texts texts;
  for (std::size_t whole : {0u,  1u,  2u,  6u,  7u,  8u,  9u,  10u, 13u, 14u, 15u,
                            18u, 19u, 20u, 28u, 29u, 38u, 39u, 56u, 57u, 76u, 77u}) {
    for (std::size_t fraction : {0u, 1u, 2u, 3u, 4u, 9u, 10u, 18u, 19u, 20u, 21u, 38u, 77u}) {
      for (const char* exponent : {"", "e0", "e1", "e-1", "E+2", "e", "e9", "e-30"}) {
        if (*exponent != '\0' && (whole + fraction) % 3 != 0) continue;
        std::string text = (whole + fraction) % 5 == 1 ? "-" : "";
        for (std::size_t i = 0; i < whole; ++i) text += static_cast<char>('1' + i % 9);
        if (fraction > 0) text += ".";
        for (std::size_t i = 0; i < fraction; ++i) text += static_cast<char>('1' + i % 9);
        texts.push_back(text + exponent);
      }
    }
  }
  for (std::size_t zeros : {1u, 2u, 9u, 20u, 80u}) {
    texts.push_back(std::string(zeros, '0') + "1.5");
    texts.push_back("1.5" + std::string(zeros, '0'));
    texts.push_back("0." + std::string(zeros, '0') + "1");
    texts.push_back("1" + std::string(zeros, '0'));
    texts.push_back("1" + std::string(zeros, '0') + "e-" + std::to_string(zeros));
  }
  return texts;
}

// Every letter behind a backslash; \u with every number of digits and each kind of surrogate.
Texts escapes() {
  Texts texts;
  for (char c = ' '; c < 0x7f; ++c) texts.push_back(std::string("a\\") + c + "b");
  for (const char* digits :
       {"",     "0",    "00",   "00e",  "00e9", "00E9", "00e9a", "zzzz", "00g9", "+041",
        " 041", "0000", "007f", "0080", "07ff", "0800", "ffff",  "fffe", "d7ff", "e000"}) {
    texts.push_back(std::string("a\\u") + digits);
    texts.push_back(std::string("a\\u") + digits + "bcdef");
  }
  const Texts halves = {"",        "x",       "\\",      "\\n",     "\\u",     "\\ud",
                        "\\ud8",   "\\ud800", "\\udbff", "\\udc00", "\\udfff", "\\ude0",
                        "\\u0041", "\\uDE00", "\\uzzzz", " \\ude00"};
  for (const char* first : {"\\ud800", "\\ud83d", "\\udbff", "\\udc00", "\\udfff", "\\uD83D"}) {
    for (const std::string& second : halves) texts.push_back("a" + (first + second));
  }
  return texts;
}

Texts uuids() {
  const std::string digits = "61f0c4045cb311e7907ba6006ad3dba0ffff";
  const std::string dashed = "61f0c404-5cb3-11e7-907b-a6006ad3dba0-ffff";
  Texts texts;
  for (std::size_t n = 0; n <= digits.size(); ++n) texts.push_back(digits.substr(0, n));
  for (std::size_t n = 0; n <= dashed.size(); ++n) texts.push_back(dashed.substr(0, n));
  for (std::size_t at = 0; at < 36; ++at) {
    std::string text = dashed.substr(0, 36);
    text[at] = 'x';
    texts.push_back(text);
    text[at] = '-';
    texts.push_back(text);
    text.erase(at, 1);
    texts.push_back(text);
  }
  return texts;
}

Texts addresses() {
  Texts texts;
  for (const char* octet :
       {"", "0", "1", "00", "01", "25", "255", "256", "0255", "00255", "a", "-1", " 1"}) {
    for (std::size_t count = 1; count <= 5; ++count) {
      std::string text = octet;
      for (std::size_t i = 1; i < count; ++i) text += i % 2 == 0 ? std::string(".") + octet : ".7";
      texts.push_back(text);
      texts.push_back("::ffff:" + text);
      texts.push_back(text + ".");
    }
  }
  for (std::size_t groups = 0; groups <= 9; ++groups) {
    for (std::size_t gap = 0; gap <= groups + 1; ++gap) {
      std::string text = gap == 0 && groups % 2 == 0 ? "::" : "";
      for (std::size_t i = 0; i < groups; ++i) {
        if (i > 0) text += i == gap ? "::" : ":";
        text += i % 3 == 0 ? "abcd" : "7";
      }
      if (gap == groups) text += "::";
      texts.push_back(text);
      texts.push_back(text + ":1.2.3.4");
      texts.push_back(text + "0");
    }
  }
  return texts;
}

Texts words() {
  Texts texts;
  for (const char* word :
       {"true",    "false",   "t",        "f", "yes", "no", "y",  "n",  "on", "off",  "enable",
        "disable", "enabled", "disabled", "1", "0",   "2",  "-1", "00", "01", "null", "\\N"}) {
    std::string text = word;
    texts.push_back(text);
    texts.push_back(text + " ");
    texts.push_back(text + "x");
    texts.push_back(text.substr(0, text.size() - 1));
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    texts.push_back(text);
  }
  return texts;
}

bool may_be_bare(const std::string& text) {
  return !text.empty() &&
         std::string_view("0123456789+-.tfn").find(text.front()) != std::string_view::npos;
}

// As JSON strings, and without quotes what begins as a number or a word does.
Texts json_values_of(const Texts& texts) {
  std::set<std::string> seen;
  Texts values;
  for (const std::string& text : texts) {
    if (!seen.insert(text).second) continue;
    values.push_back("\"" + text + "\"");
    if (may_be_bare(text)) values.push_back(text);
  }
  return values;
}

}  // namespace

std::vector<ValueCases> shape_cases(std::mt19937_64& random, std::size_t most) {
  const auto as_json = [&](const Texts& texts) {
    Texts values = json_values_of(texts);
    constexpr std::size_t kAlways = 2 * kMostDigits;  // with and without quotes
    if (values.size() <= std::max(most, kAlways)) return values;
    std::shuffle(values.begin() + kAlways, values.end(), random);
    values.resize(std::max(most, kAlways));
    return values;
  };
  const Settings basic = {{"date_time_input_format", "basic"}},
                 fast = {{"precise_float_parsing", "0"}};
  Texts times = numbers_of_a_time();
  // What `basic` makes of shorter ones and of other texts depends on what follows: the README.
  Texts seconds = times;
  std::erase_if(seconds, [](const std::string& text) {
    return text.size() < 5 || text.find_first_not_of("0123456789") < 5;
  });
  for (std::string& text : TimeTexts(random).make(400)) times.push_back(std::move(text));
  Texts numbers = integers();
  for (std::string& text : decimals()) numbers.push_back(std::move(text));
  return {
      {{"DateTime", "DateTime64(0)", "DateTime64(3)", "DateTime64(9)",
        "DateTime64(6, 'Asia/Kolkata')"},
       as_json(times)},
      {{"DateTime", "DateTime64(0)", "DateTime64(3)", "DateTime64(9)"}, as_json(seconds), basic},
      {{"Date", "Date32"}, as_json(times)},
      {{"Time", "Time64(0)", "Time64(3)", "Time64(9)"}, as_json(times_of_day())},
      {{"UInt8", "Int16", "UInt32", "Int64", "UInt64", "Int128", "UInt256"}, as_json(integers())},
      {{"Decimal(9, 2)", "Decimal(18, 4)", "Decimal(38, 10)", "Decimal(76, 20)"}, as_json(numbers)},
      {{"Float64", "Float32"}, as_json(numbers)},
      {{"Float64"}, as_json(numbers), fast},
      {{"String", "FixedString(8)", "LowCardinality(String)",
        "Enum8('a' = 1, 'aub' = 2, '\\'' = 3)"},
       as_json(escapes())},
      {{"UUID"}, as_json(uuids())},
      {{"IPv4", "IPv6"}, as_json(addresses())},
      {{"Bool", "Nullable(Bool)"}, as_json(words())},
  };
}

}  // namespace millrace::test
