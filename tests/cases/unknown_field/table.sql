CREATE TABLE ${CASE} (id UInt64, s String) ENGINE = MergeTree ORDER BY id;
