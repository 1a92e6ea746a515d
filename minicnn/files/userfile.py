"""A function in a Python file of one's own, named as file.py:function.

The file is run, as `python file.py` would: only a name that the user gave may come here, never one that stands in a file of
data.  `minicnn gradcheck file.py:function` and a network of one's own, `models.build("file.py:function", ...)`, use it.
"""
import importlib.util
import inspect
import sys
from pathlib import Path


def is_place(name):
    """Whether `name` means a function in a file, file.py:function, and not something by its own name."""
    return isinstance(name, str) and (":" in name or name.endswith(".py"))


def load_function(place):
    """(function, its name, the file as a module) of "file.py:function"; the file can import what lies beside it.

    Raises FileNotFoundError for a missing file; ValueError for a file that cannot be run, or that has no such function,
    with the names of those it has.
    """
    whole = place.endswith(".py") or ":" not in place            # a colon may be that of a drive: C:\nets\my.py
    path, _, name = (place, "", "") if whole else place.rpartition(":")
    module = _run(Path(path))
    function = getattr(module, name, None)
    if not callable(function):
        defined = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
        problem = f"has no function {name!r}" if name else "needs the name of a function"
        raise ValueError(f"{path} {problem}; it has {', '.join(defined) or 'none'}: name one as {path}:function")
    return function, name, module


def _run(path):
    """The file, run as a module; files beside it can be imported by it, as when Python runs it."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}: a function in a file is named as file.py:function")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None:
        raise ValueError(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return module
