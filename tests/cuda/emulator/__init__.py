"""CUDA C++ kernels on the CPU: their text compiled by g++ behind a header that makes each CUDA thread a fiber.

    module = Module(text, mode="check", name="layers/pool/pool.cu")
    module.launch("max_pool", blocks, threads, parameters, arrays=[(address, bytes, 0), ...])

text.py       finds kernels in the text, and shared memory, which g++ cannot have as it stands
building.py   calls g++, and keeps what it made
launching.py  Module: starts a kernel, and says what went wrong in it
include/      the header, in C++

Two modes find errors.  `fast` is plain compiled code: wrong results, barriers that not all threads reach, shuffles from
absent lanes.  `check` examines every access: out of bounds, misaligned, raced for, or of shared memory that nobody wrote.
`profile` is `check` that counts sectors and bank conflicts too.
"""
from .building import COMPILER, CompileError, missing
from .launching import FORWARD, RANDOM, REVERSE, KernelError, Module

__all__ = ["COMPILER", "CompileError", "FORWARD", "KernelError", "Module", "RANDOM", "REVERSE", "missing"]
