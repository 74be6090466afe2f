SELECT id, s, hex(m['k']) FROM ${CASE} ORDER BY id
