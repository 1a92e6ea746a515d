// Modules and kernels of the driver API.  They live in Python (tests/cuda/emulator), which gives two functions for them.
#include "shared.h"
#include <map>
#include <mutex>
#include <stdlib.h>
#include <string.h>

typedef long long (*Find)(long long module, const char* name);       // the number of a kernel, from 1, or 0
typedef int (*Start)(long long kernel, const unsigned* sizes, void** parameters);   // 0, or 1 and emulated_error was called

static Find find;
static Start start;
static std::map<CUfunction, int> shared_limit;           // of kernels that asked for more than SHARED
static std::recursive_mutex launches;                    // one at a time

EXPORT void emulated_kernels(Find find_, Start start_) {
  find = find_;
  start = start_;
}

EXPORT void emulated_error(const char* text) { last_error = text; }

EXPORT CUresult cuGetErrorName(CUresult error, const char** name) {
  switch (error) {
    case CUDA_ERROR_NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case CUDA_ERROR_LAUNCH_FAILED: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    case CUDA_ERROR_INVALID_IMAGE: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
    case CUDA_ERROR_INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case CUDA_ERROR_NOT_SUPPORTED: *name = "CUDA_ERROR_NOT_SUPPORTED"; break;
    default: *name = "CUDA_ERROR_UNKNOWN";
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorString(CUresult, const char** text) {
  *text = last_error.c_str();
  return CUDA_SUCCESS;
}

// ---- the one context

EXPORT CUresult cuCtxGetCurrent(CUcontext* context) { return *context = (CUcontext)0x10, CUDA_SUCCESS; }
EXPORT CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
EXPORT CUresult cuCtxGetDevice(CUdevice* device) { return *device = 0, CUDA_SUCCESS; }
EXPORT CUresult cuStreamGetCtx(CUstream, CUcontext* context) { return cuCtxGetCurrent(context); }

// ---- modules: the image is "emulated module 7"

EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  static const char begin[] = "emulated module ";
  if (strncmp((const char*)image, begin, sizeof begin - 1))
    return refuse(CUDA_ERROR_INVALID_IMAGE, "machine code of a GPU: only text of kernels can be emulated");
  *module = (CUmodule)strtoll((const char*)image + sizeof begin - 1, nullptr, 10);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }

EXPORT CUresult cuModuleGetFunction(CUfunction* kernel, CUmodule module, const char* name) {
  *kernel = (CUfunction)find((long long)module, name);
  return *kernel ? CUDA_SUCCESS : refuse(CUDA_ERROR_NOT_FOUND, std::string("there is no kernel ") + name);
}

// ---- kernels

EXPORT CUresult cuLaunchKernel(CUfunction kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                               unsigned bz, unsigned dynamic_shared, CUstream, void** parameters, void** extra) {
  if (extra)
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "parameters as one buffer are not emulated");
  std::lock_guard<std::recursive_mutex> lock(launches);
  const unsigned limit = shared_limit.count(kernel) ? shared_limit[kernel] : SHARED;
  const unsigned sizes[] = {gx, gy, gz, bx, by, bz, dynamic_shared, limit};
  if (start((long long)kernel, sizes, parameters))
    return CUDA_ERROR_LAUNCH_FAILED;
  const std::string wrong = written_beside();
  return wrong.empty() ? CUDA_SUCCESS : refuse(CUDA_ERROR_LAUNCH_FAILED, wrong);
}

EXPORT CUresult cuLaunchCooperativeKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                          CUstream, void**) {
  return refuse(CUDA_ERROR_NOT_SUPPORTED, "cooperative launches are not emulated");
}

EXPORT CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction kernel) {
  *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
    *value = shared_limit.count(kernel) ? shared_limit[kernel] : SHARED;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetAttribute(CUfunction kernel, CUfunction_attribute attribute, int value) {
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
    return CUDA_SUCCESS;
  if (value > SHARED_ON_REQUEST)
    return refuse(CUDA_ERROR_INVALID_VALUE, "more shared memory than a block can have");
  shared_limit[kernel] = value;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int, size_t) {
  return *blocks = 2, CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction, CUoccupancyB2DSize, size_t, int) {
  return *grid = 2 * MULTIPROCESSORS, *block = 256, CUDA_SUCCESS;
}
