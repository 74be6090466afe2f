// ClickHouse's codes; what each means for an insert.
#include <algorithm>
#include <iterator>

#include "pipeline/advice.h"

namespace millrace {
namespace {

constexpr std::string_view kCredentials = "correct `clickhouse.user` and `clickhouse.password`";
constexpr std::string_view kKeeper =
    "see that ClickHouse Keeper (or ZooKeeper) runs, and SELECT * FROM system.zookeeper_connection "
    "on the server";
constexpr std::string_view kReplicas =
    "see in system.replicas and system.clusters that the replicas of {table} run and reach each "
    "other";
constexpr std::string_view kCutShort =
    "see that the messages are whole, that `format` of the pipeline is theirs, and that no proxy "
    "before ClickHouse cuts bodies";
constexpr std::string_view kQuoting =
    "let the producer quote and escape its values as `format` of the pipeline wants";
constexpr std::string_view kSessions =
    "set `clickhouse.session.policy: none`, or see that no proxy spreads one session over several "
    "servers";
constexpr std::string_view kOfServer =
    "look for the query_id in the server's log, and report it to ClickHouse if it stays";

// Sorted by code; one for each that error.cc knows.
constexpr AdviceRow kRows[] = {
    {"UNEXPECTED_END_OF_FILE", 3, "a body ended early", kCutShort},
    {"CANNOT_PARSE_TEXT", 6, "a value is not of its column's type",
     "let the producer send what the column takes, or make the column of {table} a String"},
    {"NOT_FOUND_COLUMN_IN_BLOCK", 10, "a column that the table has is missing in what was sent",
     "compare the messages' fields and `columns` of the pipeline with the columns of {table}"},
    {"NO_SUCH_COLUMN_IN_TABLE", 16, "the insert names a column that the table has not",
     "add the column to {table}, or correct `columns` of the pipeline"},
    {"NUMBER_OF_COLUMNS_DOESNT_MATCH", 20,
     "messages have more or fewer values than the table has "
     "columns",
     "compare the number of values in a message with the columns of {table}; formats that name "
     "their fields (JSONEachRow) do not count them"},
    {"CANNOT_PARSE_ESCAPE_SEQUENCE", 25, "a text has a backslash with something unknown behind it",
     kQuoting},
    {"CANNOT_PARSE_QUOTED_STRING", 26,
     "a quoted text is not closed, or has no quote where one "
     "must be",
     kQuoting},
    {"CANNOT_PARSE_INPUT_ASSERTION_FAILED", 27,
     "a message is not what the format or a column's type "
     "wants",
     "compare the message with `format` of the pipeline and the column types of {table}"},
    {"ATTEMPT_TO_READ_AFTER_EOF", 32, "a body ended early", kCutShort},
    {"CANNOT_READ_ALL_DATA", 33, "a message ended early, or is in another format", kCutShort},
    {"BAD_ARGUMENTS", 36, "an argument of the insert, or a default of the table, is wrong",
     "correct what the message names: a column's expression in {table}, or a setting of "
     "`clickhouse.insert_settings`"},
    {"CANNOT_PARSE_DATE", 38, "a text is not a date",
     "let the producer send YYYY-MM-DD, or make the column of {table} a String"},
    {"CANNOT_PARSE_DATETIME", 41, "a text is not a time",
     "let the producer send YYYY-MM-DD hh:mm:ss, or set `date_time_input_format: best_effort` in "
     "`clickhouse.insert_settings`"},
    {"UNKNOWN_IDENTIFIER", 47, "an expression names something that is not there",
     "correct the DEFAULT, MATERIALIZED or CONSTRAINT expression of {table}, or the view on it, "
     "that the message names"},
    {"TYPE_MISMATCH", 53, "a value can't become its column's type",
     "let the producer send the column's type, or change the column of {table} to what comes"},
    {"UNKNOWN_TABLE", 60, "the table is missing",
     "create {table}, or correct `table` or `tables` of the pipeline"},
    {"SYNTAX_ERROR", 62,
     "ClickHouse did not understand the statement, or a value that is read as "
     "SQL",
     "use formats other than Values; see that a proxy between does not rewrite requests; else "
     "please report it with the message"},
    {"ARGUMENT_OUT_OF_BOUND", 69, "a number has more digits, or is larger, than its column takes",
     "make the column of {table} wider, or correct the producer"},
    {"CANNOT_CONVERT_TYPE", 70, "a value can't become its column's type",
     "change the column of {table} to the type that comes, or correct the producer"},
    {"CANNOT_PARSE_NUMBER", 72, "a text is not a number",
     "let the producer send numbers, or make the column of {table} a String"},
    {"UNKNOWN_FORMAT", 73, "this server does not know the format",
     "set `format` of the pipeline to one that SELECT name FROM system.formats WHERE is_input "
     "lists"},
    {"UNKNOWN_DATABASE", 81, "the database is missing",
     "create the database, or correct `clickhouse.database` or the table's name"},
    {"UNKNOWN_SETTING", 115, "the server does not know a setting that the insert has",
     "remove the setting that the message names from `clickhouse.settings` or "
     "`clickhouse.insert_settings`"},
    {"INCORRECT_DATA", 117, "a message is no row of this format, or has a field without a column",
     "add the column to {table}, set `input_format_skip_unknown_fields: 1` in "
     "`clickhouse.insert_settings` to drop such fields, or correct the producer"},
    {"TOO_LARGE_ARRAY_SIZE", 128, "an array has more elements than ClickHouse takes",
     "let the producer send shorter arrays, or see that `format` is that of the messages: of "
     "binary ones the length is read wrong else"},
    {"CANNOT_READ_ARRAY_FROM_TEXT", 130, "a text is not an array",
     "let the producer send [a, b], or make the column of {table} a String"},
    {"TOO_LARGE_STRING_SIZE", 131, "a text is longer than its column or ClickHouse takes",
     "make a FixedString column of {table} longer, or a String; of binary formats see that "
     "`format` is that of the messages"},
    {"ILLEGAL_DIVISION", 153, "an expression of the table divides by zero",
     "correct the DEFAULT, MATERIALIZED or CONSTRAINT expression of {table} that divides"},
    {"TIMEOUT_EXCEEDED", 159, "the insert ran longer than the server allows",
     "raise `max_execution_time` of the user, or lower `batch.target_rows`"},
    {"READONLY", 164, "the user may not change data or settings",
     "use another `clickhouse.user`, or take `readonly` out of its profile"},
    {"SIZES_OF_ARRAYS_DONT_MATCH", 190, "arrays of one Nested column have different lengths",
     "let the producer send arrays of one length in the Nested columns of {table}"},
    {"UNKNOWN_USER", 192, "the server has no such user", kCredentials},
    {"WRONG_PASSWORD", 193, "the password is wrong", kCredentials},
    {"REQUIRED_PASSWORD", 194, "the user needs a password", kCredentials},
    {"QUOTA_EXCEEDED", 201, "the user's quota is used up",
     "raise the quota of `clickhouse.user` (SHOW QUOTAS), or wait for its next interval"},
    {"TOO_MANY_SIMULTANEOUS_QUERIES", 202, "the server runs as many queries as it may",
     "raise `max_concurrent_queries` of the server, or lower `workers.count`"},
    {"NO_FREE_CONNECTION", 203, "the server has no free connection to another one",
     "raise `distributed_connections_pool_size` of the server, or lower `workers.count`"},
    {"SOCKET_TIMEOUT", 209, "the server waited for another one, or for us, for too long",
     "see that the servers of the cluster answer, and raise `receive_timeout` of the user if the "
     "network is slow"},
    {"NETWORK_ERROR", 210, "the server could not reach another one",
     "see that the servers of the cluster of {table} reach each other"},
    {"QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", 216, "an earlier try of the insert still runs",
     "wait for the earlier try; if it stays, look at it in system.processes"},
    {"NO_ZOOKEEPER", 225, "the table has no connection to Keeper", kKeeper},
    {"ABORTED", 236, "the server ended the insert, as when it stops",
     "see in the server's log why it stops or ends queries"},
    {"MEMORY_LIMIT_EXCEEDED", 241, "the server is short of memory",
     "lower `batch.target_bytes` or `workers.count`, or give the server or `max_memory_usage` of "
     "the user more"},
    {"TABLE_IS_READ_ONLY", 242, "the replica is read-only",
     "look at its Keeper connection and at system.replicas; SYSTEM RESTORE REPLICA where its "
     "metadata are lost"},
    {"NOT_ENOUGH_SPACE", 243, "the server's disk is full",
     "free some space on the disk of the server that the message names (system.disks)"},
    {"UNEXPECTED_ZOOKEEPER_ERROR", 244, "Keeper answered with something unexpected", kKeeper},
    {"TOO_MANY_PARTS", 252, "inserts make parts faster than the server merges them",
     "raise `batch.target_rows` and `batch.max_age` for fewer and larger inserts; see that {table} "
     "is not partitioned too finely"},
    {"NO_ACTIVE_REPLICAS", 254, "no replica of the table is active", kReplicas},
    {"ALL_CONNECTION_TRIES_FAILED", 279, "the server reaches no replica of a shard", kReplicas},
    {"TOO_FEW_LIVE_REPLICAS", 285, "fewer replicas are alive than `insert_quorum` wants",
     "start the replicas of {table} that are down (system.replicas), or lower `insert_quorum`"},
    {"UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", 286, "an earlier insert still waits for its quorum",
     "start the replicas of {table} that are down (system.replicas); with "
     "`insert_quorum_parallel: 1` inserts do not wait for each other"},
    {"REPLICA_IS_NOT_IN_QUORUM", 289, "the replica lacks an insert that a quorum has",
     "let the replica catch up: system.replicas shows its queue"},
    {"SHARD_HAS_NO_CONNECTIONS", 297, "a shard can't be reached", kReplicas},
    {"UNKNOWN_STATUS_OF_INSERT", 319, "Keeper was lost in the middle of the insert", kKeeper},
    {"VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", 321, "a value is outside its column's range",
     "make the column of {table} wider, or correct the producer"},
    {"CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", 349, "null came for a column that takes none",
     "make the column of {table} Nullable, or set `input_format_null_as_default: 1` in "
     "`clickhouse.insert_settings`"},
    {"SESSION_NOT_FOUND", 372, "the ClickHouse session has ended, or lives on another server",
     kSessions},
    {"SESSION_IS_LOCKED", 373, "an earlier request still holds the ClickHouse session", kSessions},
    {"INVALID_SESSION_TIMEOUT", 374, "the server allows no session of this length",
     "lower `clickhouse.session.timeout` below `max_session_timeout` of the server"},
    {"CANNOT_PARSE_UUID", 376, "a text is not a UUID",
     "let the producer send UUIDs, or make the column of {table} a String"},
    {"INSERT_WAS_DEDUPLICATED", 389, "the table has these rows already",
     "nothing: the rows are there"},
    {"QUERY_WAS_CANCELLED", 394, "somebody ended the insert, or the server stops",
     "see who runs KILL QUERY, or why the server stops"},
    {"FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", 395,
     "throwIf() in the table's expressions refuses a row",
     "correct the producer, or the expression of {table} that calls throwIf"},
    {"DECIMAL_OVERFLOW", 407, "a number is too large for its Decimal column",
     "give the Decimal column of {table} more digits, or correct the producer"},
    {"SYSTEM_ERROR", 425, "the operating system refused the server something",
     "look for the message in the server's log and at its disks, open files and threads"},
    {"CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING", 441, "a text is not what the column's type wants",
     "let the producer send what the type wants (an address, a UUID …), or make the column of "
     "{table} a String"},
    {"SETTING_CONSTRAINT_VIOLATION", 452, "the user may not set a setting to this value",
     "let the user of `clickhouse.user` change the settings that are named (its profile's "
     "constraints), or use another user; `millrace check` names all of them"},
    {"CANNOT_PARSE_BOOL", 467, "a text is neither true nor false",
     "let the producer send true or false, or make the column of {table} a String"},
    {"VIOLATED_CONSTRAINT", 469, "a row breaks a constraint of the table",
     "correct the producer, or ALTER TABLE {name} DROP CONSTRAINT what the message names"},
    {"ACCESS_DENIED", 497, "the user lacks a right",
     "GRANT INSERT, SELECT ON {name} TO the user of `clickhouse.user`, or what else the message "
     "says is missing"},
    {"AUTHENTICATION_FAILED", 516, "user or password are wrong", kCredentials},
    {"CANNOT_PARSE_IPV4", 675, "a text is not an IPv4 address",
     "let the producer send IPv4 addresses, or make the column of {table} IPv6 or a String"},
    {"CANNOT_PARSE_IPV6", 676, "a text is not an IP address",
     "let the producer send IP addresses, or make the column of {table} a String"},
    {"UNKNOWN_ELEMENT_OF_ENUM", 691, "a value is none of the Enum's",
     "add the value to the Enum column of {table} (ALTER TABLE … MODIFY COLUMN), or correct the "
     "producer"},
    {"SERVER_OVERLOADED", 745, "the server has more work than CPU",
     "give ClickHouse more cores, or lower `workers.count`"},
    {"KEEPER_EXCEPTION", 999, "Keeper failed", kKeeper},
    {"POCO_EXCEPTION", 1000, "ClickHouse could not read the request, or write the answer",
     "see that no proxy between changes requests; look for the query_id in the server's log"},
    {"STD_EXCEPTION", 1001, "ClickHouse failed within", kOfServer},
    {"UNKNOWN_EXCEPTION", 1002, "ClickHouse failed within", kOfServer},
};

}  // namespace

static_assert(std::is_sorted(std::begin(kRows), std::end(kRows),
                             [](const auto& a, const auto& b) { return a.code < b.code; }));

std::span<const AdviceRow> clickhouse_advice() { return kRows; }

}  // namespace millrace
