"""Every name and keyword of CuPy in minicnn's text is one that the real CuPy has.   No CuPy is needed: cupy_api.json knows.

What counts as CuPy in the text: a variable `xp` or `cupy`, `array_library(...)` and `sys.modules["cupy"]`.
"""
import ast
import json
from pathlib import Path

import pytest
import sources

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text(encoding="utf-8"))
LIBRARIES = {"xp", "cupy"}
OF_UFUNCS = {"out", "dtype", "casting"}
METHODS_OF_UFUNCS = {"at", "accumulate", "outer", "reduce", "reduceat"}


def is_library(node):
    """Whether an expression is the module CuPy (or, there, NumPy)."""
    if isinstance(node, ast.Name):
        return node.id in LIBRARIES
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "array_library"
    return ast.unparse(node) == "sys.modules['cupy']"


def name_in_library(node):
    """'cuda.runtime.getDeviceCount' of the expression cupy.cuda.runtime.getDeviceCount; None of any other."""
    names = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return ".".join(names) if names and is_library(node) else None


def is_known(name):
    """Whether CuPy has this name.  Of a class, or the result of a call, nothing more is asked."""
    module, *rest = "cupy", *name.split(".")
    while rest:
        first, *rest = rest
        if first not in API["modules"][module]:
            return first in ("__name__", "__version__")
        if first in API["ufuncs"] and rest:
            return rest[0] in METHODS_OF_UFUNCS
        if f"{module}.{first}" not in API["modules"]:
            return True
        module = f"{module}.{first}"
    return True


def known_keywords(name):
    """Those that a function takes, or None where that is not known."""
    if name not in API["functions"]:
        return None
    parameters = API["functions"][name]
    if parameters is None:
        return OF_UFUNCS if name in API["ufuncs"] else None
    return None if any(p.startswith("**") for p in parameters) else set(parameters)


def wrong_names(source):
    """What a text asks CuPy for that the real one does not have."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and (name := name_in_library(node)) and not is_known(name):
            yield f"line {node.lineno}: no cupy.{name}"
        if isinstance(node, ast.Call) and (name := name_in_library(node.func)):
            known = known_keywords(name)
            yield from (f"line {node.lineno}: cupy.{name} has no {keyword.arg}=" for keyword in node.keywords
                        if known is not None and keyword.arg is not None and keyword.arg not in known)


FILES = sorted(sources.PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=sources.name_of)
def test_cupy_has_what_is_asked_of_it(path):
    assert not list(wrong_names(path.read_text(encoding="utf-8")))


def test_something_is_asked_of_it():
    nodes = [node for path in FILES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    asked = {name_in_library(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert {"matmul", "asarray", "RawModule", "cuda.runtime.getDeviceCount"} <= asked


@pytest.mark.parametrize("source, wrong", [
    ("xp.exp(x)", []),
    ("xp.insert(x, 0, 1)", ["line 1: no cupy.insert"]),
    ("array_library(x, y).block([x, y])", ["line 1: no cupy.block"]),
    ("\ny = sys.modules['cupy'].errstate", ["line 2: no cupy.errstate"]),
    ("cupy.cuda.runtime.getDeviceCont()", ["line 1: no cupy.cuda.runtime.getDeviceCont"]),
    ("xp.linalg.multi_dot(x)", ["line 1: no cupy.linalg.multi_dot"]),
    ("xp.sum(x, axis=0, where=x > 0)", ["line 1: cupy.sum has no where="]),
    ("xp.maximum(x, 0, out=x, where=x > 0)", ["line 1: cupy.maximum has no where="]),
    ("xp.var(x, correction=1)", ["line 1: cupy.var has no correction="]),
    ("xp.add.at(x, i, 1); xp.add.put(x)", ["line 1: no cupy.add.put"]),
    ("xp.float32(2); xp.pi; xp.RawModule(code='').get_function('k'); cupy.__version__", []),
    ("np.insert(x, 0, 1); my.xp.nothing", [])])
def test_a_wrong_name_is_found(source, wrong):
    assert list(wrong_names(source)) == wrong
