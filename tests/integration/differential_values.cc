#include <algorithm>
#include <utility>

#include "tests/integration/differential_cases.h"

namespace millrace::test {
namespace {

// Values stand in lines, with " | " between them; an empty line is an empty value.
struct ValueText {
  std::vector<std::string> types;
  const char* values;
};

const std::vector<ValueText> kValues = {
    // clang-format off
    {{"UInt8", "Int8", "UInt32", "Int32", "UInt64", "Int64", "UInt128", "Int256", "Bool"},
     R"json(1 | "1" | 300 | -1 | 1e3 | 1.0 | true | false | "true" | null | "" | "abc" | "1 " | +5 | 007
"+5" | --5 | - | 18446744073709551616 | 99999999999999999999999999 | "null" | [1] | {} | 1.5
"1.5" |  5 | 5  | -0 | "-" | 1- | tru | nul | "12"x | "t" | t | NaN | True | 1_000 | 0x10)json"},
    {{"Float64", "Float32", "BFloat16"},
     R"json(1 | "1" | 1.5 | 1e3 | 1E3 | 1e | 1e+ | -1.5e-3 | .5 | 5. | - | +1.5 | "nan" | nan | NaN | inf
-inf | "-Infinity" | "inf" | Infinity | "infinit" | null | "" | true | "true" | abc
1.7976931348623157e308 | 1e400 | -1e400 | 1e-400 | 0.1 | 0.30000000000000004
123456789012345678901234567890 | 3.141592653589793238462643383279 | 1.23e99999 | 1.e5 | .e5 | e5
. | "." | "+" | -+1 | +-1 | --1 | 1.5.5 | 0.1e1.5 | -nan | "+inf" | +nan)json"},
    {{"Bool"},
     R"json(true | false | "true" | "1" | 1 | 0 | 2 | null | t | tru | True | TRUE | "" | 01)json"},
    {{"Int32"},
     R"json(
"+" | "1+" | "1-2" | "1+2" | 12abc)json"},
    {{"String"},
     R"json("a" | "\u00e9" | "\ud83d\ude00" | "\ud83d" | "\ud83dx" | "\ude00" | "\ud83d\u0041" | "\uZZZZ"
"\u12" | "\x" | "\a" | "\u0000" | "\ | "abc | 1 | 1.50 | -0 | true | false | null
{"a" : 1,  "b":[1, 2]} | [1, 2 ,"x"] | nan | abc | truex | "a"b | {"a":1 | [1,2 | {a} | {} | []
{"a":"}"} | 1e5 | 1e | - | +1 | 'a' | {"a":bad} | {"a":tru} | {,} | [1 2] | [,] | ["a\"]"] | -inf
Infinity | .5 | 1. | 0x1 | "\b\f\n\r\t\/\\" | {"a":{"b":[{}]}} | [tru] | [nan] | {"a":1}}
"\uD800\uD800" | "\u+041")json"},
    {{"FixedString(3)"},
     R"json("a" | "abc" | "abcd" | null | 1 | 123 | true | {"":1} | "\u00e9" | {} | "" | [1])json"},
    {{"Date", "Date32"},
     R"json("2024-01-02" | "2024-1-2" | "2024-1-02" | "20240102" | "2024/01/02" | 19000 | "19000"
"0000-00-00" | "1970-01-01" | "1969-12-31" | "2149-06-06" | "2149-06-07" | "2200-01-01"
"1900-01-01" | "2299-12-31" | "2300-01-01" | "2024-02-30" | "2024-13-01" | "2024-01-32"
"2024-01-02 03:04:05" | null | "" | "2024-01-02x" | -1 | 65535 | 65536 | 99999 | 1.5 | true | "-1"
"abc" | "2024-00-01" | "2024-01-00" | "2024.01.02" | "2024-01-2x" | 1700000000 | "1700000000"
"24-01-02" |  5 | +5 | "2024-01" | "2024-1" | "2024a01b02" | "12345" | "2024--1-02")json"},
    {{"DateTime", "DateTime64(3)", "DateTime64(0)", "DateTime64(9)", "DateTime('Europe/Berlin')", "DateTime64(6, 'America/New_York')", "DateTime64(3, 'Asia/Kathmandu')"},
     R"json("2024-01-02 03:04:05" | "2024-01-02T03:04:05" | "2024-01-02" | "2024-01-02 03:04"
"2024-01-02 03:04:05.678" | "2024-01-02T03:04:05Z" | "2024-01-02T03:04:05.678Z"
"2024-01-02 03:04:05 " | 1700000000 | "1700000000" | 1700000000.5 | "1700000000.5" | 1700000000123
"1700000000123" | "0000-00-00 00:00:00" | "1969-12-31 23:59:59" | "2106-02-07 06:28:15"
"2106-02-07 06:28:16" | "2299-12-31 00:00:00" | "1900-01-01 00:00:00" | "1899-01-01 00:00:00"
"2024-13-01 00:00:00" | "2024-02-30 00:00:00" | "2024-01-02 25:00:00" | "2024-01-02 23:60:00"
"2024-01-02 23:59:60" | null | "" | -1 | 4294967295 | 4294967296 | 99999999999999 | true | "abc"
"2024/01/02 03:04:05" | "2024-1-2 3:4:5" | "2024-01-02_03:04:05" | "5" | "12345" | "123456"
"2024" | "1e9" | 1e9 | "20240102" | "20240102030405" | "2024-01-02 03:04:5" | "2024-01-02 3:04:05"
+5 | "-5" | "-1700000000" | "17000000000" | "2024-01-02 03:04:05.1234567891234"
"2024-01-02 03:04:05." | "1700000000." | "1700000000.123456789012" | 0 | -0 | -1.5
"2024-01-02x03:04:05" | 1.5 | -5 | 99999999999 | "9999999999" | "99999999999" | 253402300800
"2024-01-0203:04:05" | "-1.5" | "1.5" | 1. | .5 | "2024-01-02 03:04:05+01:00" | "Jan 2 2024")json"},
    {{"Array(UInt8)"},
     R"json([] | [1,2] | [ 1 , 2 ] | [1,] | [,1] | [1 2] | null | [null] | "[1,2]" | 1 | {} | [1 | ["1"] | ""
"[]")json"},
    {{"Array(Nullable(String))"},
     R"json([null,"a",1] | ["a" "b"] | [nul] | "['a']")json"},
    {{"Array(Array(Int8))"},
     R"json([[1],[2,3],[]] | [[1],null] | [1])json"},
    {{"Array(LowCardinality(String))"},
     R"json(["a","b","a"] | [])json"},
    {{"Map(String,UInt8)"},
     R"json({} | {"a":1} | {"a":1,"a":2} | { "a" : 1 , "b" : 2 } | {"a":1,} | {a:1} | null | {"a":null}
{"a":"5"} | [["a",1]] | [] | "{'a':1}" | {1:1} | {null:1} | {"a":1 "b":2} | {,"a":1} | {"a" 1}
[{"key":"a","value":1}])json"},
    {{"Map(UInt8,String)"},
     R"json({"1":"a"} | {1:"a"} | {"x":"a"} | {"":"a"} | {true:"a"} | {"true":"a"})json"},
    {{"Map(Date,String)"},
     R"json({"2024-01-01":"a"})json"},
    {{"Tuple(UInt8,String)"},
     R"json([1,"a"] | [1] | [1,"a",2] | {"1":1,"2":"a"} | [ 1 , "a" ] | null | [null,null] | {"1":1} | [] | {}
"[1,'a']" | [1,"a",] | (1,2) | 1 | "(1,'a')")json"},
    {{"Tuple(a UInt8,b String)"},
     R"json([1,"a"] | {"a":1,"b":"x"} | {"b":"x","a":1} | {"a":1} | {"a":1,"b":"x","c":2}
{"a":1,"a":2,"b":"x"} | {} | null | { "a" : 1 , "b" : "x" } | {"a":1,"b":"x",} | {"a":null}
{"a":1 "b":"x"} | {"\u0061":1} | [] | [1] | {"c":1} | {"A":1} | "{}")json"},
    {{"Tuple(a UInt8,b Nullable(String))"},
     R"json({"a":1} | {"b":null} | {} | {"a":1,"b":"x","a":2} | {"a":1,"b":"x","c":tru})json"},
    {{"Nullable(UInt8)"},
     R"json(null | 1 | "null" | NULL | nul | )json"},
    {{"Nullable(Float64)"},
     R"json(nan | null | "nan" | NaN)json"},
    {{"LowCardinality(Nullable(String))"},
     R"json(null | "a" | 1)json"},
    {{"LowCardinality(String)"},
     R"json(null | "a" | 1 | {"a":1})json"},
    {{"UUID"},
     R"json("61f0c404-5cb3-11e7-907b-a6006ad3dba0" | "61F0C4045cb311e7907ba6006ad3dba0" | "" | null
"61f0c404" | "zzf0c404-5cb3-11e7-907b-a6006ad3dba0" | 1 | "61f0c404-5cb3-11e7-907b-a6006ad3dba0 "
"61f0c404x5cb3x11e7x907bxa6006ad3dba0" | "61f0c404-5cb3-11e7-907b-a6006ad3dba"
61f0c404-5cb3-11e7-907b-a6006ad3dba0 | "{61f0c404-5cb3-11e7-907b-a6006ad3dba0}"
"61f0c4045cb3-11e7-907b-a6006ad3dba0" | "61f0c404-5cb311e7907ba6006ad3dba0")json"},
    {{"Enum8('a'=1,'b'=2,'c'=-3,'5'=7)"},
     R"json("a" | 1 | "1" | 3 | "x" | -3 | "-3" | "" | "5" | 5 | true | 1.0 | "\u0061" | 7 | "7" | {} | +1
257 | a)json"},
    {{"Enum8('a'=5,'b'=2)"},
     R"json({} | )json"},
    {{"Enum16('a'=1000,''=-2)"},
     R"json("a" | 1000 | "" | 66536)json"},
    {{"IPv4"},
     R"json("1.2.3.4" | "" | null | 16909060 | "1.2.3" | "1.2.3.256" | "1.2.3.4 " | " 1.2.3.4" | "01.02.03.04"
"0x1.2.3.4" | "::1" | "1.2.3.4.5" | "a" | "1.2.3.0004" | "255.255.255.255" | "1..2.3" | true
"256.1.1.1" | "001.2.3.4" | "1.2.3.00")json"},
    {{"IPv6"},
     R"json("::1" | "2001:db8::1" | "1.2.3.4" | "::ffff:1.2.3.4" | "" | null | "x" | "1:2:3:4:5:6:7:8"
"1:2:3:4:5:6:7" | "1::2::3" | "::" | "12345::" | "fe80::1%eth0" | " ::1" | "::1 "
"1:2:3:4:5:6:7:8:9" | "1:2:3:4:5:6:1.2.3.4" | "ABCD::ef" | ":1" | "1:" | "::1.2.3" | 1 | ":::"
"1:2:3:4:5:6:7::" | "::2:3:4:5:6:7:8" | "1::3:4:5:6:7:8" | "00001::")json"},
    {{"Decimal(9,2)", "Decimal(18,4)", "Decimal(38,10)", "Decimal(76,20)", "Decimal(3,0)", "Decimal(5,5)"},
     R"json(1 | 1.5 | "1.5" | -1.239 | 1.999 | 0.005 | null | "" | "abc" | 1e2 | 1e-1 | "1e2" | 99999999
9999999 | 9999999.99 | 12345678901234567890 | -9999999.99 | +1.5 | .5 | 5. | - | 1.5.5 | "-1"
true | nan | --1 | 1e | 1e400 | 0.0000000000000000000000001 | 000001.5
1.50000000000000000000000000000 | 1E+2 | - 1 | 1e-400 | 0e10 | "+" | "." | 0000000000000000000001
0.00e5 | 1.1e1 | 12e-1 | 1. | -.5 | "5 " | 1e6 | 1e7 | 1e8 | -0 | -0.00 | 1.005 | 1.995
9999999.995 | 9999999.999 | 1_0 | 1,5 | 99999990e-1 | 123456789e-5 | 0.001e3 | 1e0 | 1e00 | 1e+
1e-)json"},
    {{"IPv6"},
     R"json("1::2:" | "1:::" | "1:::2" | "1::::2" | "1:2:3:4:5:6:7:8:" | "::1:" | "::1.2.3.4" | "::1.2.3.4:"
"1:1.2.3.4" | "1::1.2.3.4" | "::.1.2.3" | "1::.2.3.4" | "::01.2.3.4" | "::a.2.3.4" | "::1.2.3.256"
"1:2:3:4:5:6:7:1.2.3.4" | "1:2:3:4:5:6::1.2.3.4" | "::1.2.3.4.5" | "1:2:3:4:5:6:7::8" | ":: 1"
"::FFFF:0:0" | "0::0" | "1:2:3:4::5:6:7:8" | ":" | "::ffff:1.2.3" | "1.2.3.4:" | "01.2.3.4"
"0.1.2.3" | "00.1.2.3" | "001.2.3.4" | "1.02.3.4" | "1000.2.3.4" | "256.1.1.1" | "0001.2.3.4"
"1.2.3.0004" | "1.2.3.00004" | "1a.2.3.4" | "01::" | "0:1.2.3.4")json"},
    {{"Enum8('a'=1,'b'=2,'z'=0)"},
     R"json("0" | 0 | null | "+1" | "257" | "-0" | "01" | " 1" | "1 " | "1.0" | "" | false | "A")json"},
    {{"Nullable(DateTime)", "Nullable(Date)", "Nullable(UUID)", "Nullable(Decimal(9,2))",
      "Nullable(Enum8('a'=1))", "Nullable(IPv4)", "Nullable(Bool)", "Nullable(FixedString(2))",
      "Array(Nullable(UInt8))", "LowCardinality(Nullable(UInt8))", "LowCardinality(Date)",
      "LowCardinality(FixedString(2))", "LowCardinality(Nullable(DateTime))",
      "LowCardinality(Nullable(UUID))"},
     R"json(null | 1 | "1" | "a" | "ab" | true | "" | [] | [null] | [1,null] | "2024-01-02" | nul)json"},
    // clang-format on
};

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + separator.size();
  }
  return parts;
}

std::vector<std::string> values_of(const std::string& text) {
  std::vector<std::string> values;
  for (const std::string& line : split(text, "\n")) {
    for (std::string& value : split(line, " | ")) values.push_back(std::move(value));
  }
  return values;
}

}  // namespace

std::vector<ValueCases> value_cases() {
  std::vector<ValueCases> cases;
  for (const ValueText& text : kValues) cases.push_back({text.types, values_of(text.values)});
  return cases;
}

}  // namespace millrace::test
