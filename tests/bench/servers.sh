# The servers of benchmarks that are scripts, and how to ask them. Sourced, with the folder of the
# programs as its argument; sets `root`, `bin`, `work` (a folder that goes with the script) and, in
# start_servers, ports and process numbers.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$(cd "$1" && pwd)

say() { echo "bench: $*" >&2; }
fail() {
  say "$*"
  exit 1
}

work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-bench.XXXXXX")
mkfifo "$work/never"
pids=()
clean_up() {
  local pid
  # Nothing of theirs is kept, so they need not end in order.
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# --- asking servers, without a process for each question ---

# Sets REPLY to the answer of GET $2 at port $1 of this machine, header included.
http_get() {
  local socket
  { exec {socket}<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
  printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&"$socket"
  REPLY=""
  IFS= read -r -d '' -t 10 REPLY <&"$socket" || true
  exec {socket}>&-
  [ -n "$REPLY" ]
}

clickhouse() {
  curl -sS --max-time 300 --fail-with-body "http://127.0.0.1:$http_port/" --data-binary "$1"
}

# wait_until SECONDS WHAT COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $deadline ] || fail "gave up waiting: $what; logs: $(tail -n 5 "$work"/*.log)"
    read -r -t 0.1 <>"$work/never" || true # a sleep without a process
  done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_servers() {
  local kafka_controller_port
  read -r -d '' http_port kafka_port kafka_controller_port admin_port \
    < <("$root/deploy/dev/free-port" 4) || true
  "$bin/millrace-clickhouse-dev" --path "$work/clickhouse" --http-port "$http_port" \
    >"$work/clickhouse.log" 2>&1 &
  clickhouse_pid=$!
  "$root/deploy/dev/kafka-server" "$work/kafka" "$kafka_port" "$kafka_controller_port" \
    >"$work/kafka.log" 2>&1 &
  kafka_pid=$!
  pids+=("$clickhouse_pid" "$kafka_pid")
  wait_until 60 "ClickHouse starts" http_get "$http_port" /ping
  wait_until 60 "Kafka starts" port_open "$kafka_port"
}

