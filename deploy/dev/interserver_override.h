// Gives the ClickHouse library an interserver address, so that replicated tables work in tests.
//
// A ReplicatedMergeTree table asks the engine under which address other replicas may fetch its
// parts. clickhouse-local, which is what the library runs, never sets one, and the table stays
// read-only. The override replaces that one function in the memory of this process. It knows
// exactly one build of the library and refuses every other.
#pragma once

#include <string>

namespace millrace {

// From now on the library answers `host` when it is asked for its interserver host. Nothing listens
// there: replicas cannot fetch from each other. REQUIRES: at most 22 characters, called once,
// before the library runs. `library_symbol` is the address of any function of the library. Throws
// std::runtime_error, with nothing changed, when the library is not the known build.
void override_interserver_host(const void* library_symbol, const std::string& host);

}  // namespace millrace
