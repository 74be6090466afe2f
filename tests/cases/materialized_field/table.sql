CREATE TABLE ${CASE} (id UInt32, props String, tags Array(UInt32) MATERIALIZED JSONExtract(props, 'tags', 'Array(UInt32)'), up String ALIAS upper(props)) ENGINE = MergeTree ORDER BY id;
