// Rows that go in through TLS, by the settings of clickhouse.tls.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/tls_authority.h"
#include "tests/support/tls_front.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kRows = 2000;

// With the authority that is trusted wrong at first.
TEST_F(WithServers, RowsGoInThroughTlsOnceAReloadFindsTheRightAuthority) {
  kafka().create_topic(name(), 1);
  create_rows_table(clickhouse(), name(), 1000);
  TestAuthority authority;
  const TestAuthority another("another authority");
  TlsFront front(clickhouse().port(),
                 {.identity = authority.issue(), .client_authority = authority.certificate()});
  const TestAuthority::Identity client = authority.issue_client("millrace");
  std::filesystem::create_directories(folder());
  const auto trusted = folder() / "ca.pem";
  std::filesystem::copy_file(another.certificate(), trusted);
  Millrace millrace(folder(), "clickhouse: {endpoints: ['" + front.endpoint().to_string() +
                                  "'], tls: {ca_cert: " + trusted.string() +
                                  ", client_cert: " + client.certificate +
                                  ", client_cert_key: " + client.key + "}}\n" + pipelines_yaml());
  millrace.start();
  produce_rows(kafka(), name(), 0, kRows, 1);
  ASSERT_TRUE(
      eventually([&] { return millrace.log().find("certificate refused") != std::string::npos; },
                 kPatience, "the log says that the certificate is refused"));

  std::filesystem::copy_file(authority.certificate(), trusted,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(millrace.post("/reload").status, 200);
  ASSERT_TRUE(has_rows(name(), kRows));
  EXPECT_EQ(table_checksums(clickhouse(), name()), produced_checksums(clickhouse(), kRows));
  const double tomorrow =
      std::chrono::duration<double>(
          (std::chrono::system_clock::now() + std::chrono::hours(24)).time_since_epoch())
          .count();
  for (const char* kind : {"server", "client"}) {
    EXPECT_NEAR(
        millrace.metric("millrace_certificate_expiry_timestamp_seconds", {kind}).value_or(0),
        tomorrow, 3600)
        << kind;
  }
  EXPECT_EQ(millrace.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
