// Runs the text of CUDA C++ kernels on a CPU.   g++ 9 or later, C++17
//
// The text is compiled as it stands, behind this header: each CUDA thread becomes a fiber (a function that can be left in
// the middle and gone on with later), and all fibers of a block take turns on one thread of the CPU.  A barrier is a place
// where a fiber is left until the others have come to theirs.  So every run is the same run, and can be examined.
//
//     types.h     words of CUDA C++, float4 and the like          block.h     the threads of a block take turns
//     state.h     the launch, the threads, what went wrong        checker.h   every access examined      (CCPU_CHECK)
//     fibers.h    leaving a thread and coming back to it          profile.h   sectors and banks counted  (CCPU_PROFILE)
//     shared.h    shared memory                                   launch.h    the whole grid; what Python calls
//     warp.h      __syncthreads, shuffles, votes                  device.h    threadIdx, atomicAdd, expf and so on
#pragma once
#include "types.h"

#include "state.h"

#include "fibers.h"
#include "shared.h"
#include "warp.h"

#include "block.h"
#include "checker.h"
#include "launch.h"

#include "device.h"
