#include "transport/external_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "transport/error.h"
#include "transport/request_text.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

ExternalFile movies() {
  return {.file_name = "movies.csv",
          .source = std::string("a,1\n"),
          .format = "CSV",
          .structure = "m String,y UInt16"};
}

std::string error_of(ExternalFile file) {
  try {
    ExternalData data(std::move(file));
    return "no error";
  } catch (const UsageError& error) {
    return error.what();
  }
}

// What a sender would write.
std::string bytes_of(const Multipart& body) {
  std::string bytes;
  for (const Multipart::Part& part : body.parts) {
    bytes += part.head;
    if (const auto* text = std::get_if<std::string_view>(&part.content)) {
      bytes += *text;
    } else {
      std::ifstream file(std::get<std::filesystem::path>(part.content), std::ios::binary);
      bytes.append(std::istreambuf_iterator<char>(file), {});
    }
  }
  return bytes + body.tail;
}

TEST(ExternalData, IsCheckedWhenAFileIsAdded) {
  EXPECT_EQ(error_of({.file_name = "a.csv"}),
            "Either data or file_path must be specified for external data");
  EXPECT_EQ(error_of({.source = std::string("x")}), "Name is required for query external data");
  EXPECT_EQ(error_of({.file_name = ".csv", .source = std::string("x")}),
            "Name is required for query external data");
  EXPECT_EQ(
      error_of({.file_name = "a", .source = std::string(), .types = "Int8", .structure = "x Int8"}),
      "Only types or structure should be specified for external data, not both");
  EXPECT_EQ(error_of({.file_name = "a", .source = std::string()}), "no error");
  for (const char* name : {"a\"b", "a\\b", "a\r\nb"}) {
    EXPECT_NE(error_of({.file_name = name, .source = std::string()}), "no error") << name;
  }
  EXPECT_NE(error_of({.file_name = "a", .source = std::string(), .mime_type = "x\r\ny"}),
            "no error");
}

TEST(ExternalData, WithoutAFileCannotBeSent) {
  EXPECT_THROW(ExternalData().files(), UsageError);
  EXPECT_THROW(ExternalData().url_parameters(), UsageError);
}

TEST(ExternalData, NamesTablesAfterFiles) {
  EXPECT_EQ(movies().table(), "movies");
  EXPECT_EQ((ExternalFile{.file_name = "a.b.csv"}.table()), "a.b");
  EXPECT_EQ((ExternalFile{.file_name = "plain"}.table()), "plain");
  const ExternalData data({.source = std::filesystem::path("/some/where/films.tsv")});
  EXPECT_EQ(data.files().front().file_name, "films.tsv");
}

TEST(ExternalData, SendsOnlyTheParametersGiven) {
  ExternalData data(movies());
  data.add_file({.file_name = "y", .source = std::string(), .types = "Int8,String"});
  EXPECT_THAT(data.url_parameters(), ElementsAre(Pair("movies_format", "CSV"),
                                                 Pair("movies_structure", "m String,y UInt16"),
                                                 Pair("y_types", "Int8,String")));
}

TEST(ExternalData, TheLastFileOfATableWins) {
  ExternalData data(movies());
  data.add_file({.file_name = "movies.tsv", .source = std::string("x"), .types = "String"});
  ASSERT_EQ(data.files().size(), 1u);
  EXPECT_EQ(data.files().front().file_name, "movies.tsv");
}

TEST(QueryString, EncodesAsFormsDo) {
  EXPECT_EQ(query_string({}), "");
  EXPECT_EQ(query_string({{"a", "x y"}, {"b&", "1+1=2%20/é"}, {"c", ""}}),
            "a=x+y&b%26=1%2B1%3D2%2520%2F%C3%A9&c=");
}

TEST(QueryRequest, WithoutExternalDataIsTheStatement) {
  const BoundQuery query{"SELECT {a:Int8}", {{"param_a", "1"}}};
  const QueryRequest request = query_request(query, nullptr, false, "B");
  EXPECT_EQ(std::get<std::string_view>(request.body), "SELECT {a:Int8}");
  EXPECT_THAT(request.url, ElementsAre(Pair("param_a", "1")));
}

// The bytes that ClickHouse Connect sends.
TEST(QueryRequest, WithExternalDataIsTheGoldenRequest) {
  const BoundQuery query{"SELECT count() FROM movies"};
  const ExternalData external(movies());
  const QueryRequest request = query_request(query, &external, false, "B");
  EXPECT_EQ(query_string(request.url),
            "query=SELECT+count%28%29+FROM+movies&movies_format=CSV"
            "&movies_structure=m+String%2Cy+UInt16");
  const auto& body = std::get<Multipart>(request.body);
  EXPECT_EQ(body.content_type, "multipart/form-data; boundary=B");
  const std::string bytes =
      "--B\r\nContent-Disposition: form-data; name=\"movies\"; filename=\"movies.csv\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\na,1\n\r\n--B--\r\n";
  EXPECT_EQ(bytes_of(body), bytes);
  EXPECT_EQ(body.size(), bytes.size());
}

TEST(QueryRequest, KeepsParametersInTheUrlBesideExternalData) {
  const BoundQuery query{"SELECT {a:Int8}", {{"param_a", "1"}}};
  const ExternalData external({.file_name = "t", .source = std::string(), .types = "Int8"});
  const QueryRequest request = query_request(query, &external, false, "B");
  EXPECT_THAT(request.url, ElementsAre(Pair("param_a", "1"), Pair("query", "SELECT {a:Int8}"),
                                       Pair("t_types", "Int8")));
}

TEST(QueryRequest, AsAFormHasThreeKindsOfParts) {
  const BoundQuery query{"SELECT {a:Int8}", {{"param_a", "1"}}};
  const ExternalData external(movies());
  const QueryRequest request = query_request(query, &external, true, "B-1");
  EXPECT_THAT(request.url, ElementsAre(Pair("movies_format", "CSV"),
                                       Pair("movies_structure", "m String,y UInt16")));
  const auto& body = std::get<Multipart>(request.body);
  const std::string bytes =
      "--B-1\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {a:Int8}"
      "\r\n--B-1\r\nContent-Disposition: form-data; name=\"param_a\"\r\n\r\n1"
      "\r\n--B-1\r\nContent-Disposition: form-data; name=\"movies\"; filename=\"movies.csv\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\na,1\n\r\n--B-1--\r\n";
  EXPECT_EQ(bytes_of(body), bytes);
  EXPECT_EQ(body.size(), bytes.size());
}

TEST(QueryRequest, BecomesAFormWhenTheParametersAreLong) {
  const auto is_form = [](const BoundQuery& query, bool force) {
    const QueryRequest request = query_request(query, nullptr, force, "B");
    EXPECT_EQ(request.url.empty(), std::holds_alternative<Multipart>(request.body));
    return std::holds_alternative<Multipart>(request.body);
  };
  const std::size_t fits = kMaxUrlParameters - std::string("param_a=").size();
  EXPECT_FALSE(is_form({"SELECT 1", {{"param_a", std::string(fits, 'x')}}}, false));
  EXPECT_TRUE(is_form({"SELECT 1", {{"param_a", std::string(fits + 1, 'x')}}}, false));
  EXPECT_TRUE(is_form({"SELECT 1", {{"param_a", std::string(fits / 3 + 1, ' ')}}}, false));
  EXPECT_FALSE(is_form({"SELECT 1", {{"param_a", std::string(fits + 1, 'x')}}, true}, false));
  EXPECT_TRUE(is_form({"SELECT 1", {{"param_a", "x"}}}, true));
}

TEST(QueryRequest, ABinaryStatementFitsNoUrl) {
  const BoundQuery query{"SELECT $a$\xff$a$", {}, true};
  const ExternalData external(movies());
  try {
    query_request(query, &external, false, "B");
    ADD_FAILURE() << "no error";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "Binary query cannot be placed in URL when using External Data; enable form "
                 "encoding.");
  }
  EXPECT_NO_THROW(query_request(query, &external, true, "B"));
}

TEST(QueryRequest, NamesAFileAndKnowsItsSize) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "external_data_test_films.csv";
  std::ofstream(path, std::ios::binary) << "a,1\r\nb,2\n";
  const BoundQuery query{"SELECT 1"};
  const ExternalData external({.source = path, .types = "String,Int8"});
  const QueryRequest request = query_request(query, &external, false, "B");
  const auto& body = std::get<Multipart>(request.body);
  EXPECT_EQ(body.parts.front().size, 9u);
  EXPECT_THAT(bytes_of(body), HasSubstr("\r\n\r\na,1\r\nb,2\n\r\n--B--\r\n"));
  EXPECT_EQ(body.size(), bytes_of(body).size());
  std::filesystem::remove(path);
  EXPECT_THROW(query_request(query, &external, false, "B"), UsageError);
}

}  // namespace
}  // namespace millrace
