#include "deploy/dev/interserver_override.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

// Addresses are numbers here, that is what this file is about.
// NOLINTBEGIN(performance-no-int-to-ptr)

namespace millrace {
namespace {

// DB::Context::getInterserverIOAddress() in libchdb 26.7.3-stable.1: its offset from the load
// address and its first bytes.
constexpr char kBuildId[] = "d3d8f5517577ad52775b52318a193784b2fb5317";
constexpr uintptr_t kFunctionOffset = 0x1417c9c0;
constexpr unsigned char kFirstBytes[] = {0x41, 0x56, 0x53, 0x48, 0x83, 0xec, 0x48, 0x4c};
constexpr uint16_t kInterserverPort = 9009;

// What that function returns, as the library's own C++ runtime (libc++) lays it out:
// std::pair<std::string, UInt16> with a string short enough to need no memory of its own. Larger
// than 16 bytes, so the caller passes the place for it in a hidden first argument, as for our type.
struct InterserverAddress {
  char text[23];
  unsigned char length;
  uint16_t port;
  unsigned char padding[6];
};
static_assert(sizeof(InterserverAddress) == 32);

InterserverAddress g_address{};

InterserverAddress interserver_address(const void* /*context*/) { return g_address; }

struct LoadedLibrary {
  uintptr_t wanted_address = 0;  // an address inside the library that is looked for
  uintptr_t load_address = 0;
  std::string build_id;
};

std::string to_hex(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// The build ID in a segment of ELF notes, or nothing. A note is a header, a name and a description,
// the last two padded to 4 bytes.
std::string build_id_in_notes(const unsigned char* notes, size_t size) {
  const auto padded = [](size_t length) { return (length + 3) & ~size_t{3}; };
  size_t at = 0;
  while (at + sizeof(ElfW(Nhdr)) <= size) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes + at, sizeof header);
    const size_t description = at + sizeof header + padded(header.n_namesz);
    const size_t end = description + padded(header.n_descsz);
    if (end > size) break;
    if (header.n_type == NT_GNU_BUILD_ID) return to_hex({notes + description, header.n_descsz});
    at = end;
  }
  return {};
}

// dl_iterate_phdr's callback: fills in a LoadedLibrary when `info` is the object that holds
// wanted_address, and ends the walk.
int inspect_object(dl_phdr_info* info, size_t /*size*/, void* data) {
  auto* library = static_cast<LoadedLibrary*>(data);
  bool holds_address = false;
  std::string build_id;
  for (const auto& header : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    const uintptr_t start = info->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && library->wanted_address >= start &&
        library->wanted_address < start + header.p_memsz) {
      holds_address = true;
    }
    if (header.p_type == PT_NOTE && build_id.empty()) {
      build_id = build_id_in_notes(reinterpret_cast<const unsigned char*>(start), header.p_memsz);
    }
  }
  if (!holds_address) return 0;
  library->load_address = info->dlpi_addr;
  library->build_id = build_id;
  return 1;
}

// Puts `mov rax, target; jmp rax` over the first bytes of `function`.
void write_jump(unsigned char* function, uintptr_t target) {
  unsigned char code[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
  std::memcpy(code + 2, &target, sizeof target);

  const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first_page = reinterpret_cast<uintptr_t>(function) & ~(page_size - 1);
  auto* const pages = reinterpret_cast<void*>(first_page);
  const size_t length = reinterpret_cast<uintptr_t>(function) + sizeof code - first_page;
  if (mprotect(pages, length, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
    throw std::runtime_error("the library's code cannot be made writable");
  }
  std::memcpy(function, code, sizeof code);
  mprotect(pages, length, PROT_READ | PROT_EXEC);
}

}  // namespace

void override_interserver_host(const void* library_symbol, const std::string& host) {
  if (host.empty() || host.size() >= sizeof InterserverAddress::text) {
    throw std::runtime_error("the interserver host must have 1 to 22 characters");
  }
  LoadedLibrary library;
  library.wanted_address = reinterpret_cast<uintptr_t>(library_symbol);
  dl_iterate_phdr(inspect_object, &library);
  if (library.build_id != kBuildId) {
    throw std::runtime_error("the interserver host can be set for the library with build ID " +
                             std::string(kBuildId) + " only; this one has " + library.build_id);
  }
  auto* const function = reinterpret_cast<unsigned char*>(library.load_address + kFunctionOffset);
  if (std::memcmp(function, kFirstBytes, sizeof kFirstBytes) != 0) {
    throw std::runtime_error("the interserver function of the library is not where it should be");
  }

  std::memcpy(g_address.text, host.data(), host.size());
  g_address.length = static_cast<unsigned char>(host.size());
  g_address.port = kInterserverPort;
  write_jump(function, reinterpret_cast<uintptr_t>(&interserver_address));
}

}  // namespace millrace

// NOLINTEND(performance-no-int-to-ptr)
