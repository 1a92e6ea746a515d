// What a kernel can name: indices, synchronisation, atomic operations, arithmetic.
#pragma once

#define threadIdx (::ccpu::thread_index)
#define blockIdx (::ccpu::block_index)
#define blockDim (::ccpu::block_size)
#define gridDim (::ccpu::grid_size)
#define warpSize 32

// ---- synchronisation: macros, for the line of the text

#define __syncthreads() ::ccpu::barrier(__LINE__)
#define __syncwarp(...) ::ccpu::synchronise_warp((0xffffffffu, ##__VA_ARGS__), __LINE__)
#define __ballot_sync(mask, vote) ::ccpu::ballot(mask, vote, __LINE__)
#define __any_sync(mask, vote) (::ccpu::ballot(mask, vote, __LINE__) != 0)
#define __all_sync(mask, vote) (::ccpu::ballot(mask, vote, __LINE__) == (unsigned)(mask))
#define __shfl_down_sync(...) ccpu_shfl_down(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) ccpu_shfl_up(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) ccpu_shfl_xor(__LINE__, __VA_ARGS__)
#define __shfl_sync(...) ccpu_shfl_from(__LINE__, __VA_ARGS__)
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)
#define __trap() (::ccpu::fail_at(__LINE__, "__trap() was called", 0))

template <class T> static inline T ccpu_shfl_down(int line, unsigned mask, T value, unsigned distance, int width = 32) {
  return ::ccpu::shuffle(mask, value, ::ccpu::below(distance, width), line);
}
template <class T> static inline T ccpu_shfl_up(int line, unsigned mask, T value, unsigned distance, int width = 32) {
  return ::ccpu::shuffle(mask, value, ::ccpu::above(distance, width), line);
}
template <class T> static inline T ccpu_shfl_xor(int line, unsigned mask, T value, int bits, int width = 32) {
  return ::ccpu::shuffle(mask, value, ::ccpu::across(bits, width), line);
}
template <class T> static inline T ccpu_shfl_from(int line, unsigned mask, T value, int source, int width = 32) {
  return ::ccpu::shuffle(mask, value, ::ccpu::chosen(source, width), line);
}

// ---- memory.   There is one CPU thread, so every operation is atomic; the checker tells atomic ones from others.

template <class T> static inline T __ldg(const T* p) { return *p; }
template <class T> static inline T __ldcs(const T* p) { return *p; }
template <class T> static inline void __stcs(T* p, T v) { *p = v; }

#define CCPU_ATOMIC_FUNCTION(name, ...) \
  template <class T, class U> CCPU_OWN static T name(T* p, U value) { \
    CCPU_ATOMIC(p); \
    const T old = *p, v = (T)value; \
    *p = (T)(__VA_ARGS__); \
    return old; \
  }
CCPU_ATOMIC_FUNCTION(atomicAdd, old + v)
CCPU_ATOMIC_FUNCTION(atomicSub, old - v)
CCPU_ATOMIC_FUNCTION(atomicMax, v > old ? v : old)
CCPU_ATOMIC_FUNCTION(atomicMin, v < old ? v : old)
CCPU_ATOMIC_FUNCTION(atomicExch, v)
CCPU_ATOMIC_FUNCTION(atomicOr, old | v)
CCPU_ATOMIC_FUNCTION(atomicAnd, old & v)
template <class T, class U, class V> CCPU_OWN static T atomicCAS(T* p, U expected, V value) {
  CCPU_ATOMIC(p);
  const T old = *p;
  if (old == (T)expected)
    *p = (T)value;
  return old;
}

// ---- arithmetic

template <class A, class B> static inline constexpr std::common_type_t<A, B> max(A a, B b) {
  using C = std::common_type_t<A, B>;
  return (C)a < (C)b ? (C)b : (C)a;
}
template <class A, class B> static inline constexpr std::common_type_t<A, B> min(A a, B b) {
  using C = std::common_type_t<A, B>;
  return (C)b < (C)a ? (C)b : (C)a;
}
#define rsqrtf cuda_rsqrtf    // the C library has functions of these names since C23 (glibc 2.42)
#define rsqrt cuda_rsqrt
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __saturatef(float a) { return a < 0 ? 0 : a > 1 ? 1 : a; }

#define __expf(...) expf(__VA_ARGS__)            // macros: the C library declares functions of these names
#define __logf(...) logf(__VA_ARGS__)
#define __log2f(...) log2f(__VA_ARGS__)
#define __exp10f(...) exp10f(__VA_ARGS__)
#define __powf(...) powf(__VA_ARGS__)
#define __sinf(...) sinf(__VA_ARGS__)
#define __cosf(...) cosf(__VA_ARGS__)

#undef INFINITY                                  // NVIDIA's runtime compiler has no such macros: neither have we
#undef NAN
#undef HUGE_VALF
#undef M_PI

// ---- bits

static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline int __mul24(int a, int b) { return a * b; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }

template <class To, class From> static inline To ccpu_same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "as many bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
static inline float __int_as_float(int x) { return ccpu_same_bits<float>(x); }
static inline int __float_as_int(float x) { return ccpu_same_bits<int>(x); }
static inline float __uint_as_float(unsigned x) { return ccpu_same_bits<float>(x); }
static inline unsigned __float_as_uint(float x) { return ccpu_same_bits<unsigned>(x); }
static inline double __longlong_as_double(long long x) { return ccpu_same_bits<double>(x); }
static inline long long __double_as_longlong(double x) { return ccpu_same_bits<long long>(x); }
static inline int __double2hiint(double x) { return (int)(__double_as_longlong(x) >> 32); }
static inline int __double2loint(double x) { return (int)__double_as_longlong(x); }
static inline double __hiloint2double(int high, int low) {
  return __longlong_as_double((long long)((unsigned long long)(unsigned)high << 32 | (unsigned)low));
}
static inline float __uint2float_rn(unsigned x) { return (float)x; }
static inline float __int2float_rn(int x) { return (float)x; }
static inline int __float2int_rn(float x) { return (int)lrintf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
