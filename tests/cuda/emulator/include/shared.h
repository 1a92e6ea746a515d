// Shared memory: one arena, in which a block's variables lie as they are met, with gaps between them.
//
// Python has turned `__shared__ float tile[8][8];` into a reference to shared_variable(...).  Before each block the arena
// is filled with ones, which as floats are NaN: who reads what nobody wrote gets a NaN, or in checked mode an error.
#pragma once

namespace ccpu {

static const size_t ARENA = 1 << 20, GAP = 64;
static char* arena;
static size_t arena_used, arena_most;           // of this block, with gaps; of any block yet
static size_t static_shared, dynamic_shared, shared_limit;

struct Variable { const void* key; size_t offset, size; const char* name; };
static const int MOST_VARIABLES = 256;
static Variable variables[MOST_VARIABLES];
static int variable_count;

CCPU_OWN static void clear_shared(const Launch& launch) {
  if (!arena)
    arena = (char*)mmap(0, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  variable_count = 0;
  static_shared = 0;
  dynamic_shared = launch.dynamic_shared;
  shared_limit = launch.shared_limit;
  arena_used = dynamic_shared ? dynamic_shared + GAP : 0;
  arena_most = arena_used > arena_most ? arena_used : arena_most;
  memset(arena, 0xff, arena_most);
}

// It lies on the alignment that its declaration asks for and on no better one, so that a float array which is read as
// float4 without __align__(16) is found.   (CCPU_RELAXED: text that CuPy itself generated is trusted.)
CCPU_OWN static size_t place_for(size_t align) {
#ifndef CCPU_RELAXED
  if (align < 16)
    return (arena_used + 15) / 16 * 16 + align;
#endif
  align = align < 16 ? 16 : align;
  return (arena_used + align - 1) / align * align;
}

CCPU_OWN static void* shared_variable(const void* key, size_t size, size_t align, const char* name, int line) {
  for (int i = 0; i < variable_count; i++)
    if (variables[i].key == key)
      return arena + variables[i].offset;       // another thread of the block has met it already
  static_shared += size;
  fault.line = line;
  if (static_shared + dynamic_shared > shared_limit)
    CCPU_FAIL("shared memory: %s brings the block to %zu bytes, the limit is %zu", name, static_shared + dynamic_shared,
              shared_limit);
  if (variable_count == MOST_VARIABLES)
    CCPU_FAIL("more than %d shared variables: the emulator has no room for %s", MOST_VARIABLES, name);
  fault.line = 0;
  const size_t offset = place_for(align);
  variables[variable_count++] = {key, offset, size, name};
  arena_used = offset + size + GAP;
  arena_most = arena_used > arena_most ? arena_used : arena_most;
  return arena + offset;
}

CCPU_OWN static void* dynamic_variable() { return arena; }

// The variable in which an offset lies, or behind which, and how far from its begin
struct Place { const char* name; size_t byte, size; };
CCPU_OWN static Place place_of(size_t offset) {
  Place place = {"dynamic shared memory", offset, dynamic_shared};
  for (int i = 0; i < variable_count; i++)
    if (variables[i].offset <= offset)
      place = {variables[i].name, offset - variables[i].offset, variables[i].size};
  return place;
}

}  // namespace ccpu
