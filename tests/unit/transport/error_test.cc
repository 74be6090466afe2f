#include "transport/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/http_status.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::Not;

Disposition of(int code) { return disposition_of(code, ""); }

TEST(Disposition, WhatPassesByItselfIsRetried) {
  for (const int code : {3,   32,  159, 202, 203, 209, 210, 216, 225, 241, 244, 254,
                         279, 285, 286, 289, 297, 319, 373, 394, 425, 745, 999, 1000}) {
    EXPECT_EQ(of(code), Disposition::kRetry) << code;
  }
}

TEST(Disposition, WhatSomebodyMustMendWaits) {
  for (const int code : {16, 20, 47, 60, 81, 164, 192, 193, 194, 242, 243, 497, 516}) {
    EXPECT_EQ(of(code), Disposition::kWait) << code;
  }
}

TEST(Disposition, BadRowsAreSplitOut) {
  for (const int code : {6, 25, 26, 27, 33, 38, 41, 53, 72, 117, 131, 321, 349, 376, 469}) {
    EXPECT_EQ(of(code), Disposition::kSplit) << code;
  }
}

TEST(Disposition, ADeduplicatedInsertIsDone) { EXPECT_EQ(of(389), Disposition::kDone); }

TEST(Disposition, AnUnknownCodeIsNeverAReasonToGiveUp) {
  for (const int code : {0, -1, 4711}) EXPECT_EQ(of(code), Disposition::kRetry) << code;
}

TEST(Disposition, TooManyPartsIsDecidedByItsText) {
  EXPECT_EQ(disposition_of(252,
                           "Code: 252. DB::Exception: Too many parts (300 with average size of 1 "
                           "MiB) in table 'd.t'. Merges are processing significantly slower than "
                           "inserts. (TOO_MANY_PARTS)"),
            Disposition::kRetry);
  EXPECT_EQ(disposition_of(252,
                           "Code: 252. DB::Exception: Too many partitions for single INSERT block "
                           "(more than 100). (TOO_MANY_PARTS)"),
            Disposition::kSplit);
  EXPECT_EQ(disposition_of(252,
                           "Code: 252. DB::Exception: Too many parts (100000) in all partitions "
                           "in total in table 'd.t'. (TOO_MANY_PARTS)"),
            Disposition::kWait);
}

TEST(Disposition, AFieldWithoutAColumnWaitsForTheColumn) {
  EXPECT_EQ(disposition_of(117, "Unknown field found while parsing JSONEachRow format: extra"),
            Disposition::kWait);
  EXPECT_EQ(disposition_of(117, "Cannot parse JSON object here"), Disposition::kSplit);
}

// The table has the rows then: nothing may be sent in parts. Texts of ClickHouse 26.7.
TEST(Disposition, WhatFailsInAViewWaits) {
  const std::string constraint =
      "Code: 469. DB::Exception: Constraint `c` for table default.mvt is violated at row 2. "
      "Expression: (k < 100). Column values: ";
  const std::string end = " (VIOLATED_CONSTRAINT) (version 26.7.2.1)";
  EXPECT_EQ(disposition_of(469, constraint + "k = 800: while pushing to view default.mv." + end),
            Disposition::kWait);
  EXPECT_EQ(disposition_of(469, constraint + "k = 800." + end), Disposition::kSplit);
  // Data of the user's are no word of the server.
  EXPECT_EQ(disposition_of(469, constraint + "t = 'no: while pushing to view a.b'." + end),
            Disposition::kSplit);
  EXPECT_EQ(disposition_of(27,
                           "Code: 27. DB::Exception: Cannot parse input: expected '{' before: ': "
                           "while pushing to view a.b': (at row 3)"),
            Disposition::kSplit);
  EXPECT_EQ(disposition_of(117,
                           "Code: 117. DB::Exception: Cannot parse JSON: 'DB::Exception: Unknown "
                           "field found': (at row 3)"),
            Disposition::kSplit);
}

TEST(Disposition, AProxysRefusalWaitsAndItsTroubleIsRetried) {
  for (const int status :
       {301, 302, 307, 308, 400, 401, 403, 404, 405, 407, 411, 413, 414, 431, 501})
    EXPECT_EQ(disposition_of_status(status), Disposition::kWait) << status;
  for (const int status : {408, 429, 500, 502, 503, 504, 520, 0, 200})
    EXPECT_EQ(disposition_of_status(status), Disposition::kRetry) << status;
  ClickHouseError::Details details{.message = "<html>", .http_status = 413};
  EXPECT_EQ(ClickHouseError(details).disposition(), Disposition::kWait);
  EXPECT_TRUE(is_too_large(ClickHouseError(details)));
  details.code = 241;
  EXPECT_FALSE(is_too_large(ClickHouseError(details)));
}

TEST(ErrorCodeName, NamesWhatWeKnow) {
  EXPECT_EQ(error_code_name(60), "UNKNOWN_TABLE");
  EXPECT_EQ(error_code_name(1002), "UNKNOWN_EXCEPTION");
  EXPECT_EQ(error_code_name(4711), "");
}

TEST(ClickHouseErrorText, TellsAnOperatorWhereWhatAndWhichQuery) {
  const ClickHouseError error(
      {.code = 60,
       .name = "UNKNOWN_TABLE",
       .message =
           "Code: 60. DB::Exception: Table d.t does not exist. (UNKNOWN_TABLE) (version 26.7)",
       .query_id = "q-1",
       .http_status = 404,
       .endpoint = "http://h:8123/"});
  EXPECT_THAT(error.what(), HasSubstr("ClickHouse 404 at http://h:8123/: code 60 UNKNOWN_TABLE: "
                                      "Table d.t does not exist."));
  EXPECT_THAT(error.what(), HasSubstr("(query_id q-1)"));
  EXPECT_THAT(error.what(), Not(HasSubstr("version")));
  EXPECT_EQ(error.disposition(), Disposition::kWait);
}

TEST(ClickHouseErrorText, IsOneLine) {
  const ClickHouseError error({.code = 516, .message = "Code: 516. DB::Exception: a\r\n\n b\n"});
  EXPECT_THAT(error.what(), HasSubstr(": a b"));
  EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
}

TEST(ClickHouseErrorText, SaysWhenTheAnswerIsNotClickHouses) {
  const ClickHouseError error(
      {.message = "<html>Bad Gateway</html>", .http_status = 502, .endpoint = "http://h:8123/"});
  EXPECT_THAT(error.what(), HasSubstr("502"));
  EXPECT_THAT(error.what(), HasSubstr("proxy"));
  EXPECT_EQ(error.disposition(), Disposition::kRetry);
}

}  // namespace
}  // namespace millrace
