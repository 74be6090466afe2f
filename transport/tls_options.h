// What is said of TLS by who connects. Values.
#pragma once

#include <chrono>
#include <string>

namespace millrace {

// When a certificate ends.
using CertificateEnd = std::chrono::system_clock::time_point;

// Names of PEM files. Client certificates may be followed by their chain in the same file.
struct TlsOptions {
  bool verify = true;              // false: any certificate is accepted
  std::string ca_cert{};           // empty: the system's store
  std::string client_cert{};       // empty: none
  std::string client_cert_key{};   // empty: the key is in client_cert, too
  std::string server_host_name{};  // SNI, and the name to be found in the certificate; empty: the
                                   // endpoint's host
  bool operator==(const TlsOptions&) const = default;
  bool names_files() const { return !(ca_cert + client_cert + client_cert_key).empty(); }
};

}  // namespace millrace
