"""The types of training are those of `mc.Training`, `mc.accuracy` ...: see minicnn/__init__.pyi."""
from typing import Any

from . import evaluation as evaluation

def __getattr__(name: str) -> Any: ...
