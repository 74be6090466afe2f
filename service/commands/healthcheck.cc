#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/StreamCopier.h>
#include <Poco/Timespan.h>

#include <ostream>
#include <string>

#include "service/commands/admin.h"
#include "service/commands/commands.h"

namespace millrace {
namespace {

namespace net = Poco::Net;

constexpr int kPatienceSeconds = 4;  // whoever asks gives up after five

}  // namespace

ExitCode healthcheck(const AdminConfig& admin, bool ready, std::ostream& out) {
  const std::string host = admin_host(admin);
  try {
    net::HTTPClientSession session(host, admin.port);
    session.setTimeout(Poco::Timespan(kPatienceSeconds, 0));
    net::HTTPRequest request(net::HTTPRequest::HTTP_GET, ready ? "/readyz" : "/livez",
                             net::HTTPMessage::HTTP_1_1);
    session.sendRequest(request);
    net::HTTPResponse response;
    std::istream& body = session.receiveResponse(response);
    Poco::StreamCopier::copyStream(body, out);
    return response.getStatus() == net::HTTPResponse::HTTP_OK ? ExitCode::kOk : ExitCode::kFailure;
  } catch (const Poco::Exception& error) {
    out << "no answer from " << host << ":" << admin.port << ": " << error.displayText()
        << "; does `millrace run` run with this configuration (admin.listen)?\n";
    return ExitCode::kFailure;
  }
}

}  // namespace millrace
