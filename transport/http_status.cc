#include "transport/http_status.h"

namespace millrace {

Disposition disposition_of_status(int http_status) {
  switch (http_status) {
    case 408:  // the request came too slowly
    case 425:  // too early
    case 429:  // too many of them
      return Disposition::kRetry;
    case 501:  // no such kind of request
    case 505:  // no HTTP/1.1
    case 511:  // a network that wants a login first
      return Disposition::kWait;
    default:
      return http_status >= 300 && http_status < 500 ? Disposition::kWait : Disposition::kRetry;
  }
}

bool is_too_large(const TransportError& error) {
  return error.http_status() == 413 && error.code() == 0;
}

}  // namespace millrace
