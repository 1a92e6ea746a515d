// What one launch is made of: the order from Python, the threads of the block that runs, and what went wrong.
#pragma once
#include <stdarg.h>

namespace ccpu {

// Filled in by Python (launching.py has the same fields)
struct Launch {
  unsigned gx, gy, gz, bx, by, bz;
  unsigned dynamic_shared, shared_limit;        // bytes; the limit counts static and dynamic shared memory together
  int order;                                    // of threads and blocks: one of Order
  unsigned seed;
  long long arrays;                             // that the kernel may touch
  const uint64_t* array;                        // arrays x (address, bytes, flags), by address; flag 1: read only
  long long most_blocks;                        // 0: all
};
enum Order { FORWARD, REVERSE, RANDOM };

enum State { READY, AT_BARRIER, IN_WARP, DONE };

struct Fiber {
  void* stack;                                  // where its stack stood when it was left
  State state;
  int line;                                     // of the barrier, or warp operation, that it waits in
  unsigned mask;                                // of that warp operation
  uint3 thread;
  unsigned turn;                                // odd or even: which half of its warp's mailbox it uses next
};

static uint3 thread_index, block_index;
static dim3 block_size, grid_size;
static Fiber* fibers;
static int current, threads;                    // the fiber that runs; how many the block has
static bool in_kernel;                          // a fiber runs, not the emulator
static unsigned long long barriers_passed, switches;

// Two accesses of one address without a barrier between lie in the same epoch.  Epochs are never used again.
static unsigned epoch = 1, first_epoch_of_launch, first_epoch_of_block;
static unsigned* warp_epoch;                    // likewise for each warp and its own synchronisation

static unsigned long long random_state;
CCPU_OWN static unsigned long long random_number() {            // xorshift64
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

struct Fault {
  bool happened;
  char text[1024];
  void* instruction;                            // behind the one that did it, or null
  int line;                                     // of the text, where no instruction is known
};
static Fault fault;

// Notes the first thing that goes wrong.  The launch ends at the next switch.
CCPU_OWN static void fail(const char* format, ...) {
  if (fault.happened)
    return;
  va_list values;
  va_start(values, format);
  int n = vsnprintf(fault.text, sizeof fault.text, format, values);
  va_end(values);
  if (threads && n < (int)sizeof fault.text)
    snprintf(fault.text + n, sizeof fault.text - n, " [block (%u,%u,%u) thread (%u,%u,%u)]", block_index.x, block_index.y,
             block_index.z, thread_index.x, thread_index.y, thread_index.z);
  fault.happened = true;
}

}  // namespace ccpu
