#include "service/admin_actions.h"

#include <gmock/gmock.h>

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kToken = "t0ken-1";

int status_for(const AdminCaller& caller, const std::string& token) {
  const auto refused = refusal(caller, token);
  return refused ? refused->status : 200;
}

TEST(AdminAccess, WithoutATokenOnlyThisHostMayChangeSomething) {
  for (const char* address : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
    EXPECT_EQ(status_for({.address = address}, ""), 200) << address;
  for (const char* address : {"10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "", "1127.0.0.1"})
    EXPECT_EQ(status_for({.address = address}, ""), 403) << address;
  EXPECT_THAT(refusal({.address = "10.0.0.1"}, "")->json, HasSubstr("admin.token"));
}

TEST(AdminAccess, AWebPageInABrowserOnThisHostMayNot) {
  EXPECT_EQ(status_for({.address = "127.0.0.1", .origin = "https://evil.example"}, ""), 403);
}

TEST(AdminAccess, WithATokenWhoeverHasItMayAndNobodyElse) {
  const auto status = [](const std::string& authorization) {
    return status_for({.address = "10.0.0.1", .authorization = authorization}, kToken);
  };
  EXPECT_EQ(status("Bearer t0ken-1"), 200);
  for (const char* wrong : {"", "t0ken-1", "Bearer ", "Bearer t0ken-", "Bearer t0ken-2",
                            "Bearer t0ken-11", "Bearer t0ken-1t0ken-1", "Basic t0ken-1"})
    EXPECT_EQ(status(wrong), 401) << wrong;
  EXPECT_EQ(status_for({.address = "127.0.0.1"}, kToken), 401) << "this host needs it, too";
  EXPECT_THAT(refusal({}, kToken)->json, HasSubstr("Authorization: Bearer"));
  EXPECT_THAT(refusal({}, kToken)->json, Not(HasSubstr(kToken)));
}

class Actions : public testing::Test {
 protected:
  AdminReply post(const std::string& path, const AdminQuery& query = {}) {
    return carry_out(actions_, path, query);
  }

  std::vector<std::string> done_;
  AdminActions actions_{
      .reload =
          [] {
            return AdminReply{422, "{}"};
          },
      .drain = [this] { done_.emplace_back("drain"); },
      .set_log_level =
          [this](const std::string& level) {
            if (level != "debug") throw std::invalid_argument("no such level");
            done_.push_back(level);
          },
      .pipelines =
          [] {
            return std::vector<std::string>{"a", "b/pause"};
          },
      .set_paused = [this](const std::string& name,
                           bool paused) { done_.push_back(name + (paused ? " off" : " on")); }};
};

TEST_F(Actions, EachIsFoundByItsPath) {
  EXPECT_EQ(post("/drain").status, 202);
  EXPECT_EQ(post("/reload").status, 422);
  EXPECT_EQ(post("/log-level", {{"level", "debug"}}).json, R"({"level":"debug"})");
  EXPECT_EQ(post("/pipelines/a/pause").json, R"({"pipeline":"a","paused":true})");
  EXPECT_EQ(post("/pipelines/a/resume").json, R"({"pipeline":"a","paused":false})");
  EXPECT_EQ(post("/pipelines/b/pause/pause").status, 200);
  EXPECT_THAT(done_, ElementsAre("drain", "debug", "a off", "a on", "b/pause off"));
}

TEST_F(Actions, AnUnknownPipelineIs404AndNamesThoseThatThereAre) {
  const AdminReply reply = post("/pipelines/c/pause");
  EXPECT_EQ(reply.status, 404);
  EXPECT_THAT(reply.json, HasSubstr("there is a, b/pause"));
  EXPECT_THAT(done_, ElementsAre());
}

TEST_F(Actions, ALogLevelThatThereIsNotIs400) {
  EXPECT_EQ(post("/log-level").status, 400);
  EXPECT_EQ(post("/log-level", {{"level", "loud"}}).status, 400);
  EXPECT_THAT(done_, ElementsAre());
}

TEST_F(Actions, OtherPathsAreNone) {
  for (const char* path : {"/", "/drain/", "/pipelines/a", "/pipelines//pause", "/pipelines/pause"})
    EXPECT_FALSE(is_admin_action(path)) << path;
  EXPECT_EQ(post("/drains").status, 404);
}

}  // namespace
}  // namespace millrace
