"""The order of threads, and few of them: what no kernel may depend on."""
import pytest

from minicnn import cuda

each_order = pytest.mark.parametrize("order", [0, 1, 2], ids=["forward", "backward", "at random"])


def few_threads(order, cp, monkeypatch):
    """At most two blocks, so that each thread takes several numbers, in one of three orders.  (A GPU has its own order.)"""
    monkeypatch.setattr(cuda, "MOST_BLOCKS", 2)
    if hasattr(cp, "ORDER"):
        monkeypatch.setattr(cp, "ORDER", order)
