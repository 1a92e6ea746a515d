// Where threads wait for each other: barriers of the block, and operations of a warp of 32.
#pragma once

namespace ccpu {

// Each lane leaves its number for the others here.  Two halves, in turns: a lane that is early already writes the next one.
struct Mailbox { unsigned long long number[2][32]; };
static Mailbox* mailboxes;

CCPU_OWN static void wait(State state, int line, unsigned mask) {
  Fiber& fiber = fibers[current];
  fiber.state = state;
  fiber.line = line;
  fiber.mask = mask;
  leave();
}

CCPU_OWN static void barrier(int line) { wait(AT_BARRIER, line, 0); }

CCPU_OWN static unsigned lane() { return current & 31; }

CCPU_OWN static void fail_at(int line, const char* text, int number) {
  fault.line = line;
  CCPU_FAIL(text, number);
}

CCPU_OWN static void synchronise_warp(unsigned mask, int line) {
  if (!(mask >> lane() & 1))
    fail_at(line, "warp operation: the mask does not name the lane %d, which takes part", lane());
  wait(IN_WARP, line, mask);
}

// Leaves a number in the mailbox, and waits for the lanes of the mask to have left theirs
CCPU_OWN static unsigned long long* exchange(unsigned mask, unsigned long long number, int line) {
  unsigned long long* numbers = mailboxes[current / 32].number[fibers[current].turn++ & 1];
  numbers[lane()] = number;
  synchronise_warp(mask, line);
  return numbers;
}

template <class T> CCPU_OWN static T shuffle(unsigned mask, T value, int source, int line) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  unsigned long long bits = 0;
  memcpy(&bits, &value, sizeof value);
  const unsigned long long* numbers = exchange(mask, bits, line);
  if (source < 0 || source > 31 || !(mask >> source & 1) || current / 32 * 32 + source >= threads)
    fail_at(line, "shuffle: reads lane %d, which is not in the mask", source);
  memcpy(&value, &numbers[source & 31], sizeof value);
  return value;
}

CCPU_OWN static unsigned ballot(unsigned mask, bool vote, int line) {
  const unsigned long long* votes = exchange(mask, vote, line);
  unsigned result = 0;
  for (int i = 0; i < 32; i++)
    if ((mask >> i & 1) && votes[i])
      result |= 1u << i;
  return result;
}

// The lane `distance` from this one in its group of `width`, or this one itself where that is in another group
CCPU_OWN static int below(int distance, int width) {
  const int me = lane(), group = me & ~(width - 1);
  return me + distance < group + width ? me + distance : me;
}
CCPU_OWN static int above(int distance, int width) {
  const int me = lane(), group = me & ~(width - 1);
  return me - distance >= group ? me - distance : me;
}
CCPU_OWN static int across(int bits, int width) {
  const int me = lane(), group = me & ~(width - 1);
  return (me ^ bits) < group + width ? me ^ bits : me;
}
CCPU_OWN static int chosen(int source, int width) { return (lane() & ~(width - 1)) + (source & (width - 1)); }

}  // namespace ccpu
