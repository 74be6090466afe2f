#include "service/descriptor_check.h"

#include <gmock/gmock.h>

#include "tests/unit/service/config_test_support.h"

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(DescriptorCheck, ALimitThatIsTooLowIsNamedWithTheFiguresAndWhatToDo) {
  const Config config = parse_config(minimal(), "m.yaml");
  const std::size_t needed = descriptors_needed(config);
  EXPECT_EQ(descriptor_warning(config, needed), "");
  EXPECT_THAT(descriptor_warning(config, needed - 1),
              AllOf(HasSubstr(std::to_string(needed)), HasSubstr(std::to_string(needed - 1)),
                    HasSubstr("hard_limit 64"), HasSubstr("LimitNOFILE")));
}

TEST(DescriptorCheck, EachEndpointAndEachConsumerCounts) {
  Config config = parse_config(minimal(), "m.yaml");
  const std::size_t one = descriptors_needed(config);
  config.clickhouse.endpoints.push_back(config.clickhouse.endpoints[0]);
  const std::size_t two_endpoints = descriptors_needed(config);
  EXPECT_EQ(two_endpoints, one + config.clickhouse.pool.hard_limit);
  config.pipelines[0].kafka.consumers = 2;
  EXPECT_GT(descriptors_needed(config), two_endpoints);
}

TEST(DescriptorCheck, TheDefaultsFitIntoTheUsualLimit) {
  EXPECT_EQ(descriptor_warning(parse_config(minimal(), "m.yaml"), 1024), "");
}

}  // namespace
}  // namespace millrace
