"""What the engine costs on this machine, and the same work in PyTorch beside it: `minicnn bench`.

    layers  steps   the works: each one in minicnn and, a few lines below, the same in PyTorch
    works           all of them by name
    profiling timing  where the time of a work goes
    worker          one side of a comparison, in a process of its own
    runner          the sides in turn, medians, and where the time of a work goes
    memory machine  what is asked of the system
    table           what the reader sees
"""
from .runner import profile, run
from .works import select
