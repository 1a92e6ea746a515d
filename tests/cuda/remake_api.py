"""Makes cupy_api.json anew from the CuPy that is installed; no GPU is needed.

    pip install cupy-cuda12x
    python tests/cuda/remake_api.py
"""
import importlib
import inspect
import json
import operator
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("cupy_api.json")
MODULES = ["cupy", "cupy.cuda", "cupy.cuda.compiler", "cupy.cuda.driver", "cupy.cuda.runtime", "cupy.fft", "cupy.lib",
           "cupy.lib.stride_tricks", "cupy.linalg", "cupy.random", "cupyx"]
STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def public(module):
    """The names of a module that begin with no underscore."""
    return sorted(name for name in dir(module) if not name.startswith("_"))


def found(name):
    """'cupy.cuda.driver' -> what `cupy.cuda.driver` is after `import cupy` (not all of them can be imported by name)."""
    library, _, inner = name.partition(".")
    return operator.attrgetter(inner)(importlib.import_module(library)) if inner else importlib.import_module(library)


def parameters(function):
    """['a', 'axis', '*more', '**others'], or None where Python cannot tell."""
    try:
        return [STARS.get(p.kind, "") + p.name for p in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return None


def api(cupy):
    """What the names and keywords of a CuPy are."""
    shared = [name for name in public(cupy) if callable(getattr(cupy, name)) and hasattr(np, name)
              and not isinstance(getattr(cupy, name), type)]
    ufuncs = [name for name in shared if isinstance(getattr(np, name), np.ufunc)]
    return {
        "version": cupy.__version__,
        "functions": {name: parameters(getattr(cupy, name)) for name in shared},       # those that NumPy has too
        "ufuncs": ufuncs,
        "ndarray": list(public(cupy.ndarray)),
        "modules": {name: public(found(name)) for name in MODULES},
    }


def written(api):
    """As JSON, a line for each function, so that two versions can be compared."""
    parts = []
    for key, value in api.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value[name])}" for name in sorted(value))
            parts.append(f"{json.dumps(key)}: {{\n{rows}\n}}")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    import cupy
    PATH.write_text(written(api(cupy)), encoding="utf-8")
    print(f"{PATH}: CuPy {cupy.__version__}")
