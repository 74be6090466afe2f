#include "service/config_value.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>
#include <stdexcept>

#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

std::string refusal(const std::function<void()>& parse) {
  try {
    parse();
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(ConfigValue, SizesHaveBinaryAndDecimalUnits) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("7B"), 7u);
  EXPECT_EQ(parse_bytes("1KiB"), 1024u);
  EXPECT_EQ(parse_bytes("16MiB"), 16u << 20);
  EXPECT_EQ(parse_bytes("3GiB"), 3ull << 30);
  EXPECT_EQ(parse_bytes("2TiB"), 2ull << 40);
  EXPECT_EQ(parse_bytes("1kB"), 1'000u);
  EXPECT_EQ(parse_bytes("5MB"), 5'000'000u);
  EXPECT_EQ(parse_bytes("1GB"), 1'000'000'000u);
  EXPECT_EQ(parse_bytes("1TB"), 1'000'000'000'000u);
}

TEST(ConfigValue, SizesThatAreNoneAreRefused) {
  EXPECT_EQ(refusal([] { parse_bytes("16"); }), "needs a unit, such as 16MiB");
  for (const char* text : {"", "MiB", "-1MiB", "+1MiB", " 1MiB", "x"})
    EXPECT_EQ(refusal([&] { parse_bytes(text); }), "is not a size, such as 16MiB") << text;
  for (const char* text : {"1.5GiB", "16 MiB", "16mib", "16M", "1MiB "})
    EXPECT_EQ(refusal([&] { parse_bytes(text); }),
              "is not a size, such as 16MiB (units: TiB, GiB, MiB, KiB, TB, GB, MB, kB, B; whole "
              "numbers)")
        << text;
}

TEST(ConfigValue, NumbersThatDoNotFitAreRefusedInsteadOfWrapping) {
  EXPECT_EQ(refusal([] { parse_bytes("99999999999999999999B"); }), "is too large");
  EXPECT_EQ(refusal([] { parse_bytes("8388608TiB"); }), "is too large");  // 2^63
  EXPECT_EQ(parse_bytes("8388607TiB"), 8388607ull << 40);
  EXPECT_EQ(refusal([] { parse_duration("2562047788016h"); }), "is too large");
  EXPECT_EQ(refusal([] { parse_count("18446744073709551616"); }), "is too large");
  EXPECT_EQ(parse_count("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
}

TEST(ConfigValue, DurationsHaveUnits) {
  EXPECT_EQ(parse_duration("0").count(), 0);
  EXPECT_EQ(parse_duration("250ms").count(), 250);
  EXPECT_EQ(parse_duration("1s").count(), 1'000);
  EXPECT_EQ(parse_duration("5m").count(), 300'000);
  EXPECT_EQ(parse_duration("2h").count(), 7'200'000);
  EXPECT_EQ(refusal([] { parse_duration("5"); }), "needs a unit, such as 250ms or 5s");
  EXPECT_EQ(refusal([] { parse_duration("five"); }), "is not a duration, such as 250ms or 5s");
  EXPECT_EQ(refusal([] { parse_duration("1m30s"); }),
            "is not a duration, such as 250ms or 5s (units: h, m, s, ms; whole numbers)");
}

TEST(ConfigValue, PrintedSizesAndDurationsAreReadAsTheSame) {
  EXPECT_EQ(print_bytes(512u << 20), "512MiB");
  EXPECT_EQ(print_bytes(1'000'000'000), "1GB");
  EXPECT_EQ(print_bytes(1'536), "1536B");
  EXPECT_EQ(print_duration(std::chrono::milliseconds(90'000)), "90s");
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{1'000}, std::size_t{1'024},
        std::size_t{1'024'000}, std::size_t{12'345'678}})
    EXPECT_EQ(parse_bytes(print_bytes(bytes)), bytes);
  for (const int ms : {0, 1, 999, 1'000, 60'000, 61'000, 3'600'000})
    EXPECT_EQ(parse_duration(print_duration(std::chrono::milliseconds(ms))).count(), ms);
}

using HostPort = std::pair<std::string, std::uint16_t>;

TEST(ConfigValue, HostAndPortAreSplitAndIPv6StaysWhole) {
  EXPECT_EQ(parse_host_port("127.0.0.1:9464"), (HostPort{"127.0.0.1", 9464}));
  EXPECT_EQ(parse_host_port("[::1]:0"), (HostPort{"::1", 0}));
  EXPECT_EQ(print_host_port("::1", 80), "[::1]:80");
  EXPECT_EQ(print_host_port("localhost", 80), "localhost:80");
  for (const char* text : {"", ":", "9464", ":9464", "host:", "host:x", "host:1x", "::1:80",
                           "[]:80", "a b:80", "http://x:80"})
    EXPECT_EQ(refusal([&] { parse_host_port(text); }),
              "is not host:port, such as 127.0.0.1:9464 or [::1]:9464")
        << text;
  EXPECT_EQ(refusal([] { parse_host_port("h:65536"); }), "has a port above 65535");
}

TEST(ConfigValue, VariablesAndDefaultsAreSubstituted) {
  const ScopedEnvironment user("MILLRACE_TEST_USER", "ann");
  const ScopedEnvironment empty("MILLRACE_TEST_EMPTY", "");
  EXPECT_EQ(substitute("${MILLRACE_TEST_USER}"), "ann");
  EXPECT_EQ(substitute("a-${MILLRACE_TEST_USER}-${MILLRACE_TEST_USER}"), "a-ann-ann");
  EXPECT_EQ(substitute("${MILLRACE_TEST_EMPTY}"), "");
  EXPECT_EQ(substitute("${MILLRACE_TEST_EMPTY:-bob}"), "bob");
  EXPECT_EQ(substitute("${MILLRACE_TEST_NONE:-}"), "");
  EXPECT_EQ(substitute("${MILLRACE_TEST_NONE:-http://h:1}"), "http://h:1");
}

TEST(ConfigValue, DollarsThatBeginNothingStay) {
  EXPECT_EQ(substitute("^events$"), "^events$");
  EXPECT_EQ(substitute("$$"), "$");
  EXPECT_EQ(substitute("$${HOME}"), "${HOME}");
  EXPECT_EQ(substitute("$HOME"), "$HOME");
  for (const char* text : {"$", "${X}", "a$$b", "^x$", "$${", "plain", ""})
    EXPECT_EQ(substitute(escape_substitution(text)), text);
}

TEST(ConfigValue, WhatAVariableHoldsIsNotSubstitutedAgain) {
  const ScopedEnvironment nested("MILLRACE_TEST_NESTED", "${MILLRACE_TEST_NONE}");
  EXPECT_EQ(substitute("${MILLRACE_TEST_NESTED}"), "${MILLRACE_TEST_NONE}");
}

TEST(ConfigValue, BrokenSubstitutionsSayWhatToDo) {
  EXPECT_EQ(refusal([] { substitute("${MILLRACE_TEST_NONE}"); }),
            "names environment variable MILLRACE_TEST_NONE, which is not set; set it or give a "
            "default: ${MILLRACE_TEST_NONE:-default}");
  EXPECT_EQ(refusal([] { substitute("a ${HOME"); }), "has \"${\" without \"}\"");
  for (const char* text : {"${}", "${1A}", "${a b}", "${A-b}", "${:-x}"})
    EXPECT_EQ(refusal([&] { substitute(text); }),
              "has a \"${\" that is none of ${NAME}, ${NAME:-default}, ${file:/path}; a plain "
              "\"${\" is written \"$${\"")
        << text;
}

TEST(ConfigValue, SecretFilesLoseOneNewlineAndNothingElse) {
  const std::string path = testing::TempDir() + "millrace_secret_" + std::to_string(getpid());
  const auto content = [&](const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
    return substitute("${file:" + path + "}");
  };
  EXPECT_EQ(content("s3cret\n"), "s3cret");
  EXPECT_EQ(content("s3cret\r\n"), "s3cret");
  EXPECT_EQ(content("s3cret\n\n"), "s3cret\n");
  EXPECT_EQ(content(" two words "), " two words ");
  EXPECT_EQ(content(""), "");
  EXPECT_EQ(refusal([&] { content(std::string(70'000, 'x')); }),
            "names file " + path + ", which cannot be used: it is larger than 64KiB");
  std::remove(path.c_str());
  EXPECT_EQ(refusal([&] { substitute("${file:" + path + "}"); }),
            "names file " + path + ", which cannot be used: No such file or directory");
  EXPECT_EQ(refusal([] { substitute("${file:/tmp}"); }),
            "names file /tmp, which cannot be used: Is a directory");
  EXPECT_EQ(refusal([] { substitute("${file:secret}"); }),
            "names file \"secret\", which is not an absolute path");
}

TEST(ConfigValue, EditDistanceCountsChanges) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("batch", ""), 5u);
  EXPECT_EQ(edit_distance("", "batch"), 5u);
  EXPECT_EQ(edit_distance("bach", "batch"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(ConfigValue, OptionsThatHoldSecretsAreKnownByTheirNames) {
  for (const char* name : {"sasl.password", "ssl.key.password", "ssl.keystore.password",
                           "ssl.key.pem", "sasl.oauthbearer.client.secret",
                           "sasl.oauthbearer.config", "SASL.PASSWORD", "aws_session_token"})
    EXPECT_TRUE(is_secret_name(name)) << name;
  for (const char* name : {"sasl.username", "ssl.ca.location", "client.id", "security.protocol"})
    EXPECT_FALSE(is_secret_name(name)) << name;
}

}  // namespace
}  // namespace millrace
