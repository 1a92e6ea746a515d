// Counts what a GPU's memory would do, instruction by instruction (part of checker.h, inside its namespace).
//
// Global memory moves in sectors of 32 bytes: how many does an instruction of a warp touch, and how few would do?
// Shared memory has 32 banks of 4 bytes, each of which serves one word at a time: how many turns does a warp take?  Of 8
// bytes a thread, half a warp goes at once, of 16 bytes a quarter.
#ifdef CCPU_PROFILE
}  // namespace ccpu
#include <algorithm>
#include <map>
#include <set>
#include <vector>
namespace ccpu {

struct Request { std::vector<uintptr_t> addresses; unsigned size; bool store, shared; };
struct Count { long long requests, units, ideal, bytes; unsigned size; bool store, shared; };
struct Profile {
  std::map<std::pair<void*, int>, int> times;                            // (instruction, thread): how often it was there
  std::map<std::pair<void*, std::pair<int, int>>, Request> requests;     // (instruction, (warp, which time))
  std::map<void*, Count> counts;
};
static Profile* profile;

CCPU_OWN static void count_access(uintptr_t address, unsigned size, bool store, bool shared) {
  in_kernel = false;                             // the maps' own accesses are not the kernel's
  if (!profile)
    profile = new Profile;
  const int time = profile->times[{instruction, current}]++;
  Request& request = profile->requests[{instruction, {current / 32, time}}];
  request.addresses.push_back(address);
  request.size = size;
  request.store = store;
  request.shared = shared;
  in_kernel = true;
}

// The turns of the busiest bank, group by group of the threads that go at once
CCPU_OWN static void count_banks(const Request& request, Count& count) {
  const size_t group = request.size <= 4 ? 32 : request.size == 8 ? 16 : 8;
  for (size_t from = 0; from < request.addresses.size(); from += group, count.ideal++) {
    std::map<uintptr_t, std::set<uintptr_t>> words;                      // of each bank
    for (size_t i = from; i < std::min(from + group, request.addresses.size()); i++)
      for (unsigned byte = 0; byte < request.size; byte += 4)
        words[(request.addresses[i] + byte) / 4 % 32].insert((request.addresses[i] + byte) / 4);
    size_t turns = 0;
    for (auto& bank : words)
      turns = std::max(turns, bank.second.size());
    count.units += turns;
  }
}

CCPU_OWN static void count_sectors(const Request& request, Count& count) {
  std::set<uintptr_t> sectors, words;
  for (uintptr_t address : request.addresses)
    for (unsigned byte = 0; byte < request.size; byte += 4) {
      sectors.insert((address + byte) / 32);
      words.insert((address + byte) / 4);
    }
  count.units += sectors.size();
  count.ideal += (words.size() * 4 + 31) / 32;
}

// After each block: its requests become counts
CCPU_OWN static void add_up_profile() {
  if (!profile)
    return;
  for (auto& entry : profile->requests) {
    const Request& request = entry.second;
    Count& count = profile->counts[entry.first.first];
    count.requests++;
    count.bytes += request.addresses.size() * request.size;
    count.size = request.size;
    count.store = request.store;
    count.shared = request.shared;
    request.shared ? count_banks(request, count) : count_sectors(request, count);
  }
  profile->requests.clear();
  profile->times.clear();
}
#endif
