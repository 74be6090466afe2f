SELECT count(), min(id), max(id) FROM ${CASE}
