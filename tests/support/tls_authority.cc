#include "tests/support/tls_authority.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace millrace::test {
namespace {

namespace fs = std::filesystem;

void require(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string("test authority: cannot ") + what);
}

fs::path make_folder() {
  std::string pattern = (fs::temp_directory_path() / "millrace-tls-XXXXXX").string();
  require(::mkdtemp(pattern.data()) != nullptr, "make a folder");
  return pattern;
}

template <class Write>
void write_pem(const fs::path& file, Write&& write) {
  std::FILE* const out = std::fopen(file.c_str(), "we");
  require(out != nullptr, "open a file");
  const bool written = write(out) == 1;
  require(std::fclose(out) == 0 && written, "write a file");
}

void set_name(X509_NAME* name, const std::string& common_name) {
  require(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(common_name.data()),
                                     static_cast<int>(common_name.size()), -1, 0) == 1,
          "name a certificate");
}

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  require(extension != nullptr, "make an extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + name;
  return list;
}

}  // namespace

struct TestAuthority::Pair {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();

  Pair(const std::string& common_name, long serial, long not_before, long not_after) {
    require(key != nullptr && certificate != nullptr, "make a key");
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), not_before);
    X509_gmtime_adj(X509_getm_notAfter(certificate), not_after);
    X509_set_pubkey(certificate, key);
    set_name(X509_get_subject_name(certificate), common_name);
  }
  ~Pair() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  void sign_by(const Pair& issuer) {
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate));
    require(X509_sign(certificate, issuer.key, EVP_sha256()) > 0, "sign");
  }
  void write(const fs::path& certificate_file, const fs::path& key_file) const {
    write_pem(certificate_file, [&](std::FILE* out) { return PEM_write_X509(out, certificate); });
    write_pem(key_file, [&](std::FILE* out) {
      return PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
};

TestAuthority::TestAuthority(const std::string& name) : folder_(make_folder()) {
  self_ = std::make_unique<Pair>(name, 1, -3600, 86'400);
  add_extension(self_->certificate, self_->certificate, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(self_->certificate, self_->certificate, NID_key_usage, "critical,keyCertSign");
  self_->sign_by(*self_);
  self_->write(certificate(), folder_ / "ca.key");
}

TestAuthority::~TestAuthority() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string TestAuthority::certificate() const { return folder_ / "ca.pem"; }

TestAuthority::Identity TestAuthority::issue(const Wishes& wishes) {
  const int number = ++issued_;
  Pair pair(wishes.common_name, number + 1, -7200, wishes.expired ? -3600 : 86'400);
  if (!wishes.names.empty()) {
    add_extension(pair.certificate, self_->certificate, NID_subject_alt_name, joined(wishes.names));
  }
  pair.sign_by(*self_);
  const std::string base = folder_ / std::to_string(number);
  pair.write(base + ".pem", base + ".key");
  return {base + ".pem", base + ".key"};
}

TestAuthority::Identity TestAuthority::issue_client(const std::string& common_name) {
  return issue({.common_name = common_name, .names = {}});
}

}  // namespace millrace::test
