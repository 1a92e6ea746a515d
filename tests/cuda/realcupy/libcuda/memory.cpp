// Device memory.  What lies beside an array, and what is in it before somebody writes, are bytes of ones: NaN.
#include "shared.h"
#include <map>
#include <mutex>
#include <stdlib.h>
#include <string.h>

static const size_t GUARD = 256;                         // bytes before and behind each array
static const int UNWRITTEN = 0xFF;
static std::map<uintptr_t, size_t> arrays;               // address: bytes
static size_t in_use;
static std::recursive_mutex memory;
typedef std::lock_guard<std::recursive_mutex> Lock;

static bool inside(const void* address, size_t bytes) {
  auto behind = arrays.upper_bound((uintptr_t)address);
  if (behind == arrays.begin())
    return false;
  auto array = std::prev(behind);
  return (uintptr_t)address + bytes <= array->first + array->second;
}

// ---- for the launch, for Python and for libcublas

std::string written_beside() {
  Lock lock(memory);
  std::string wrong;
  for (auto& array : arrays) {
    unsigned char *before = (unsigned char*)array.first - GUARD, *behind = (unsigned char*)array.first + array.second;
    for (unsigned char* guard : {before, behind})
      for (size_t i = 0; i < GUARD; i++)
        if (guard[i] != UNWRITTEN) {
          wrong = "memory was written beside an array of " + std::to_string(array.second) + " bytes";
          memset(guard, UNWRITTEN, GUARD);               // so that it is told once
          break;
        }
  }
  return wrong;
}

EXPORT int emulated_inside(const void* address, size_t bytes) {
  Lock lock(memory);
  return inside(address, bytes);
}

// Writes (address, bytes) of the arrays, at most `most` of them; returns how many there are.
EXPORT long long emulated_arrays(uint64_t* table, long long most) {
  Lock lock(memory);
  long long i = 0;
  for (auto& array : arrays)
    if (i < most) {
      table[2 * i] = array.first;
      table[2 * i++ + 1] = array.second;
    }
  return arrays.size();
}

// ---- the CUDA runtime

EXPORT cudaError_t cudaMalloc(void** address, size_t bytes) {
  Lock lock(memory);
  if (in_use + bytes > MEMORY)
    return refuse(cudaErrorMemoryAllocation, "out of memory");
  char* begin = (char*)aligned_alloc(256, (bytes + 2 * GUARD + 255) / 256 * 256);
  if (!begin)
    return refuse(cudaErrorMemoryAllocation, "out of memory");
  memset(begin, UNWRITTEN, bytes + 2 * GUARD);
  *address = begin + GUARD;
  arrays[(uintptr_t)*address] = bytes;
  in_use += bytes;
  return cudaSuccess;
}

EXPORT cudaError_t cudaFree(void* address) {
  Lock lock(memory);
  if (!address)
    return cudaSuccess;
  auto array = arrays.find((uintptr_t)address);
  if (array == arrays.end())
    return refuse(cudaErrorInvalidValue, "cudaFree of an address that was not allocated");
  memset((char*)address - GUARD, UNWRITTEN, array->second + 2 * GUARD);
  free((char*)address - GUARD);
  in_use -= array->second;
  arrays.erase(array);
  return cudaSuccess;
}

EXPORT cudaError_t cudaMallocManaged(void** address, size_t bytes, unsigned) { return cudaMalloc(address, bytes); }
EXPORT cudaError_t cudaMallocAsync(void** address, size_t bytes, cudaStream_t) { return cudaMalloc(address, bytes); }
EXPORT cudaError_t cudaFreeAsync(void* address, cudaStream_t) { return cudaFree(address); }

EXPORT cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned) {
  *address = malloc(bytes ? bytes : 1);
  return cudaSuccess;
}

EXPORT cudaError_t cudaFreeHost(void* address) {
  free(address);
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *total = MEMORY;
  *available = MEMORY - in_use;
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  Lock lock(memory);
  if ((kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) && bytes && !inside(to, bytes))
    return refuse(cudaErrorInvalidValue, "copy to an address outside of every array on the device");
  if ((kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) && bytes && !inside(from, bytes))
    return refuse(cudaErrorInvalidValue, "copy from an address outside of every array on the device");
  memmove(to, from, bytes);
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}

EXPORT cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  Lock lock(memory);
  if (bytes && !inside(to, bytes))
    return refuse(cudaErrorInvalidValue, "memset outside of every array on the device");
  memset(to, value, bytes);
  return cudaSuccess;
}

EXPORT cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) { return cudaMemset(to, value, bytes); }

EXPORT cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* address) {
  Lock lock(memory);
  const bool on_device = inside(address, 1);
  memset(found, 0, sizeof *found);
  found->type = on_device ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  (on_device ? found->devicePointer : found->hostPointer) = (void*)address;
  return cudaSuccess;
}
