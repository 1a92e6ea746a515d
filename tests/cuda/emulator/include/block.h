// The threads of one block take turns: each runs until it waits or ends; when none can run, those who wait are let go on,
// and where that is impossible, the kernel would hang, or do something undefined, on a GPU.
#pragma once

namespace ccpu {

static int* turn_order;

CCPU_OWN static void shuffle_turns(int order) {
  for (int i = 0; i < threads; i++)
    turn_order[i] = order == REVERSE ? threads - 1 - i : i;
  if (order == RANDOM)
    for (int i = threads - 1; i > 0; i--)
      std::swap(turn_order[i], turn_order[random_number() % (i + 1)]);
}

// Whether all lanes that the mask of fiber `i` names wait in an operation with this mask.   Fails where one never will.
CCPU_OWN static bool warp_is_complete(int i) {
  bool complete = true;
  for (int lane = 0; lane < 32; lane++) {
    if (!(fibers[i].mask >> lane & 1))
      continue;
    const int other = i / 32 * 32 + lane;
    const bool absent = other >= threads;
    if (absent || fibers[other].state == DONE) {
      fault.line = fibers[i].line;
      fail("warp operation: waits for lane %d, which %s", lane, absent ? "the block does not have" : "has exited");
      return false;
    }
    complete &= fibers[other].state == IN_WARP && fibers[other].mask == fibers[i].mask;
  }
  return complete;
}

CCPU_OWN static bool release_warps() {
  bool any = false;
  for (int i = 0; i < threads; i++) {
    if (fibers[i].state != IN_WARP || !warp_is_complete(i))
      continue;
    const unsigned mask = fibers[i].mask;
    for (int lane = 0; lane < 32; lane++)
      if (mask >> lane & 1)
        fibers[i / 32 * 32 + lane].state = READY;
    warp_epoch[i / 32]++;
    any = true;
  }
  return any;
}

// The first fiber in a state, or -1, and how many there are
struct Found { int first, count; };
CCPU_OWN static Found find_state(State state) {
  Found found = {-1, 0};
  for (int i = 0; i < threads; i++)
    if (fibers[i].state == state && !found.count++)
      found.first = i;
  return found;
}

// All threads of the block wait, or are done.  True: the barrier is open;  false: the block is over, or broken.
CCPU_OWN static bool open_barrier() {
  const Found at_barrier = find_state(AT_BARRIER), in_warp = find_state(IN_WARP), done = find_state(DONE);
  if (done.count == threads)
    return false;
  fault.line = fibers[in_warp.count ? in_warp.first : at_barrier.first].line;
  if (in_warp.count) {
    fail("deadlock: %d threads wait in a warp operation, %d at __syncthreads, %d have exited", in_warp.count,
         at_barrier.count, done.count);
    return false;
  }
#ifndef CCPU_RELAXED                              // in its scans CuPy lets threads go before a barrier; GPUs bear with it
  if (done.count) {
    thread_index = fibers[done.first].thread;
    fail("barrier divergence: %d threads wait at __syncthreads, %d have exited", at_barrier.count, done.count);
    return false;
  }
#endif
  for (int i = 0; i < threads; i++) {
    if (fibers[i].state == DONE)
      continue;
    if (fibers[i].line != fault.line) {
      thread_index = fibers[i].thread;
      fail("barrier divergence: some threads wait at __syncthreads of line %d, some of line %d", fault.line, fibers[i].line);
      return false;
    }
    fibers[i].state = READY;
  }
  fault.line = 0;
  epoch++;
  barriers_passed++;
  return true;
}

CCPU_OWN static void begin_block(const Launch& launch) {
  first_epoch_of_block = ++epoch;
  clear_shared(launch);
  int i = 0;
  for (unsigned z = 0; z < launch.bz; z++)
    for (unsigned y = 0; y < launch.by; y++)
      for (unsigned x = 0; x < launch.bx; x++, i++) {
        fibers[i].thread = {x, y, z};
        fibers[i].state = READY;
        fibers[i].turn = 0;
        prepare(i);
      }
}

CCPU_OWN static void run_block(const Launch& launch) {
  begin_block(launch);
  do {
    do {
      shuffle_turns(launch.order);
      for (int i = 0; i < threads && !fault.happened; i++)
        if (fibers[turn_order[i]].state == READY)
          go_on_with(turn_order[i]);
    } while (!fault.happened && release_warps());
  } while (!fault.happened && open_barrier());
}

// A text without barriers and warp operations needs no fibers: the threads run one after another.
CCPU_OWN static void run_block_in_a_loop(const Launch& launch) {
  for (int i = 0; i < threads; i++) {
    const unsigned t = launch.order == REVERSE ? threads - 1 - i : i;
    thread_index = {t % launch.bx, t / launch.bx % launch.by, t / launch.bx / launch.by};
    kernel(kernel_arguments);
  }
}

}  // namespace ccpu
