-- The rows of the end-to-end benchmark: web-log events of 10 columns, about 228 bytes of JSON each,
-- made from the row's number alone, so that they can be made again in any order. SOURCE is replaced by
-- what gives the numbers. The same as those of encoder_bench.cc.
SELECT
    addMilliseconds(toDateTime64('2026-01-01 00:00:00', 3), number * 20) AS time,
    'web-' || toString(cityHash64(number, 1) % 40) || '.example.com' AS host,
    ['GET', 'GET', 'GET', 'POST', 'PUT'][1 + cityHash64(number, 2) % 5] AS method,
    '/catalog/item/' || toString(cityHash64(number, 3) % 1000000) || '/details' AS path,
    [200, 200, 200, 304, 404, 500][1 + cityHash64(number, 4) % 6] AS status,
    cityHash64(number, 5) % 200000 AS bytes,
    (cityHash64(number, 6) % 900000) / 1000 AS latency,
    cityHash64(number, 7) % 10000000 AS user_id,
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', 'curl/8.5.0',
        'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X)',
        'Go-http-client/2.0'][1 + cityHash64(number, 8) % 4] AS agent,
    toBool(cityHash64(number, 9) % 2) AS flag
FROM SOURCE
