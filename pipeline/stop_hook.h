// For tests only: a process that stops by itself at an exact point of a block's way, so that a test
// can kill it there, or let it sleep and wake it.
//
//   MILLRACE_STOP_AT=before_send      SIGSTOP when the first block comes by
//   MILLRACE_STOP_AT=sent:3           … the third
//
// Once in the life of a process; SIGCONT lets it go on. Always compiled in, because what is tested
// shall be the program that is shipped: unset it costs a load and a branch a block, and set it can
// do no more than kill(2) can at any time, which exactly once withstands.
#pragma once

namespace millrace {

enum class StopPoint {
  kCut,                // "cut": borders and token are fixed; no commit names the block yet
  kPlanned,            // "planned": the source has acknowledged its name; no worker has it yet
  kBeforeSend,         // "before_send": the lane is ours, as we know; nothing has left
  kSent,               // "sent": ClickHouse took the block, or a part of it; not acknowledged
  kPosition,           // "position": about to commit that blocks are done
  kDeadLettersStored,  // "dead_letters_stored": and the rest of their block is not in
};

void stop_at(StopPoint point) noexcept;

}  // namespace millrace
