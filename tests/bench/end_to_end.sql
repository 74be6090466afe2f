-- The rows of the end-to-end benchmark: about 200 bytes of JSON each, made from the row's number
-- alone, so that they can be made again in any order. SOURCE is replaced by what gives the numbers.
SELECT
    addMilliseconds(toDateTime64('2026-01-01 00:00:00', 3), number) AS time,
    'host-' || leftPad(toString(cityHash64(number, 1) % 200), 3, '0') AS host,
    ['auth', 'cart', 'search', 'payment', 'mail'][1 + cityHash64(number, 2) % 5] AS service,
    ['debug', 'info', 'warning', 'error'][1 + cityHash64(number, 3) % 4] AS level,
    cityHash64(number, 4) % 1000000 AS user_id,
    (cityHash64(number, 5) % 1000000) / 1000 AS duration_ms,
    lower(hex(MD5(toString(number)))) || ' GET /item/' || toString(cityHash64(number, 6) % 100000)
        || '?page=' || toString(cityHash64(number, 7) % 50) AS message
FROM SOURCE
