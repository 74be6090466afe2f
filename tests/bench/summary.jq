# From a benchmark's rounds (one object each, slurped) to medians and ratios, and from those to a
# table in Markdown. A figure is {median, min, max} over the rounds; a ratio is taken within a round.

def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
  else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def figure: {median: median, min: min, max: max};
def of_rounds(value): map(value) | figure;
# Pairs what two clients did in the same round.
def ratio($one; $other; value):
  group_by(.round) | map((map(select(.client == $one))[0] | value) as $a
    | (map(select(.client == $other))[0] | value) as $b | $a / $b) | figure;
def client($name): map(select(.client == $name));

def summarize_sender:
  group_by([.sink, .body_bytes, .threads]) | map({sink: .[0].sink, body_bytes: .[0].body_bytes,
    threads: .[0].threads,
    millrace: client("millrace") | {megabytes_per_second: of_rounds(.megabytes_per_second),
      cpu_seconds_per_gigabyte: of_rounds(.cpu_seconds_per_gigabyte)},
    bare: client("bare") | {megabytes_per_second: of_rounds(.megabytes_per_second),
      cpu_seconds_per_gigabyte: of_rounds(.cpu_seconds_per_gigabyte)},
    ratio: ratio("millrace"; "bare"; .megabytes_per_second)});

def summarize_pipeline:
  group_by([.rows != "plain", .producers, .workers]) | map({rows: .[0].rows,
    producers: .[0].producers, workers: .[0].workers,
    records_per_second: of_rounds(.records_per_second),
    cpu_nanoseconds_per_record: of_rounds(.cpu_nanoseconds_per_record),
    allocations_per_record: of_rounds(.allocations_per_record)});

def per_million_rows(value): value / .rows * 1e6;
def end_to_end_side: {rows_per_second: of_rounds(.rows_per_second),
    rows_per_second_with_start: of_rounds(.rows / (.seconds + .start_seconds)),
    cpu_seconds_per_million_rows: {client: of_rounds(per_million_rows(.cpu_seconds.client)),
      clickhouse: of_rounds(per_million_rows(.cpu_seconds.clickhouse)),
      kafka: of_rounds(per_million_rows(.cpu_seconds.kafka)),
      other: of_rounds(per_million_rows(.cpu_seconds.other))},
    peak_megabytes: of_rounds(.peak_megabytes),
    kafka_share_of_machine: of_rounds(.cpu_seconds.kafka / (.seconds * .cores))};
def ratios($other): {speed: ratio("millrace"; $other; .rows_per_second),
    with_start: ratio("millrace"; $other; .rows / (.seconds + .start_seconds)),
    cpu: ratio($other; "millrace"; .cpu_seconds.client + .cpu_seconds.clickhouse)};
def summarize_end_to_end:
  {rows: .[0].rows, rows_per_block: .[0].rows_per_block, connections: .[0].connections,
    millrace: client("millrace") | end_to_end_side, curl: client("curl") | end_to_end_side,
    curl_same_settings: client("curl_same_settings") | end_to_end_side,
    as_is: client("millrace_as_is") | end_to_end_side,
    at_least_once: client("millrace_at_least_once") | end_to_end_side,
    defaults: client("millrace_defaults") | end_to_end_side,
    ratio: ratios("curl"), ratio_same_settings: ratios("curl_same_settings"),
    ratio_as_is: ratios("millrace_as_is"), ratio_at_least_once: ratios("millrace_at_least_once")};

# GB, or thousands of requests: so `rate` is MB/s or requests/s.
def amount: if .bytes > 0 then .bytes / 1e9 else .requests / 1e3 end;
def client_side: {rate: of_rounds(amount * 1e3 / .seconds),
    cpu_seconds: of_rounds(.cpu_seconds / amount), peak_megabytes: of_rounds(.peak_rss_bytes / 1e6)};
# All runs of one case; `way` is what millrace does.
def client_case($way): {case: .[0].case, threads: .[0].threads, way: $way,
    unit: (if .[0].bytes > 0 then "MB/s" else "requests/s" end),
    millrace: client($way) | client_side, curl: client("curl") | client_side,
    ratio: {speed: ratio($way; "curl"; amount / .seconds),
      cpu: ratio($way; "curl"; .cpu_seconds / amount)}};
def summarize_client: map(.position = (.case as $case | ["insert", "insert a file", "save",
      "discard", "SELECT 1"] | index($case)))
  | group_by([.position, .threads])
  | map(. as $runs | (map(.client) | unique - ["curl"] | reverse | .[]) as $way
    | $runs | client_case($way));

# --- tables ---

def fixed($digits): (. * pow(10; $digits) | round) as $n
  | if $digits == 0 then "\($n)" else ($n / pow(10; $digits) | floor) as $whole
    | "\($whole)." + ("000000\($n - $whole * pow(10; $digits))")[-$digits:] end;
def text($digits): "\(.median | fixed($digits)) (\(.min | fixed($digits))–\(.max | fixed($digits)))";
def scaled($by): {median: (.median * $by), min: (.min * $by), max: (.max * $by)};
def bytes: if . >= 1048576 then "\(. / 1048576) MiB" else "\(. / 1024) KiB" end;
def table($header): ([$header] + [$header | map("---")] + .)
  | map("| " + join(" | ") + " |") | join("\n");

def table_sender: .summary | map([.sink, (.body_bytes | bytes), "\(.threads)",
    (.millrace.megabytes_per_second | text(0)), (.bare.megabytes_per_second | text(0)),
    (.ratio | text(2)), (.millrace.cpu_seconds_per_gigabyte | text(2)),
    (.bare.cpu_seconds_per_gigabyte | text(2))])
  | table(["sink", "block", "threads", "millrace, MB/s", "bare loop, MB/s", "ratio",
    "millrace, CPU-s/GB", "bare loop, CPU-s/GB"]);

def table_pipeline: .summary | map([.rows, "\(.producers)", "\(.workers)",
    (.records_per_second | scaled(1e-6) | text(2)), (.cpu_nanoseconds_per_record | text(0)),
    (.allocations_per_record | text(4))])
  | table(["rows", "producers", "workers", "million records/s", "CPU-ns/record", "allocations/record"]);

def table_end_to_end: .summary as $s
  | [["Kafka → millrace → ClickHouse", $s.millrace],
    ["the same with `encoding: as_is`", $s.as_is],
    ["the same with `delivery: at_least_once`", $s.at_least_once],
    ["the same with all defaults", $s.defaults], ["curl → ClickHouse", $s.curl],
    ["curl with millrace's settings", $s.curl_same_settings]]
  | map([.[0], (.[1].rows_per_second | scaled(1e-3) | text(0)),
    (.[1].rows_per_second_with_start | scaled(1e-3) | text(0))]
    + (.[1].cpu_seconds_per_million_rows
      | [.client, .clickhouse, .kafka, .other] | map(text(2))))
  | table(["way", "thousand rows/s", "with start-up", "client, CPU-s/M rows", "ClickHouse, CPU-s/M rows",
    "Kafka, CPU-s/M rows", "other, CPU-s/M rows"]);

def client_label: .case + (if .threads > 1 then " × \(.threads)" else "" end)
  + (if .way | endswith("close") then ", closing" else "" end);
def table_client: .summary | map([client_label, .unit, (.millrace.rate | text(0)),
    (.curl.rate | text(0)), (.ratio.speed | text(2)), (.millrace.cpu_seconds | text(2)),
    (.curl.cpu_seconds | text(2)), (.ratio.cpu | text(2)), (.millrace.peak_megabytes | text(0)),
    (.curl.peak_megabytes | text(0))])
  | table(["what", "unit", "millrace", "curl", "ratio", "millrace, CPU-s", "curl, CPU-s", "ratio",
    "millrace, peak MB", "curl, peak MB"]);

# What a table does not say.
def note_sender: "Goals, for the sink that copies, at 1 MiB: ratio 0.9, 0.25 CPU-s/GB.";
def note_pipeline: "Goal: 3 million records/s.";
def note_client: "CPU-s are per GB, or per 1000 requests. Goals: a ratio of speeds of at least 1, and of"
  + " CPU of at most 1. The table that is inserted into has ENGINE = Null.";
def note_ratio: "\(.speed | text(2)), with start-up \(.with_start | text(2)),"
  + " by CPU without the broker's \(.cpu | text(2))";
def note_end_to_end: .summary as $s | "Ratio to curl \($s.ratio | note_ratio) (goal: 0.9); to curl"
  + " with the settings that millrace sends \($s.ratio_same_settings | note_ratio); to millrace"
  + " with `encoding: as_is` \($s.ratio_as_is | note_ratio) (goal: 2); to millrace with"
  + " `delivery: at_least_once` \($s.ratio_at_least_once | note_ratio) (goal: 0.95)."
  + " While millrace ran the Kafka broker took"
  + " \($s.millrace.kafka_share_of_machine | scaled(100) | text(0)) % of the machine's CPU."
  + " With all defaults millrace held \($s.defaults.peak_megabytes | text(0)) MB at most."
    + " \($s.rows) rows in blocks of \($s.rows_per_block), \($s.connections) connections.";

def provenance: "\(.date), commit \(.commit). \(.machine.cores) × \(.machine.cpu),"
  + " \(.machine.memory_gib) GiB, Linux \(.machine.kernel). "
  + ([.versions | to_entries[] | "\(.key) \(.value)"] | join(", "))
  + ". Load average when it began: \(.load_before).";

# --- what gnuplot draws: a label, then median, min and max of each series ---

def columns: "\(.median)\t\(.min)\t\(.max)";
def plot_sender: .summary | map(select(.sink == "copied")
    | "\"\(.body_bytes | bytes)\\n× \(.threads)\"\t"
    + ([.millrace.megabytes_per_second, .bare.megabytes_per_second,
        .millrace.cpu_seconds_per_gigabyte, .bare.cpu_seconds_per_gigabyte]
      | map(columns) | join("\t"))) | join("\n");
def plot_pipeline: .summary | map("\"\(.producers)\\n\(.rows)\"\t"
    + (.records_per_second | scaled(1e-6) | columns) + "\t" + (.cpu_nanoseconds_per_record | columns))
  | join("\n");
def plot_client: .summary | map("\"\(client_label)\"\t"
    + ([.ratio.speed, .ratio.cpu] | map(columns) | join("\t"))) | join("\n");
def plot_end_to_end: .summary as $s
  | [["millrace\\nfrom Kafka", $s.millrace], ["millrace\\nas is", $s.as_is],
    ["curl\\nfrom files", $s.curl],
    ["curl, same\\nsettings", $s.curl_same_settings]]
  | map("\"\(.[0])\"\t" + ([(.[1].rows_per_second | scaled(1e-3))]
      + (.[1].cpu_seconds_per_million_rows | [.client, .clickhouse, .kafka])
      | map(columns) | join("\t"))) | join("\n");
