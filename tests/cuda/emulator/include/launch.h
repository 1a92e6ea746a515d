// The whole grid, block by block; and the functions that Python calls.
#pragma once

namespace ccpu {

// Calls a kernel with its arguments, of which Python gives the addresses, and knows the bytes and the kind of each.
template <auto KERNEL> struct Runner;
template <class... P, void (*KERNEL)(P...)> struct Runner<KERNEL> {
  template <size_t... I>
  __attribute__((no_sanitize_thread)) static inline void spread(void** a, std::index_sequence<I...>) {
    (void)a;
    KERNEL(*(std::remove_reference_t<P>*)a[I]...);
  }
  __attribute__((no_sanitize_thread)) static void call(void** a) { spread(a, std::index_sequence_for<P...>{}); }

  template <class T> static constexpr char kind_of() {
    using U = std::remove_cv_t<std::remove_reference_t<T>>;
    return std::is_pointer<U>::value ? 'p' : std::is_floating_point<U>::value ? 'f' : std::is_integral<U>::value ? 'i' : 's';
  }
  static int size(int i) {
    const int sizes[] = {(int)sizeof(P)..., 0};
    return i < (int)sizeof...(P) ? sizes[i] : -1;
  }
  static int kind(int i) {
    const char kinds[] = {kind_of<P>()..., 0};
    return i < (int)sizeof...(P) ? kinds[i] : -1;
  }
};

// Number i of the blocks in the launch's order.  A random one goes round in a stride that meets each of them once.
struct BlockOrder {
  int order;
  long long blocks, stride, start;

  CCPU_OWN BlockOrder(int order, long long blocks) : order(order), blocks(blocks), stride(1), start(0) {
    if (order != RANDOM || blocks < 3)
      return;
    do
      stride = 1 + random_number() % blocks;
    while (common_divisor(stride, blocks) != 1);
    start = random_number() % blocks;
  }
  CCPU_OWN static long long common_divisor(long long a, long long b) { return b ? common_divisor(b, a % b) : a; }
  CCPU_OWN long long operator[](long long i) const {
    return order == REVERSE ? blocks - 1 - i : (long long)(((unsigned __int128)i * stride + start) % blocks);
  }
};

CCPU_OWN static void begin_launch(void (*call)(void**), void** arguments, const Launch& launch) {
  fault = {};
  kernel = call;
  kernel_arguments = arguments;
  threads = launch.bx * launch.by * launch.bz;
  block_size = dim3(launch.bx, launch.by, launch.bz);
  grid_size = dim3(launch.gx, launch.gy, launch.gz);
  random_state = 0x9e3779b97f4a7c15ull ^ launch.seed;
  barriers_passed = switches = 0;
  make_room_for_fibers(threads);
  clear_shared(launch);
  turn_order = (int*)calloc(threads, sizeof(int));
  mailboxes = (Mailbox*)calloc(threads / 32 + 1, sizeof(Mailbox));
  warp_epoch = (unsigned*)calloc(threads / 32 + 1, sizeof(unsigned));
  if (launch.dynamic_shared > launch.shared_limit)
    fail("shared memory: %u dynamic bytes, the limit is %u", launch.dynamic_shared, launch.shared_limit);
#ifdef CCPU_CHECK
  begin_checking(launch);
#endif
}

CCPU_OWN static void end_launch() {
#ifdef CCPU_CHECK
  end_checking();
#endif
  free(turn_order);
  free(mailboxes);
  free(warp_epoch);
  threads = 0;
}

CCPU_OWN static int run(void (*call)(void**), void** arguments, const Launch* given, bool uses_fibers) {
  const Launch& launch = *given;
  begin_launch(call, arguments, launch);
  const long long blocks = (long long)launch.gx * launch.gy * launch.gz;
  const long long most = launch.most_blocks && launch.most_blocks < blocks ? launch.most_blocks : blocks;
  const BlockOrder order(launch.order, blocks);
  for (long long i = 0; i < most && !fault.happened; i++) {
    const long long block = order[i];
    block_index = {(unsigned)(block % launch.gx), (unsigned)(block / launch.gx % launch.gy),
                   (unsigned)(block / launch.gx / launch.gy)};
#ifdef CCPU_CHECK
    run_block(launch);
#else
    uses_fibers ? run_block(launch) : run_block_in_a_loop(launch);
#endif
#ifdef CCPU_PROFILE
    add_up_profile();
#endif
  }
  end_launch();
  return fault.happened;
}

}  // namespace ccpu

#define CCPU_EXPORT extern "C" __attribute__((visibility("default"), used))

// For each kernel (the last argument: `name`, or `name<8, true>` with its commas)
#define CCPU_ENTRY(ID, FIBERS, ...) \
  CCPU_EXPORT int ccpu_run_##ID(void** arguments, const ::ccpu::Launch* launch) { \
    return ::ccpu::run(&::ccpu::Runner<&__VA_ARGS__>::call, arguments, launch, FIBERS); } \
  CCPU_EXPORT int ccpu_argsize_##ID(int i) { return ::ccpu::Runner<&__VA_ARGS__>::size(i); } \
  CCPU_EXPORT int ccpu_argkind_##ID(int i) { return ::ccpu::Runner<&__VA_ARGS__>::kind(i); }

CCPU_EXPORT inline const char* ccpu_error() { return ::ccpu::fault.text; }

// 0 barriers passed   1 switches   2 bytes of static shared memory   9 the instruction at fault, from the module's begin
// 10 or the line of the text
CCPU_EXPORT inline void ccpu_stats(long long* numbers) {
  numbers[0] = ::ccpu::barriers_passed;
  numbers[1] = ::ccpu::switches;
  numbers[2] = ::ccpu::static_shared;
#ifdef CCPU_CHECK
  if (::ccpu::fault.instruction)
    numbers[9] = (long long)((uintptr_t)::ccpu::fault.instruction - ::ccpu::image_begin);
#endif
  numbers[10] = ::ccpu::fault.line;
}

#ifdef CCPU_PROFILE
// Rows of 8 numbers, and how many rows there are; the counts begin anew.
CCPU_EXPORT inline int ccpu_profile(long long* numbers, int most) {
  int rows = 0;
  if (!::ccpu::profile)
    return 0;
  for (auto& entry : ::ccpu::profile->counts) {
    const ::ccpu::Count& count = entry.second;
    if (rows == most)
      break;
    const long long row[8] = {(long long)((uintptr_t)entry.first - ::ccpu::image_begin), count.shared, count.store,
                              count.size, count.requests, count.units, count.ideal, count.bytes};
    memcpy(numbers + 8 * rows++, row, sizeof row);
  }
  ::ccpu::profile->counts.clear();
  return rows;
}
#endif
