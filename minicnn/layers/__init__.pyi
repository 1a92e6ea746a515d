"""The layers' types are those of `mc.Conv2d`, `mc.conv2d` ...: see minicnn/__init__.pyi."""
from typing import Any

from . import init as init

def __getattr__(name: str) -> Any: ...
