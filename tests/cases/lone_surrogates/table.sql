CREATE TABLE ${CASE} (id UInt64, s String, m Map(String, String)) ENGINE = MergeTree ORDER BY id;
