"""What all else stands on: tensors and their gradients, the array library, threads, launching of kernels, processes.

Read tensor.py first.  The others serve it: arithmetic/ has the operations that are no layer, backend.py says to which
library an array belongs, contract.py checks what an operation returned, locks.py keeps arrays read-only that a gradient
rule will read again.
"""
