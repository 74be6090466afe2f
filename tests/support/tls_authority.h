// A certificate authority of a test: makes keys and certificates, as PEM files in a folder of its
// own that goes with it. Owned by one thread; the names it gives out may be used by any.
//
//   TestAuthority authority;
//   const auto server = authority.issue({.names = {"DNS:localhost", "IP:127.0.0.1"}});
//   options.tls.ca_cert = authority.certificate();
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace millrace::test {

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "test authority");
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  // Its own certificate, for who shall trust it.
  std::string certificate() const;

  // PEM files.
  struct Identity {
    std::string certificate, key;
  };
  struct Wishes {
    std::string common_name = "localhost";
    // As subjectAltName has them; empty: none (of a client).
    std::vector<std::string> names{"DNS:localhost", "IP:127.0.0.1", "IP:::1"};
    bool expired = false;
  };
  Identity issue(const Wishes& wishes);
  Identity issue() { return issue(Wishes()); }
  // A user's certificate, without host names.
  Identity issue_client(const std::string& common_name);

 private:
  struct Pair;  // key and certificate
  std::filesystem::path folder_;
  std::unique_ptr<Pair> self_;
  int issued_ = 0;
};

}  // namespace millrace::test
