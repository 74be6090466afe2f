#include "transport/endpoint.h"

#include <gtest/gtest.h>

#include "transport/error.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using Time = std::chrono::steady_clock::time_point;

TEST(ParseEndpoint, TakesSchemeHostPortAndPath) {
  const Endpoint endpoint = parse_endpoint("http://ch-1.example:9000/proxy/");
  EXPECT_EQ(endpoint.host, "ch-1.example");
  EXPECT_EQ(endpoint.port, 9000);
  EXPECT_EQ(endpoint.path, "/proxy/");
  EXPECT_FALSE(endpoint.secure);
  EXPECT_EQ(endpoint.to_string(), "http://ch-1.example:9000/proxy/");
}

TEST(ParseEndpoint, FillsInTheDefaults) {
  EXPECT_EQ(parse_endpoint("http://h").to_string(), "http://h:8123/");
  EXPECT_EQ(parse_endpoint("https://h").to_string(), "https://h:8443/");
  EXPECT_EQ(parse_endpoint("HTTP://HOST").to_string(), "http://host:8123/");
}

TEST(ParseEndpoint, PutsIpv6IntoBracketsOnTheWireOnly) {
  const Endpoint endpoint = parse_endpoint("http://[::1]:8123");
  EXPECT_EQ(endpoint.host, "::1");
  EXPECT_EQ(endpoint.authority(), "[::1]:8123");
}

TEST(ParseEndpoint, RefusesWhatItCannotHonour) {
  for (const char* url :
       {"", "localhost:8123", "ftp://h", "http://", "http://:8123", "http://h:0", "http://h:65536",
        "http://h:80x", "http://h:", "http://h?database=x", "http://h/#a", "http://h /",
        "http://[::1", "http://[::1]x", "http://a,b:8123", "http://h\r\nX: y"}) {
    EXPECT_THROW(parse_endpoint(url), UsageError) << url;
  }
}

TEST(ParseEndpoint, DoesNotRepeatAPasswordInItsMessage) {
  try {
    parse_endpoint("http://user:secret@h");
    FAIL() << "accepted";
  } catch (const UsageError& e) {
    EXPECT_EQ(std::string(e.what()).find("secret"), std::string::npos) << e.what();
  }
}

TEST(ChooseEndpoint, GoesRoundThoseInGoodHealth) {
  const std::vector<EndpointHealth> health(3);
  EXPECT_EQ(choose_endpoint(health, 0, Time{}), 1u);
  EXPECT_EQ(choose_endpoint(health, 1, Time{}), 2u);
  EXPECT_EQ(choose_endpoint(health, 2, Time{}), 0u);
}

TEST(ChooseEndpoint, PassesOverOneThatFailedUntilItsTimeIsUp) {
  const Time now{};
  std::vector<EndpointHealth> health(3);
  health[1].avoid_until = now + milliseconds(100);
  EXPECT_EQ(choose_endpoint(health, 0, now), 2u);
  EXPECT_EQ(choose_endpoint(health, 0, now + milliseconds(100)), 1u);
}

TEST(ChooseEndpoint, AlwaysAnswersWithTheSoonestWhenAllFailed) {
  const Time now{};
  std::vector<EndpointHealth> health(3);
  health[0].avoid_until = now + milliseconds(300);
  health[1].avoid_until = now + milliseconds(200);
  health[2].avoid_until = now + milliseconds(100);
  EXPECT_EQ(choose_endpoint(health, 0, now), 2u);
  EXPECT_EQ(choose_endpoint(health, 2, now), 2u);
}

TEST(EndpointPenalty, DoublesToALimit) {
  EXPECT_EQ(endpoint_penalty(0), milliseconds(0));
  EXPECT_EQ(endpoint_penalty(1), milliseconds(100));
  EXPECT_EQ(endpoint_penalty(2), milliseconds(200));
  EXPECT_EQ(endpoint_penalty(7), milliseconds(6'400));
  EXPECT_EQ(endpoint_penalty(8), milliseconds(10'000));
  EXPECT_EQ(endpoint_penalty(4'000'000'000u), milliseconds(10'000));
}

TEST(EndpointList, AvoidsAFailedHostForAllUntilItSucceeds) {
  const Time now{};
  EndpointList list({parse_endpoint("http://a"), parse_endpoint("http://b")});
  EXPECT_EQ(list.choose(now).host, "a");
  list.report_failure(list.all()[1], now);
  EXPECT_EQ(list.choose(now).host, "a");
  EXPECT_EQ(list.choose(now).host, "a");
  list.report_success(list.all()[1]);
  EXPECT_EQ(list.choose(now).host, "b");
}

TEST(EndpointList, NeedsAtLeastOne) { EXPECT_THROW(EndpointList({}), UsageError); }

}  // namespace
}  // namespace millrace
