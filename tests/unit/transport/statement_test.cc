#include "transport/statement.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "transport/error.h"

namespace millrace {
namespace {

TEST(StripSemicolons, TakesThoseAtTheEndOnly) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"SELECT 1", "SELECT 1"},
      {"SELECT 1;", "SELECT 1"},
      {"SELECT 1 ;; ; ", "SELECT 1   "},
      {"SELECT 1; -- done;", "SELECT 1 -- done;"},
      {"SELECT 1 -- a\n;\n;-- b", "SELECT 1 -- a\n\n-- b"},
      {"SELECT 1;\xe2\x80\x83\xc2\xa0\xef\xbb\xbf", "SELECT 1\xe2\x80\x83\xc2\xa0\xef\xbb\xbf"},
      {"SELECT 1; SELECT 2;", "SELECT 1; SELECT 2"},
      {";", ""},
      {"", ""},
  };
  for (const auto& [sql, stripped] : cases) EXPECT_EQ(strip_semicolons(sql), stripped) << sql;
}

// In all of these the last `;` is at the end of the text and not of the statement.
TEST(StripSemicolons, KnowsWhatIsNoSemicolon) {
  for (const char* sql : {
           "SELECT 1 -- ;",
           "SELECT 1 // ;",
           "SELECT 1 # ;",
           "SELECT 1 #!;",
           "SELECT 1 /* /* */ ;",           // not closed
           "SELECT 'it\\';",                // not closed
           "SELECT 'it'';",                 // not closed
           "SELECT \"a;",                   // not closed
           "SELECT ‘a;",                    // not closed
           "INSERT INTO t FORMAT CSV\na;",  // data
           "WITH 1 AS x INSERT INTO t FORMAT CSV\na;",
       }) {
    EXPECT_EQ(strip_semicolons(sql), sql);
  }
}

// The `;` at the end is one, whatever the text before it looks like.
TEST(StripSemicolons, ReadsQuotesCommentsAndHeredocs) {
  for (const std::string sql : {
           "SELECT 'it\\'s -- '",
           "SELECT 'it''s /*'",
           "SELECT `a--`",
           "SELECT \"b/*\"",
           "SELECT 1 /* a /* b */ ' */",
           "SELECT 1 /*/ ' */",
           "SELECT $$ ' $$",
           "SELECT $x$ ' $x$",
           "SELECT $x$ $y$ ' $x$",
           "SELECT a$b$'c'",
           "SELECT 1$x$ ' $x$",
           "SELECT ‘it's’",
           "SELECT 1 AS “a's”",
           "SELECT ‘\\’",
           "SELECT 5 - - 3",
           "SELECT 6 / 3",
           "SELECT $a b$, 'x', $a b$",
           "SELECT 1 #!'\n",
           "SELECT 1 # '\n",
           "SELECT #\t1",
       }) {
    EXPECT_EQ(strip_semicolons(sql + ";"), sql);
  }
}

TEST(WithFormat, AppendsTheFormatOnItsOwnLine) {
  EXPECT_EQ(with_format("SELECT 1", "CSV"), "SELECT 1\n FORMAT CSV");
  EXPECT_EQ(with_format("SELECT 1; -- x", "CSV"), "SELECT 1 -- x\n FORMAT CSV");
  EXPECT_EQ(with_format("SELECT 1;", ""), "SELECT 1;");
  EXPECT_EQ(with_format("INSERT INTO t VALUES (1);", "CSV"),
            "INSERT INTO t VALUES (1);\n FORMAT CSV");
  EXPECT_THROW(with_format("SELECT 1", "CSV SETTINGS x=1"), UsageError);
}

std::vector<std::pair<std::string, std::string>> found_in(std::string_view sql) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& [name, type] : placeholders(sql)) found.emplace_back(name, type);
  return found;
}

using Found = std::vector<std::pair<std::string, std::string>>;

TEST(Placeholders, AreFoundWithTheirTypes) {
  EXPECT_EQ(found_in("SELECT {a:Int32}, {b:Array(Tuple(x String, y DateTime64(3, 'UTC')))}"),
            (Found{{"a", "Int32"}, {"b", "Array(Tuple(x String, y DateTime64(3, 'UTC')))"}}));
  EXPECT_EQ(found_in("SELECT { a : Int32 }, {/*x*/b:String/*y*/}"),
            (Found{{"a", "Int32"}, {"b", "String"}}));
  EXPECT_EQ(found_in("SELECT {a:Enum('}'=1)}, {a:String}"),
            (Found{{"a", "Enum('}'=1)"}, {"a", "String"}}));
  EXPECT_EQ(found_in("SELECT {1a:Int8}, {a$b:Int8}, {$a$:Int8}, {_1:Int8}"),
            (Found{{"1a", "Int8"}, {"a$b", "Int8"}, {"$a$", "Int8"}, {"_1", "Int8"}}));
}

TEST(Placeholders, AreNotFoundInQuotesAndComments) {
  for (const char* sql :
       {"SELECT '{a:Int8}'", "SELECT `{a:Int8}`", "SELECT \"{a:Int8}\"", "SELECT ‘{a:Int8}’",
        "SELECT 1 -- {a:Int8}", "SELECT 1 /* {a:Int8} */", "SELECT $x$ {a:Int8} $x$",
        "SELECT {'a':1}", "SELECT {a}", "SELECT {a:}", "SELECT {12:Int8}", "SELECT {a:Int8",
        "SELECT {é:Int8}", "SELECT '{a:Int8}"}) {
    EXPECT_EQ(found_in(sql), Found()) << sql;
  }
  EXPECT_EQ(found_in("SELECT {{a:Int8}, {b:{c:Int8}"), (Found{{"a", "Int8"}, {"c", "Int8"}}));
}

TEST(Placeholders, OfAnInsertEndWhereItsDataBegins) {
  EXPECT_EQ(found_in("INSERT INTO t (format) VALUES ({a:Int8})"), (Found{{"a", "Int8"}}));
  EXPECT_EQ(found_in("INSERT INTO t SELECT {a:Int8}"), (Found{{"a", "Int8"}}));
  EXPECT_EQ(found_in("INSERT INTO {t:Identifier} FORMAT JSONEachRow {a:Int8}"),
            (Found{{"t", "Identifier"}}));
}

TEST(IsRead, KnowsReads) {
  for (const char* sql :
       {"SELECT 1", "  select 1", "((SELECT 1) UNION ALL SELECT 2)", "-- c\n/* d */ SELECT 1",
        "FROM t SELECT x", "WITH 1 AS x SELECT x", "WITH y AS (SELECT 'INSERT INTO') SELECT 1",
        "WITH 1 AS x SELECT (insert INTO)", "SHOW TABLES", "DESCRIBE t", "DESC t", "EXISTS t",
        "EXPLAIN INSERT INTO t SELECT 1", "VALUES (1)"}) {
    EXPECT_TRUE(is_read(sql)) << sql;
  }
}

TEST(IsRead, IsFalseForAllElse) {
  for (const char* sql :
       {"", ";", "INSERT INTO t VALUES (1)", "WITH 1 AS x INSERT INTO t SELECT x",
        "WITH 1 AS x INSERT t SELECT x", "WITH 'a", "SELECTED", "`SELECT` 1", "DROP TABLE t",
        "CREATE TABLE t AS SELECT 1", "ALTER TABLE t DELETE WHERE 1", "OPTIMIZE TABLE t", "SET a=1",
        "-- SELECT\nSYSTEM RELOAD CONFIG", "KILL QUERY WHERE 1", "SELECT$1"}) {
    EXPECT_FALSE(is_read(sql)) << sql;
  }
}

TEST(IsInsert, KnowsInserts) {
  for (const char* sql : {"INSERT INTO t VALUES (1)", "/* x */ insert into t", "INSERT t SELECT 1",
                          "WITH y AS (SELECT 1) INSERT INTO t SELECT * FROM y"}) {
    EXPECT_TRUE(is_insert(sql)) << sql;
  }
  for (const char* sql : {"SELECT 'INSERT INTO'", "WITH 1 AS insert SELECT insert",
                          "EXPLAIN INSERT INTO t SELECT 1", "inserted"}) {
    EXPECT_FALSE(is_insert(sql)) << sql;
  }
}

TEST(QuotedIdentifiers, AreQuotedFromEndToEnd) {
  for (const char* text : {"`a`", "\"a b\"", "`a``b`", "`a\\`b`"}) {
    EXPECT_TRUE(is_quoted_identifier(text)) << text;
  }
  for (const char* text : {"", "`", "``", "a", "'a'", "`a", "`a`b`", "`a`, `b`", "`a\\`", " `a`"}) {
    EXPECT_FALSE(is_quoted_identifier(text)) << text;
  }
}

TEST(PlaceholderNames, FollowTheServersGrammar) {
  for (const char* name : {"a", "_", "a1", "1a", "1_", "a$b", "$a", "$a$", "select"}) {
    EXPECT_TRUE(is_placeholder_name(name)) << name;
  }
  for (const char* name : {"", "1", "$", "$$", "a b", "a-b", "a.b", "é", "'a'", "a:", "1a$"}) {
    EXPECT_FALSE(is_placeholder_name(name)) << name;
  }
}

}  // namespace
}  // namespace millrace
