SELECT k, id, name, off FROM ${CASE} FINAL ORDER BY off
