"""What the engine costs on this machine, and the same work in PyTorch beside it: `minicnn bench`."""
from .runner import report, run, select
