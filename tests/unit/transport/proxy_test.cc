// HTTP proxies: which one, and what goes through it.
#include "transport/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "tests/support/forward_proxy.h"
#include "tests/support/tls_authority.h"
#include "tests/support/tls_front.h"
#include "tests/unit/transport/connect_rig.h"

namespace millrace::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kOk = http_response(200, "fine");

std::string refusal(const std::string& url) {
  try {
    parse_proxy(url);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(ProxyUrl, SchemeAndPortMayBeLeftOut) {
  EXPECT_EQ(parse_proxy("squid:3128"), (Proxy{"squid", 3128}));
  EXPECT_EQ(parse_proxy("http://Squid:3128/"), (Proxy{"squid", 3128}));
  EXPECT_EQ(parse_proxy("HTTP://squid"), (Proxy{"squid", 80}));
  EXPECT_EQ(parse_proxy("[::1]:3128"), (Proxy{"::1", 3128}));
  EXPECT_EQ(parse_proxy("[::1]"), (Proxy{"::1", 80}));
}

TEST(ProxyUrl, UserAndPasswordBecomeBasicAuthentication) {
  EXPECT_EQ(parse_proxy("http://Aladdin:open%20sesame@squid:1").authorization,
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617 2
  EXPECT_EQ(parse_proxy("a:b%3A%40@squid").authorization, basic_authorization("a", "b:@"));
  EXPECT_EQ(parse_proxy("a@squid").authorization, basic_authorization("a", ""));
  EXPECT_EQ(basic_authorization("a", "b"), "Basic YTpi");
  EXPECT_EQ(basic_authorization("a", "bc"), "Basic YTpiYw==");
  EXPECT_EQ(basic_authorization("a", "bcd"), "Basic YTpiY2Q=");
  EXPECT_EQ(parse_proxy("a:secret@squid:1").to_string(), "proxy http://squid:1");
}

TEST(ProxyUrl, FaultsAreRefusedWithoutThePassword) {
  for (const std::string url : {"https://a:secret@h", "socks5://a:secret@h", "http://a:secret@",
                                "a:secret@h:0", "a:secret@h:x", "http://a:secret@h h", ""}) {
    EXPECT_THAT(refusal(url), HasSubstr("proxy")) << url;
    EXPECT_THAT(refusal(url), Not(HasSubstr("secret"))) << url;
  }
}

TEST(ProxyEnvironment, NamesWhatIsReachedWithoutAProxy) {
  const Endpoint db{.host = "db.example.com", .port = 8123};
  const Endpoint local{.host = "127.0.0.1", .port = 8123};
  const Endpoint v6{.host = "::1", .port = 8123};
  const auto check = [](const Endpoint& endpoint, const char* list, bool bypassed) {
    EXPECT_EQ(bypasses_proxy(endpoint, list), bypassed) << endpoint.host << " by " << list;
  };
  for (const char* list :
       {"*", "db.example.com", "DB.Example.COM", "example.com", ".example.com", "com", " x , * ",
        "x,db.example.com", "db.example.com:8123", "example.com:8123", ".example.com:8123"}) {
    check(db, list, true);
  }
  for (const char* list : {"", ",", "b.example.com", "ample.com", "db.example.com:9000", "db",
                           "db.example.com.org", "www.db.example.com", "."}) {
    check(db, list, false);
  }
  check(local, "127.0.0.1", true);
  check(local, "localhost", false);
  check(v6, "::1", true);
  check(v6, "[::1]", true);
  check(v6, "[::1]:8123", true);
  check(v6, "[::1]:1", false);
}

TEST(ProxyEnvironment, IsAskedByTheEndpointsSchemeAndFirstInLowerCase) {
  const Endpoint http{.host = "db"}, https{.host = "db", .secure = true};
  std::map<std::string, std::string> variables;
  const auto proxy_of = [&](const Endpoint& endpoint) {
    const auto proxy = proxy_from_environment(endpoint, [&](const std::string& name) {
      return variables.contains(name) ? variables[name] : "";
    });
    return proxy ? proxy->host : "none";
  };
  EXPECT_EQ(proxy_of(http), "none");
  variables = {{"HTTP_PROXY", "upper"}, {"https_proxy", "secure"}};
  EXPECT_EQ(proxy_of(http), "upper");
  EXPECT_EQ(proxy_of(https), "secure");
  variables["http_proxy"] = "lower";
  EXPECT_EQ(proxy_of(http), "lower");
  variables["NO_PROXY"] = "db";
  EXPECT_EQ(proxy_of(http), "none");
  variables["no_proxy"] = "other";
  EXPECT_EQ(proxy_of(http), "lower");
  variables["http_proxy"] = "socks5://a:secret@x";
  try {
    proxy_of(http);
    ADD_FAILURE() << "accepted";
  } catch (const UsageError& e) {
    EXPECT_THAT(e.what(), HasSubstr("http_proxy"));
  }
}

class ThroughAProxy : public testing::Test {
 protected:
  HttpSessionPoolOptions options(const std::string& http, const std::string& https = "") {
    HttpSessionPoolOptions result;
    result.http_proxy = http;
    result.https_proxy = https;
    result.tls.ca_cert = authority_.certificate();
    return result;
  }

  TestAuthority authority_;
  ScriptedServer server_{{answer_all(kOk)}};
  TlsFront front_{server_.endpoint().port, {.identity = authority_.issue()}};
};

TEST_F(ThroughAProxy, HttpRequestsNameTheirTargetInFull) {
  ForwardProxy proxy;
  HttpSessionPool pool(options(proxy.url()));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(request(pool, server_.endpoint(), "body").body, "fine");
  const std::string line = "POST http://" + server_.endpoint().authority() + "/?q HTTP/1.1";
  EXPECT_THAT(proxy.requests(), ElementsAre(line, line, line));
  EXPECT_EQ(proxy.forwarded(), 3u);
  EXPECT_EQ(proxy.accepted(), 1u) << "the connection to the proxy is kept";
  pool.close_connections();
  EXPECT_EQ(server_.wait_ended(0).headers.substr(0, 18), "POST /?q HTTP/1.1\r");
}

TEST_F(ThroughAProxy, HttpRequestsCarryThePassword) {
  ForwardProxy proxy({.user = "us:er", .password = "p@ss"});
  HttpSessionPool pool(options("us%3Aer:p%40ss@127.0.0.1:" + std::to_string(proxy.port())));
  EXPECT_EQ(request(pool, server_.endpoint()).status, 200);
  EXPECT_EQ(request(pool, server_.endpoint()).status, 200);
  HttpSessionPool stranger(options("http://127.0.0.1:" + std::to_string(proxy.port())));
  EXPECT_EQ(request(stranger, server_.endpoint()).status, 407);
  EXPECT_EQ(proxy.forwarded(), 2u);
}

TEST_F(ThroughAProxy, HttpsGoesThroughATunnel) {
  ForwardProxy proxy({.user = "user", .password = "secret"});
  HttpSessionPool pool(options("", proxy.url()));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(request(pool, front_.endpoint(), "body").body, "fine");
  EXPECT_THAT(proxy.requests(),
              ElementsAre("CONNECT " + front_.endpoint().authority() + " HTTP/1.1"));
  EXPECT_EQ(proxy.tunnels(), 1u);
  EXPECT_EQ(front_.handshakes(), 1u);
  pool.close_connections();
  EXPECT_EQ(server_.wait_ended(0).headers.find("secret"), std::string::npos);
}

TEST_F(ThroughAProxy, TheOptionOfOneSchemeIsNotForTheOther) {
  ForwardProxy proxy;
  HttpSessionPool http_only(options(proxy.url()));
  EXPECT_EQ(request(http_only, front_.endpoint()).status, 200);
  HttpSessionPool https_only(options("", proxy.url()));
  EXPECT_EQ(request(https_only, server_.endpoint()).status, 200);
  EXPECT_EQ(proxy.accepted(), 0u);
}

TEST_F(ThroughAProxy, ARefusedTunnelNamesProxyAndStatus) {
  ForwardProxy proxy({.user = "user", .password = "secret"});
  const std::string address = "127.0.0.1:" + std::to_string(proxy.port());
  HttpSessionPool pool(options("", "user:wrong@" + address));
  const std::string text = error_text(pool, front_.endpoint());
  EXPECT_THAT(text, HasSubstr("407 Proxy Authentication Required"));
  EXPECT_THAT(text, HasSubstr(address));
  EXPECT_THAT(text, HasSubstr(front_.endpoint().authority()));
  EXPECT_THAT(text, Not(HasSubstr("wrong")));
  EXPECT_EQ(pool.stats().connect_failures, 1u);
}

TEST_F(ThroughAProxy, AProxyThatSaysNothingIsGivenUpAtTheConnectTimeout) {
  ForwardProxy proxy({.silent = true});
  auto impatient = options("", proxy.url());
  impatient.connect_timeout = milliseconds(50);
  HttpSessionPool pool(impatient);
  EXPECT_THAT(error_text(pool, front_.endpoint()), HasSubstr("time left"));
}

TEST_F(ThroughAProxy, AProxyThatNeverEndsItsAnswerIsGivenUp) {
  const auto tunnel_error = [&](const std::string& answer) {
    const ScriptedServer proxy({[&](auto& connection) {
      connection.read_header();
      connection.send(answer);
      connection.wait_for_close();
    }});
    HttpSessionPool pool(options("", proxy.endpoint().authority()));
    return error_text(pool, front_.endpoint());
  };
  const std::string status = "HTTP/1.1 200 OK\r\n";
  EXPECT_THAT(tunnel_error(status + std::string(9000, 'x')), HasSubstr("too long"));
  EXPECT_THAT(tunnel_error(status + "\r\nSSH-2.0"), HasSubstr("bytes after"));
  EXPECT_THAT(tunnel_error("SSH-2.0 OpenSSH\r\n\r\n"), HasSubstr("no HTTP"));
}

TEST_F(ThroughAProxy, AProxyThatIsNotThereIsNamed) {
  std::string url;
  {
    const ForwardProxy gone;
    url = gone.url();
  }
  HttpSessionPool pool(options(url));
  EXPECT_THAT(error_text(pool, server_.endpoint()), HasSubstr("proxy " + url));
}

TEST_F(ThroughAProxy, TheEnvironmentCountsOnlyWhenAskedFor) {
  ForwardProxy proxy;
  ASSERT_EQ(::setenv("http_proxy", proxy.url().c_str(), 1), 0);
  ASSERT_EQ(::setenv("no_proxy", "localhost", 1), 0);
  HttpSessionPoolOptions from_environment;
  from_environment.proxy_from_environment = true;
  HttpSessionPool deaf, pool(from_environment);
  request(deaf, server_.endpoint());
  EXPECT_EQ(proxy.accepted(), 0u);
  request(pool, server_.endpoint());
  EXPECT_EQ(proxy.forwarded(), 1u);
  Endpoint exempt = server_.endpoint();
  exempt.host = "localhost";
  request(pool, exempt);
  EXPECT_EQ(proxy.forwarded(), 1u);
  ASSERT_EQ(::setenv("http_proxy", "ftp://x", 1), 0);
  pool.set_options(from_environment);
  EXPECT_THROW(pool.acquire(server_.endpoint(), soon(), true), UsageError);
  EXPECT_EQ(pool.stats().leased, 0u);
}

TEST_F(ThroughAProxy, AnotherProxyIsForNewConnections) {
  ForwardProxy proxy;
  HttpSessionPool pool;
  request(pool, server_.endpoint());
  HttpSessionPoolOptions changed;
  changed.http_proxy = proxy.url();
  pool.set_options(changed);
  EXPECT_EQ(pool.stats().idle, 0u);
  request(pool, server_.endpoint());
  EXPECT_EQ(proxy.forwarded(), 1u);
}

TEST(ProxyOptions, OfBothSchemesOrUnreadableAreRefused) {
  HttpSessionPoolOptions options;
  options.http_proxy = options.https_proxy = "squid:3128";
  EXPECT_THROW(options.validate(), UsageError);
  options.http_proxy = "";
  EXPECT_NO_THROW(options.validate());
  options.https_proxy = "socks5://squid";
  EXPECT_THROW(options.validate(), UsageError);
}

}  // namespace
}  // namespace millrace::test
