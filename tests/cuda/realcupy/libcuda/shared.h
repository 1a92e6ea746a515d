// What the files of the emulated driver share.  Device memory is memory of the process; everything happens at once and in
// order, so streams have nothing to do.  Written from NVIDIA's public description of the functions.
#pragma once
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdint.h>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

// Of the device, as cudaGetDeviceProperties tells it: an sm_80 with little memory
const size_t MEMORY = 8ull << 30;
const int SHARED = 48 << 10, SHARED_ON_REQUEST = 163 << 10, REGISTERS = 65536, MULTIPROCESSORS = 4;

extern std::string last_error;                           // what cudaGetErrorString and cuGetErrorString tell of it

std::string written_beside();                            // what was written outside of the arrays so far, or ""

template <class Status> Status refuse(Status status, const std::string& why) {
  last_error = why;
  return status;
}
