"""Which form of a layer computes:  algorithm="auto", the quickest that fits, or "naive", the definition written as loops.

The naive form is slow, and right by inspection: it is there to be read, and to compare the quick one with.
(A convolution has more than one quick form, and a table of its own: conv/choice.py.)
"""
ALGORITHMS = ("auto", "naive")


def wants_naive(operation, algorithm):
    """Whether the definition is wanted.   Raises ValueError for a name that is not in ALGORITHMS."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"{operation}: algorithm must be one of {list(ALGORITHMS)}, not {algorithm!r}")
    return algorithm == "naive"
