#include "transport/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transport/error.h"

namespace millrace {
namespace {

using std::chrono::year, std::chrono::hours, std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

constexpr std::chrono::sys_seconds kSecond = std::chrono::sys_days(year(2024) / 1 / 2) + hours(3);
const Value kTime(kSecond + milliseconds(250));

Bytes bytes(std::string_view text) {
  Bytes result;
  for (const char c : text) result.push_back(static_cast<std::byte>(c));
  return result;
}

std::string error_of(std::string_view sql, const Parameters& parameters) {
  try {
    return "no error, but " + bind_parameters(sql, parameters).sql;
  } catch (const UsageError& error) {
    return error.what();
  }
}

TEST(BindParameters, LeavesAStatementWithoutParametersAlone) {
  for (const Parameters& none : {Parameters(), Parameters(Named{}), Parameters(Positional{})}) {
    const BoundQuery bound = bind_parameters("SELECT '100%', {a:Int8};", none);
    EXPECT_EQ(bound.sql, "SELECT '100%', {a:Int8};");
    EXPECT_THAT(bound.params, IsEmpty());
    EXPECT_FALSE(bound.binary);
  }
}

TEST(BindParameters, SendsNamedOnesToTheServer) {
  const BoundQuery bound =
      bind_parameters("SELECT {a:Int32}, {s:Array(String)}, '%s';",
                      Named{{"a", 13}, {"s", Array{"it's"}}, {"unused", Null{}}});
  EXPECT_EQ(bound.sql, "SELECT {a:Int32}, {s:Array(String)}, '%s'");
  EXPECT_THAT(bound.params, ElementsAre(Pair("param_a", "13"), Pair("param_s", "['it\\'s']"),
                                        Pair("param_unused", "\\N")));
  EXPECT_FALSE(bound.binary);
}

TEST(BindParameters, UsesThePlaceholdersTypeForTheText) {
  const BoundQuery bound =
      bind_parameters("SELECT {t:DateTime64(3)}, {m:Map(String, Int8)}, {j:String}",
                      Named{{"t", kTime}, {"m", Map{{"k", 1}}}, {"j", Map{{"k", 1}}}});
  EXPECT_THAT(bound.params, ElementsAre(Pair("param_j", "{\"k\":1}"), Pair("param_m", "{'k':1}"),
                                        Pair("param_t", "1704164400.250")));
  EXPECT_THAT(
      bind_parameters("SELECT {j:String}", Named{{"j", Map{{"k", 1}}}}, MapText::kMap).params,
      ElementsAre(Pair("param_j", "{'k':1}")));
}

// The statement may hold a session's parameter (SET param_b = 1).
TEST(BindParameters, LeavesMissingOnesToTheServer) {
  EXPECT_THAT(bind_parameters("SELECT {a:Int8}, {b:Int8}", Named{{"a", 1}}).params,
              ElementsAre(Pair("param_a", "1")));
}

TEST(BindParameters, TheSuffixKeepsMicroseconds) {
  const auto params = [](std::string_view sql, const char* name, Value value) {
    return bind_parameters(sql, Named{{name, std::move(value)}}).params;
  };
  EXPECT_THAT(params("SELECT {t:String}", "t", kTime),
              ElementsAre(Pair("param_t", "2024-01-02 03:00:00")));
  EXPECT_THAT(params("SELECT {t:String}", "t_64", kTime),
              ElementsAre(Pair("param_t", "2024-01-02 03:00:00.250000")));
  EXPECT_THAT(params("SELECT {t:String}", "t_64", kSecond),
              ElementsAre(Pair("param_t", "2024-01-02 03:00:00.000000")));
  EXPECT_THAT(params("SELECT {t:Array(String)}", "t_64", Array{kTime}),
              ElementsAre(Pair("param_t", "['2024-01-02 03:00:00.250000']")));
  // Part of the name: the statement has it, or the value is no point in time.
  EXPECT_THAT(params("SELECT {t_64:String}", "t_64", kTime),
              ElementsAre(Pair("param_t_64", "2024-01-02 03:00:00")));
  EXPECT_THAT(params("SELECT {t:String}", "t_64", 1), ElementsAre(Pair("param_t_64", "1")));
  EXPECT_THAT(error_of("SELECT {t:String}", Named{{"t", kTime}, {"t_64", kTime}}),
              HasSubstr("parameter t is given twice: also as t_64"));
}

TEST(BindParameters, RefusesNamesThatNoPlaceholderHas) {
  for (const char* name : {"", "a b", "1", "a.b", "é", "a&b"}) {
    EXPECT_THAT(error_of("SELECT {a:Int8}", Named{{name, 1}}),
                HasSubstr("'" + std::string(name) + "' cannot be the name of a parameter"));
  }
}

TEST(BindParameters, FillsInNamesItself) {
  const auto sql = [](std::string_view text) {
    return bind_parameters(text, Named{{"a", 13}, {"s", "it's"}, {"t_64", kTime}}).sql;
  };
  EXPECT_EQ(sql("SELECT %(a)s, %(s)s, %(s)s, '100%%';"), "SELECT 13, 'it\\'s', 'it\\'s', '100%'");
  EXPECT_EQ(sql("SELECT %(t)s"), "SELECT toDateTime64('2024-01-02 03:00:00.250000000', 9, 'UTC')");
  EXPECT_EQ(sql("SELECT 1"), "SELECT 1");
  EXPECT_EQ(sql("SELECT '{a:Int8}', %(a)s"), "SELECT '{a:Int8}', 13");
}

TEST(BindParameters, FillsInValuesInOrder) {
  const auto sql = [](std::string_view text) {
    return bind_parameters(text, Positional{13, "%s", Array{1, 2}}).sql;
  };
  EXPECT_EQ(sql("SELECT %s, %s, %s, '%%s';"), "SELECT 13, '%s', [1, 2], '%s'");
  EXPECT_EQ(sql("SELECT %s, %s, has(%s, {a:Int8})"), "SELECT 13, '%s', has([1, 2], {a:Int8})");
}

TEST(BindParameters, NamesWhatDoesNotFit) {
  EXPECT_EQ(error_of("SELECT %(b)s", Named{{"a", 1}}), "no parameter for %(b)s");
  EXPECT_EQ(error_of("SELECT %s", Named{{"a", 1}}),
            "a %s in the statement, but the parameters have names");
  EXPECT_EQ(error_of("SELECT %(a)s", Positional{1}), "%(a)s needs parameters with names");
  EXPECT_EQ(error_of("SELECT %s", Positional{1, 2}), "2 parameters for 1 %s in the statement");
  EXPECT_EQ(error_of("SELECT %s, %s, %s", Positional{1, 2}),
            "2 parameters for 3 %s in the statement");
  for (const char* sql : {"SELECT 'a%'", "SELECT %d", "SELECT 5 % 3", "SELECT %"}) {
    EXPECT_THAT(error_of(sql, Positional{1}), HasSubstr("write it %%")) << sql;
  }
  EXPECT_THAT(error_of("SELECT %(a", Named{{"a", 1}}), HasSubstr("a %( without )s"));
}

TEST(BindParameters, NeverShowsAValueInAnError) {
  const Value secret("hunter2");
  for (const std::string& error :
       {error_of("SELECT %(b)s", Named{{"a", secret}}), error_of("SELECT 1", Positional{secret}),
        error_of("SELECT {a:String}", Named{{"a b", secret}}),
        error_of("SELECT $a$", Named{{"$a$", secret}})}) {
    EXPECT_THAT(error, Not(HasSubstr("hunter2")));
    EXPECT_THAT(error, Not(HasSubstr("no error")));
  }
}

TEST(BindParameters, DoesNotTouchTheEndOfAnInsert) {
  EXPECT_EQ(bind_parameters("INSERT INTO t FORMAT CSV\n%s;", Positional{1}).sql,
            "INSERT INTO t FORMAT CSV\n1;");
}

TEST(BindBytes, GoIntoTheStatementAsAHeredoc) {
  const std::string data("\x00\xff'$b$", 6);
  const BoundQuery bound = bind_parameters("SELECT hex($b_1$), $b_1$, {a:Int8};",
                                           Named{{"$b_1$", bytes(data)}, {"a", 1}});
  EXPECT_EQ(bound.sql, "SELECT hex($b_1$" + data + "$b_1$), $b_1$" + data + "$b_1$, {a:Int8}");
  EXPECT_TRUE(bound.binary);
  EXPECT_THAT(bound.params, ElementsAre(Pair("param_a", "1")));
}

TEST(BindBytes, MayHoldOtherTagsAndPercents) {
  const BoundQuery bound =
      bind_parameters("SELECT $a$, $b$, '%'", Named{{"$a$", bytes("$b$")}, {"$b$", bytes("%s")}});
  EXPECT_EQ(bound.sql, "SELECT $a$$b$$a$, $b$%s$b$, '%'");
  EXPECT_EQ(bind_parameters("SELECT $a$, %(x)s", Named{{"$a$", bytes("%(x)s")}, {"x", 1}}).sql,
            "SELECT $a$%(x)s$a$, 1");
}

TEST(BindBytes, WithTheirOwnTagInsideAreRefused) {
  EXPECT_THAT(error_of("SELECT $a$", Named{{"$a$", bytes("x$a$, evil($a$")}}),
              HasSubstr("the bytes of $a$ hold its own tag"));
  EXPECT_THAT(error_of("SELECT $a$", Named{{"$a$", bytes("x$a")}}),
              HasSubstr("the bytes of $a$ hold its own tag"));
}

TEST(BindBytes, UnderAPlainNameAreAnOrdinaryParameter) {
  const BoundQuery bound = bind_parameters("SELECT {b:String}", Named{{"b", bytes("\xff")}});
  EXPECT_THAT(bound.params, ElementsAre(Pair("param_b", "\\xff")));
  EXPECT_FALSE(bound.binary);
}

TEST(BindTags, OfOtherValuesMustBeOnePlaceholder) {
  EXPECT_THAT(bind_parameters("SELECT {$a$:Int8}", Named{{"$a$", 1}}).params,
              ElementsAre(Pair("param_$a$", "1")));
  EXPECT_THAT(bind_parameters("SELECT 'x$a$', {$a$:Int8}", Named{{"$a$", 1}}).params,
              ElementsAre(Pair("param_$a$", "1")));
  EXPECT_EQ(bind_parameters("SELECT 1", Named{{"$a$", 1}}).sql, "SELECT 1");
  EXPECT_THAT(error_of("SELECT $a$", Named{{"$a$", 1}}), HasSubstr("$a$ must be Bytes"));
  EXPECT_THAT(error_of("SELECT {$a$:Int8}, {$a$:Int8}", Named{{"$a$", 1}}), HasSubstr("heredoc"));
  EXPECT_THAT(error_of("SELECT {$a$:Int8}, 'x$a$', {b:Int8}", Named{{"$a$", 1}}),
              HasSubstr("heredoc"));
}

}  // namespace
}  // namespace millrace
