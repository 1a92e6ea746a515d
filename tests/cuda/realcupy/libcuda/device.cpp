// The one device, its errors, and streams and events, of which only the events do something: they read the clock.
#include "shared.h"
#include <string.h>
#include <time.h>

std::string last_error;

EXPORT cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
EXPORT cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
EXPORT cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
EXPORT cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
EXPORT cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDA_VERSION, cudaSuccess; }
EXPORT cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDA_VERSION, cudaSuccess; }
EXPORT cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) { return *can = 0, cudaSuccess; }
EXPORT cudaError_t cudaGetLastError() { return cudaSuccess; }

EXPORT cudaError_t cudaGetDeviceProperties(cudaDeviceProp* found, int) {
  *found = {};
  strcpy(found->name, "emulated on the CPU");
  found->major = 8;
  found->totalGlobalMem = MEMORY;
  found->sharedMemPerBlock = SHARED;
  found->sharedMemPerBlockOptin = SHARED_ON_REQUEST;
  found->regsPerBlock = REGISTERS;
  found->warpSize = 32;
  found->maxThreadsPerBlock = found->maxThreadsDim[0] = found->maxThreadsDim[1] = 1024;
  found->maxThreadsDim[2] = 64;
  found->maxGridSize[0] = 2147483647;
  found->maxGridSize[1] = found->maxGridSize[2] = 65535;
  found->multiProcessorCount = MULTIPROCESSORS;
  found->maxThreadsPerMultiProcessor = 2048;
  found->l2CacheSize = 4 << 20;
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  cudaDeviceProp device;
  cudaGetDeviceProperties(&device, 0);
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = device.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = device.minor; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = device.maxThreadsPerBlock; break;
    case cudaDevAttrMaxBlockDimX: *value = device.maxThreadsDim[0]; break;
    case cudaDevAttrMaxBlockDimY: *value = device.maxThreadsDim[1]; break;
    case cudaDevAttrMaxBlockDimZ: *value = device.maxThreadsDim[2]; break;
    case cudaDevAttrMaxGridDimX: *value = device.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY: *value = device.maxGridSize[1]; break;
    case cudaDevAttrMaxGridDimZ: *value = device.maxGridSize[2]; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = SHARED; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = SHARED_ON_REQUEST; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = REGISTERS; break;
    case cudaDevAttrWarpSize: *value = device.warpSize; break;
    case cudaDevAttrMultiProcessorCount: *value = MULTIPROCESSORS; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = device.maxThreadsPerMultiProcessor; break;
    default: *value = 0;                                 // it has nothing that is not asked for here: no memory pools, ...
  }
  return cudaSuccess;
}

EXPORT const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    default: return "cudaErrorUnknown";
  }
}

EXPORT const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorNotSupported ? "the emulated CUDA does not have this function" : last_error.c_str();
}

// ---- streams and events

EXPORT cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  static uintptr_t last = 0x1000;                        // 0, 1 and 2 are streams that always exist
  *stream = (cudaStream_t)(last += 16);
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }
EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) { return cudaStreamCreate(stream); }
EXPORT cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return *status = cudaStreamCaptureStatusNone, cudaSuccess;
}

EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = (cudaEvent_t)new double(0);                   // milliseconds
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete (double*)event, cudaSuccess; }
EXPORT cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

EXPORT cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *(double*)event = now.tv_sec * 1e3 + now.tv_nsec * 1e-6;
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = (float)(*(double*)to - *(double*)from);
  return cudaSuccess;
}
