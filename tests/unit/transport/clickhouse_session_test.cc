#include "transport/clickhouse_session.h"

#include <gtest/gtest.h>

#include <set>

namespace millrace {
namespace {

TEST(RandomUuid, IsVersion4AndNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = random_uuid();
    ASSERT_EQ(uuid.size(), 36u);
    for (std::size_t k = 0; k < uuid.size(); ++k) {
      const std::string allowed = k == 8 || k == 13 || k == 18 || k == 23 ? "-"
                                  : k == 14                               ? "4"
                                  : k == 19                               ? "89ab"
                                                                          : "0123456789abcdef";
      EXPECT_NE(allowed.find(uuid[k]), std::string::npos) << uuid;
    }
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(ClickHouseSession, PerClientKeepsItsIdUntilItIsReplaced) {
  ClickHouseSession session(ClickHouseSessionPolicy::kPerClient);
  const std::string first = session.next_id();
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(session.next_id(), first);
  EXPECT_EQ(session.id(), first);
  session.replace();
  EXPECT_NE(session.next_id(), first);
  EXPECT_FALSE(session.id().empty());
}

TEST(ClickHouseSession, PerQueryHasANewIdEachTimeAndNoneToShow) {
  ClickHouseSession session(ClickHouseSessionPolicy::kPerQuery);
  EXPECT_NE(session.next_id(), session.next_id());
  EXPECT_EQ(session.id(), "");
}

TEST(ClickHouseSession, NoneStaysNone) {
  ClickHouseSession session(ClickHouseSessionPolicy::kNone);
  session.replace();
  EXPECT_EQ(session.next_id(), "");
}

}  // namespace
}  // namespace millrace
