SELECT Timestamp AT TIME ZONE 'UTC', ObservedTimestamp AT TIME ZONE 'UTC', SeverityNumber, Body FROM ${CASE} ORDER BY SeverityNumber
