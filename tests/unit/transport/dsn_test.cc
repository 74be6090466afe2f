#include "transport/dsn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "transport/error.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

std::string error_of(std::string_view text) {
  try {
    parse_dsn(text);
    return "no error";
  } catch (const UsageError& error) {
    return error.what();
  }
}

TEST(Dsn, HasAllItsParts) {
  const Dsn dsn = parse_dsn("clickhouse://me:secret@ch1.example:8124/db1?a=1&b=x+y&a=2");
  EXPECT_EQ(dsn.scheme, "clickhouse");
  EXPECT_EQ(dsn.user, "me");
  EXPECT_EQ(dsn.password, "secret");
  EXPECT_EQ(dsn.host, "ch1.example");
  EXPECT_EQ(dsn.port, 8124);
  EXPECT_EQ(dsn.database, "db1");
  EXPECT_EQ(dsn.path, std::nullopt);
  EXPECT_THAT(dsn.query, ElementsAre(Pair("a", "1"), Pair("b", "x y"), Pair("a", "2")));
}

TEST(Dsn, LeavesOutWhatIsNotThere) {
  for (const char* text : {"http://", "http:///", "http://?", "http://@", "http://:"}) {
    const Dsn dsn = parse_dsn(text);
    EXPECT_EQ(dsn.host, std::nullopt) << text;
    EXPECT_EQ(dsn.port, std::nullopt) << text;
    EXPECT_EQ(dsn.user, std::nullopt) << text;
    EXPECT_EQ(dsn.password, std::nullopt) << text;
    EXPECT_EQ(dsn.database, std::nullopt) << text;
    EXPECT_EQ(dsn.path, std::nullopt) << text;
    EXPECT_THAT(dsn.query, IsEmpty()) << text;
  }
  EXPECT_EQ(parse_dsn("http://:p@h").user, std::nullopt);
  EXPECT_EQ(parse_dsn("http://:p@h").password, "p");
  EXPECT_EQ(parse_dsn("http://u:@h").password, "");
  EXPECT_EQ(parse_dsn("http://u@h").password, std::nullopt);
}

TEST(Dsn, DecodesPercents) {
  const Dsn dsn = parse_dsn("http://a%40b:p%2F%3a%25+@h%2ex/d%20b?k%3d=%26+&");
  EXPECT_EQ(dsn.user, "a@b");
  EXPECT_EQ(dsn.password, "p/:%+");
  EXPECT_EQ(dsn.host, "h.x");
  EXPECT_EQ(dsn.database, "d b");
  EXPECT_THAT(dsn.query, ElementsAre(Pair("k=", "& ")));
}

TEST(Dsn, SchemesSayWhetherTlsIsMeant) {
  for (const char* scheme : {"clickhouse", "clickhousedb", "http", "HTTP", "clickhouse+http"}) {
    EXPECT_FALSE(parse_dsn(std::string(scheme) + "://h").secure()) << scheme;
  }
  for (const char* scheme : {"clickhouses", "https", "clickhouse+https"}) {
    EXPECT_TRUE(parse_dsn(std::string(scheme) + "://h").secure()) << scheme;
  }
  EXPECT_EQ(parse_dsn("HTTPS://h").scheme, "https");
}

TEST(Dsn, TakesIpv6InBrackets) {
  const Dsn dsn = parse_dsn("http://u:p@[::1]:8123/d");
  EXPECT_EQ(dsn.host, "::1");
  EXPECT_EQ(dsn.port, 8123);
  EXPECT_EQ(parse_dsn("http://[fe80::1%25eth0]").host, "fe80::1%eth0");
  EXPECT_EQ(parse_dsn("http://[::1]").port, std::nullopt);
}

TEST(Dsn, ThePathBeforeTheDatabaseIsAProxys) {
  EXPECT_EQ(parse_dsn("http://h/ch/x/db").path, "/ch/x");
  EXPECT_EQ(parse_dsn("http://h/ch/x/db").database, "db");
  EXPECT_EQ(parse_dsn("http://h/ch/").path, "/ch");
  EXPECT_EQ(parse_dsn("http://h/ch/").database, std::nullopt);
}

TEST(Dsn, SaysWhatIsWrong) {
  EXPECT_THAT(error_of(""), HasSubstr("does not begin with scheme://"));
  EXPECT_THAT(error_of("localhost:8123"), HasSubstr("does not begin with scheme://"));
  EXPECT_THAT(error_of("ftp://h"), HasSubstr("scheme is none of"));
  EXPECT_THAT(error_of("http://h:0"), HasSubstr("port"));
  EXPECT_THAT(error_of("http://h:65536"), HasSubstr("port"));
  EXPECT_THAT(error_of("http://h:80x"), HasSubstr("port"));
  EXPECT_THAT(error_of("http://h:-1"), HasSubstr("port"));
  EXPECT_THAT(error_of("http://::1"), HasSubstr("brackets"));
  EXPECT_THAT(error_of("http://[::1"), HasSubstr("without its ]"));
  EXPECT_THAT(error_of("http://[name]"), HasSubstr("not an IPv6 address"));
  EXPECT_THAT(error_of("http://[::1]x"), HasSubstr("behind the ]"));
  EXPECT_THAT(error_of("http://a b"), HasSubstr("character in the host"));
  EXPECT_THAT(error_of("http://a%0ab"), HasSubstr("character in the host"));
  EXPECT_THAT(error_of("http://h/%4"), HasSubstr("% in the database"));
  EXPECT_THAT(error_of("http://h/%zz"), HasSubstr("% in the database"));
  EXPECT_THAT(error_of("http://%@h"), HasSubstr("% in the user"));
  EXPECT_THAT(error_of("http://h/d?k"), HasSubstr("an option without a value"));
  EXPECT_THAT(error_of("http://h/d?=v"), HasSubstr("an option without a name"));
  EXPECT_THAT(error_of("http://h/d#x"), HasSubstr("%23"));
}

// Each is a slip that moves the password to where another part is expected.
TEST(Dsn, NeverShowsThePassword) {
  for (const char* text :
       {"http://u:hunter2%zz@h", "http://u:hunter2/x@h/d", "http://u:hunter2?x@h/d",
        "http://u:hunter2#x@h/d", "u:hunter2@h", "u:hunter2@h://x", "hunter2://h",
        "http://u:1/hunter2@h/d", "http://u:1?hunter2@h/d", "http://u:hunter2@h:x",
        "http://u:hunter2@[h", "http://u:1?hunter2=%zz@h", "http://hunter2:x:y"}) {
    EXPECT_THAT(error_of(text), HasSubstr("Bad DSN: ")) << text;
    EXPECT_THAT(error_of(text), Not(HasSubstr("hunter2"))) << text;
  }
}

}  // namespace
}  // namespace millrace
