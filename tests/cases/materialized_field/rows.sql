SELECT id, tags, up FROM ${CASE} ORDER BY id
