// Checked mode: every access of a kernel is examined before it happens.
//
// The text is compiled with -fsanitize=thread, for which g++ calls a function before each access; but instead of linking
// its library, those functions are defined here (as Linux does for its own race detector).  Examined are: that the address
// lies in an array or variable, its alignment, who else touched it with no barrier between, and, in shared memory, whether
// anybody wrote it.  Each four bytes (each byte, where narrower accesses occur) have a Cell that remembers the last ones.
#pragma once

#ifdef CCPU_CHECK
#include <link.h>

namespace ccpu {

enum Kind { READ, WRITE, ATOMIC };

struct Cell {
  unsigned written, read;                        // the epoch of the last write and the last read
  unsigned short writer, reader;                 // the thread
  unsigned short writer_warp_epoch, reader_warp_epoch;
  unsigned char readers;                         // who read it beside the last reader
  bool by_atomic;                                // the last write
};
enum Readers { SEVERAL_THREADS = 1, SEVERAL_WARPS = 2, SEVERAL_BLOCKS = 4 };

struct Region {
  uintptr_t begin, end;
  Cell* cells;
  bool read_only;
  unsigned shift;                                // a cell for 4 bytes (2), or for each byte (0)
};
static Region *regions, *last_region, shared_region;
static long long region_count;

// ---- where an address lies

static uintptr_t image_begin, image_end;         // this module: its constants, and the emulator's own numbers

CCPU_OWN static int find_image(dl_phdr_info* info, size_t, void*) {
  uintptr_t begin = UINTPTR_MAX, end = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD)
      continue;
    const uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, to = from + info->dlpi_phdr[i].p_memsz;
    begin = from < begin ? from : begin;
    end = to > end ? to : end;
  }
  if ((uintptr_t)&image_begin < begin || (uintptr_t)&image_begin >= end)
    return 0;                                    // another library
  image_begin = begin;
  image_end = end;
  return 1;
}

// The first region that ends behind the address, by bisection
CCPU_OWN static long long region_at_or_behind(uintptr_t address) {
  long long low = 0, high = region_count;
  while (low < high) {
    const long long middle = (low + high) / 2;
    if (regions[middle].end <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

CCPU_OWN static Region* find_region(uintptr_t address) {
  if (last_region && address >= last_region->begin && address < last_region->end)
    return last_region;
  const long long i = region_at_or_behind(address);
  return i < region_count && address >= regions[i].begin ? last_region = &regions[i] : nullptr;
}

CCPU_OWN static Cell* make_cells(size_t count) {
  return (Cell*)mmap(0, count * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
CCPU_OWN static size_t cell_count(const Region& region) { return ((region.end - region.begin) >> region.shift) + 9; }

// From a cell for four bytes to one for each byte
CCPU_OWN static void refine(Region* region) {
  const Region coarse = *region;
  region->shift = 0;
  region->cells = make_cells(cell_count(*region));
  for (size_t i = 0; i < region->end - region->begin; i++)
    if (coarse.cells[i / 4].written | coarse.cells[i / 4].read)
      region->cells[i] = coarse.cells[i / 4];
  munmap(coarse.cells, cell_count(coarse) * sizeof(Cell));
}

// ---- races

static void* instruction;                        // behind the one that is examined
static const char* const name_of[] = {"read", "write", "atomic operation"};

CCPU_OWN static void fail_access(const char* format, ...) __attribute__((format(printf, 1, 2)));
CCPU_OWN static void fail_access(const char* format, ...) {
  char text[600];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  fault.instruction = instruction;
  CCPU_FAIL("%s", text);
}

// Whether this thread's access and that of `other`, both in this epoch, may happen at the same time: not if it is the same
// thread, nor if it is one of the same warp, and the warp has synchronised since.
CCPU_OWN static bool at_once_with(unsigned other, unsigned short its_warp_epoch) {
  const bool same_warp = other / 32 == (unsigned)current / 32;
  return same_warp ? other != (unsigned)current && its_warp_epoch == (unsigned short)warp_epoch[current / 32] : true;
}

CCPU_OWN static Place place_in(const Region& region, size_t offset) {
  return &region == &shared_region ? place_of(offset) : Place{"an array", offset, region.end - region.begin};
}

CCPU_OWN static void check_after_write(const Cell& cell, Kind kind, const Region& region, size_t offset) {
  if (cell.written < first_epoch_of_launch || (kind == ATOMIC && cell.by_atomic))
    return;
  const Place place = place_in(region, offset);
  if (cell.written >= first_epoch_of_block) {
    if (cell.written == epoch && at_once_with(cell.writer, cell.writer_warp_epoch))
      fail_access("data race: %s of what thread %d of the block wrote, no barrier between (byte %zu of %s)", name_of[kind],
                  cell.writer, place.byte, place.name);
  } else if (&region != &shared_region) {        // each block has shared memory of its own
    fail_access("data race: %s of what another block wrote (byte %zu of %s)", name_of[kind], place.byte, place.name);
  }
}

CCPU_OWN static bool read_at_once(const Cell& cell) {
  if (cell.read != epoch)
    return false;
  return cell.readers & SEVERAL_WARPS || at_once_with(cell.reader, cell.reader_warp_epoch) ||
         (cell.readers & SEVERAL_THREADS && cell.reader_warp_epoch == (unsigned short)warp_epoch[current / 32]);
}

CCPU_OWN static void check_after_read(const Cell& cell, Kind kind, const Region& region, size_t offset) {
  if (kind == READ || cell.read < first_epoch_of_launch)
    return;
  const Place place = place_in(region, offset);
  const bool other_block = cell.read < first_epoch_of_block || cell.readers & SEVERAL_BLOCKS;
  if (other_block && &region != &shared_region)
    fail_access("data race: %s of what another block read (byte %zu of %s)", name_of[kind], place.byte, place.name);
  if (cell.read >= first_epoch_of_block && read_at_once(cell))
    fail_access("data race: %s of what another thread of the block read, no barrier between (byte %zu of %s)",
                name_of[kind], place.byte, place.name);
}

CCPU_OWN static void remember(Cell& cell, Kind kind) {
  const unsigned short now = warp_epoch[current / 32];
  if (kind == ATOMIC && cell.written == epoch && !cell.by_atomic)
    return;                                      // the plain write is what others must not meet
  if (kind != READ) {
    cell.written = epoch;
    cell.writer = current;
    cell.writer_warp_epoch = now;
    cell.by_atomic = kind == ATOMIC;
    return;
  }
  unsigned char readers = 0;
  if (cell.read >= first_epoch_of_launch && (cell.read < first_epoch_of_block || cell.readers & SEVERAL_BLOCKS))
    readers |= SEVERAL_BLOCKS;
  if (cell.read == epoch) {
    if (cell.readers & SEVERAL_WARPS || cell.reader / 32 != current / 32)
      readers |= SEVERAL_WARPS;
    else if (cell.reader_warp_epoch == now && (cell.readers & SEVERAL_THREADS || cell.reader != current))
      readers |= SEVERAL_THREADS;
  }
  cell.read = epoch;
  cell.reader = current;
  cell.reader_warp_epoch = now;
  cell.readers = readers;
}

// ---- one access

CCPU_OWN static Region* check_shared_bounds(uintptr_t address, unsigned size, Kind kind) {
  const Place place = place_of(address - shared_region.begin);
  if (place.byte + size > place.size)
    fail_access("out of bounds: %s of %u bytes in shared memory, %zu bytes behind %s", name_of[kind], size,
                place.byte < place.size ? 0 : place.byte - place.size, place.name);
  return &shared_region;
}

CCPU_OWN static Region* check_array_bounds(uintptr_t address, unsigned size, Kind kind) {
  Region* region = find_region(address);
  if (region && address + size <= region->end) {
    if (kind != READ && region->read_only)
      fail_access("%s to a read-only array", name_of[kind]);
    return region;
  }
  const long long before = region_at_or_behind(address) - 1, behind = before + 1;
  if (region)
    fail_access("out of bounds: %s of %u bytes, of which only the first %zu lie in the array", name_of[kind], size,
                (size_t)(region->end - address));
  if (before >= 0 && (behind == region_count || address - regions[before].end < regions[behind].begin - address))
    fail_access("out of bounds: %s of %u bytes, %zu bytes behind the end of an array of %zu bytes", name_of[kind], size,
                (size_t)(address - regions[before].end), (size_t)(regions[before].end - regions[before].begin));
  if (behind < region_count)
    fail_access("out of bounds: %s of %u bytes, %zu bytes before an array of %zu bytes", name_of[kind], size,
                (size_t)(regions[behind].begin - address), (size_t)(regions[behind].end - regions[behind].begin));
  fail_access("out of bounds: %s of %u bytes, but the kernel was given no array", name_of[kind], size);
  return nullptr;
}

#include "profile.h"

CCPU_OWN static void check_cells(Region* region, uintptr_t address, unsigned size, Kind kind) {
  const bool shared = region == &shared_region;
  if (region->shift && (size < 4 || address % 4))
    refine(region);
  for (uintptr_t at = address; at < address + size; at += region->shift ? 4 : 1) {
    const size_t offset = at - region->begin;
    Cell& cell = region->cells[offset >> region->shift];
    check_after_write(cell, kind, *region, offset);
#ifndef CCPU_RELAXED
    if (shared && kind != WRITE && cell.written < first_epoch_of_block)
      fail_access("uninitialised: %s of shared memory that nobody wrote (byte %zu of %s)", name_of[kind],
                  place_of(offset).byte, place_of(offset).name);
#endif
    check_after_read(cell, kind, *region, offset);
    remember(cell, kind);
  }
}

CCPU_OWN static void examine(void* pointer, unsigned size, Kind kind, void* behind, bool aligned) {
  const uintptr_t address = (uintptr_t)pointer;
  if (!in_kernel || on_a_stack(address) || (address >= image_begin && address < image_end))
    return;
  instruction = behind;
  const bool shared = address >= shared_region.begin && address < shared_region.end;
  Region* region = shared ? check_shared_bounds(address, size, kind) : check_array_bounds(address, size, kind);
  if (aligned && (size & (size - 1)) == 0 && address & (size - 1))
    fail_access("misaligned: %s of %u bytes at an address that is %d modulo %u", name_of[kind], size,
                (int)(address & (size - 1)), size);
#ifdef CCPU_PROFILE
  count_access(address, size, kind != READ, shared);
#endif
  check_cells(region, address, size, kind);
}

// ---- one launch

CCPU_OWN static void begin_checking(const Launch& launch) {
  if (!image_begin)
    dl_iterate_phdr(find_image, nullptr);
  first_epoch_of_launch = ++epoch;
  last_region = nullptr;
  region_count = launch.arrays;
  regions = (Region*)calloc(region_count + 1, sizeof(Region));
  for (long long i = 0; i < region_count; i++) {
    const uint64_t* array = launch.array + 3 * i;
    regions[i] = {array[0], array[0] + array[1], nullptr, (array[2] & 1) != 0, 2};
    regions[i].cells = make_cells(cell_count(regions[i]));
  }
  if (!shared_region.cells) {
    shared_region = {(uintptr_t)arena, (uintptr_t)arena + ARENA, nullptr, false, 2};
    shared_region.cells = make_cells(cell_count(shared_region));
  }
}

CCPU_OWN static void end_checking() {
  for (long long i = 0; i < region_count; i++)
    munmap(regions[i].cells, cell_count(regions[i]) * sizeof(Cell));
  free(regions);
  regions = last_region = nullptr;
  region_count = 0;
}

}  // namespace ccpu

// ---- what g++ calls before an access.   By assembler name: it has declarations of its own for these functions.
#define CCPU_HOOK(name, parameters, ...) \
  extern "C" __attribute__((visibility("hidden"), used)) void ccpu_hook_##name parameters __asm__("__tsan_" #name); \
  CCPU_OWN void ccpu_hook_##name parameters { __VA_ARGS__; }
#define CCPU_EXAMINE(size, kind, aligned) ::ccpu::examine(p, size, ::ccpu::kind, __builtin_return_address(0), aligned)
#define CCPU_HOOKS(n) \
  CCPU_HOOK(read##n, (void* p), CCPU_EXAMINE(n, READ, true)) \
  CCPU_HOOK(write##n, (void* p), CCPU_EXAMINE(n, WRITE, true)) \
  CCPU_HOOK(unaligned_read##n, (void* p), CCPU_EXAMINE(n, READ, false)) \
  CCPU_HOOK(unaligned_write##n, (void* p), CCPU_EXAMINE(n, WRITE, false))
CCPU_HOOKS(1) CCPU_HOOKS(2) CCPU_HOOKS(4) CCPU_HOOKS(8) CCPU_HOOKS(16)
CCPU_HOOK(read_range, (void* p, long n), if (n) CCPU_EXAMINE(n, READ, false))
CCPU_HOOK(write_range, (void* p, long n), if (n) CCPU_EXAMINE(n, WRITE, false))
CCPU_HOOK(init, ()) CCPU_HOOK(func_entry, (void*)) CCPU_HOOK(func_exit, ())
CCPU_HOOK(vptr_update, (void*, void*)) CCPU_HOOK(vptr_read, (void*))

#define CCPU_ATOMIC(p) ::ccpu::examine((void*)(p), sizeof *(p), ::ccpu::ATOMIC, __builtin_return_address(0), true)
#else
#define CCPU_ATOMIC(p) ((void)0)
#endif
