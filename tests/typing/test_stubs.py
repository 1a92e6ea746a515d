"""The stubs know every name that `mc` offers, and the parameters of every function: what can be seen without a type checker.

The gate has one; it compares the rest (`python -m mypy.stubtest minicnn`), and reads usage.py and errors.py.
"""
import ast
import inspect
import types
from pathlib import Path

import pytest

import minicnn as mc

PACKAGE = Path(mc.__file__).parent
STUBBED = {"__init__": mc, "data/__init__": mc.data, "data/augment": mc.data.augment, "generate/__init__": mc.generate,
           "images/__init__": mc.images, "layers/init": mc.init, "models/__init__": mc.models,
           "training/evaluation": mc.evaluation}


def stub_of(name):
    return ast.parse((PACKAGE / f"{name}.pyi").read_text(encoding="utf-8"))


def names_in(stub):
    """What a stub offers: functions, classes, variables, and what it imports under a name ("import x as x")."""
    for node in stub.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.asname == alias.name)


def offered(module):
    """The functions and classes that a module of minicnn hands on: a package all of its own, a file those written in it."""
    written_here = {module.__name__} if not hasattr(module, "__path__") else None
    return {name for name, value in vars(module).items()
            if isinstance(value, (type, types.FunctionType)) and not name.startswith("_")
            and value.__module__.startswith("minicnn") and (not written_here or value.__module__ in written_here)}


@pytest.mark.parametrize("name", STUBBED)
def test_the_stub_knows_every_name(name):
    missing = offered(STUBBED[name]) - set(names_in(stub_of(name)))
    assert not missing, f"minicnn/{name}.pyi lacks {sorted(missing)}: a line for each"


@pytest.mark.parametrize("name", STUBBED)
def test_the_stub_knows_every_parameter(name):
    for node in stub_of(name).body:
        if isinstance(node, ast.FunctionDef):
            said = [a.arg for a in (*node.args.args, node.args.vararg, *node.args.kwonlyargs, node.args.kwarg) if a]
            assert said == list(inspect.signature(getattr(STUBBED[name], node.name)).parameters), node.name


def test_the_package_says_that_it_has_types():
    assert (PACKAGE / "py.typed").is_file()
