CREATE TABLE ${CASE} (id UInt32, a String EPHEMERAL, b DateTime64(3,'UTC') DEFAULT parseDateTime64BestEffortOrZero(a, 3, 'UTC')) ENGINE = MergeTree ORDER BY id;
