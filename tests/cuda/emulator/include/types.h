// Words of CUDA C++ that g++ does not know, and vector types with CUDA's alignment.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <type_traits>
#include <utility>

#ifdef CCPU_CHECK
#define __global__ __attribute__((noinline))    // else it would be checked no more, like the function that calls it
#else
#define __global__
#endif
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __grid_constant__
#ifndef __forceinline__
#define __forceinline__ inline __attribute__((always_inline))
#endif
#ifndef __noinline__
#define __noinline__ __attribute__((noinline))
#endif
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __CUDA_CPU__ 1
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 800
#endif

// The emulator's own functions: no access of theirs is examined, and they stay functions (the checker asks who calls).
#define CCPU_OWN __attribute__((no_sanitize_thread, noinline))

#define CCPU_VECTOR2(T, N, A) struct alignas(A) N##2 { T x, y; }; \
  static inline N##2 make_##N##2(T x, T y) { return {x, y}; }
#define CCPU_VECTOR3(T, N) struct N##3 { T x, y, z; }; \
  static inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }
#define CCPU_VECTOR4(T, N, A) struct alignas(A) N##4 { T x, y, z, w; }; \
  static inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CCPU_VECTOR2(float, float, 8) CCPU_VECTOR3(float, float) CCPU_VECTOR4(float, float, 16)
CCPU_VECTOR2(double, double, 16) CCPU_VECTOR4(double, double, 16)
CCPU_VECTOR2(int, int, 8) CCPU_VECTOR3(int, int) CCPU_VECTOR4(int, int, 16)
CCPU_VECTOR2(unsigned, uint, 8) CCPU_VECTOR3(unsigned, uint) CCPU_VECTOR4(unsigned, uint, 16)
CCPU_VECTOR2(unsigned char, uchar, 2) CCPU_VECTOR4(unsigned char, uchar, 4)
CCPU_VECTOR2(signed char, char, 2) CCPU_VECTOR4(signed char, char, 4)
CCPU_VECTOR2(short, short, 4) CCPU_VECTOR4(short, short, 8)
CCPU_VECTOR2(unsigned short, ushort, 4) CCPU_VECTOR4(unsigned short, ushort, 8)
CCPU_VECTOR2(long long, longlong, 16) CCPU_VECTOR2(unsigned long long, ulonglong, 16)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
