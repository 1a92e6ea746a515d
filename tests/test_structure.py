"""The house keeps its shape: imports run one way, `import minicnn` stays light, functions and lines stay short."""
import ast
import inspect
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import minicnn as mc

PACKAGE = Path(mc.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A room (a file, or a folder with all that is in it) imports only from rooms on lines above its own.
LAYERS = [
    ["interrupt"],
    ["core"],
    ["files", "layers", "optim"],
    ["checking", "images"],
    ["inside"],
    ["data"],
    ["models"],
    ["training"],
    ["generate"],
    ["minicnn"],                                 # the package itself: what `import minicnn as mc` offers
    ["doctor"],
    ["bench"],
    ["cli"],
    ["__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
LONGEST_FUNCTION, LONGEST_LINE = 30, 125
THIRD_PARTY = {"numpy", "PIL", "mpi4py", "safetensors", "threadpoolctl", "tqdm"}


# ---- imports run one way -------------------------------------------------------------------------------------------

def room_of(path):
    """minicnn/layers/pool.py -> layers, minicnn/core/tensor.py -> core, minicnn/__init__.py -> minicnn."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "minicnn" if first == "__init__" else first


def imported_rooms(source, folder):
    """The rooms that the text of a file in `folder` imports, at its head or inside a function.

    folder  the names of the package that the file lies in: ("minicnn", "layers") for minicnn/layers/pool.py
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_room(alias.name.split(".")) for alias in node.names if alias.name.split(".")[0] == "minicnn")
        elif isinstance(node, ast.ImportFrom):
            parts = list(folder[:len(folder) - node.level + 1]) if node.level else []
            parts += node.module.split(".") if node.module else []
            if parts[0] == "minicnn":
                yield from (_room([*parts, alias.name]) for alias in node.names)


def _room(path):
    """["minicnn", "layers", "pool", "max_pool2d"] -> layers; a name that is no room, or none, is the package's own."""
    is_room = len(path) > 1 and ((PACKAGE / path[1]).is_dir() or (PACKAGE / f"{path[1]}.py").is_file())
    return path[1] if is_room else "minicnn"


def wrong_arrows(room, source, folder):
    """The rooms that a file of `room` imports though they stand no higher than it does."""
    return [other for other in imported_rooms(source, folder) if other != room and LEVEL[other] >= LEVEL[room]]


def test_every_room_has_its_place():
    rooms = {room_of(path) for path in FILES}
    assert rooms <= set(LEVEL), f"say in LAYERS where {rooms - set(LEVEL)} belongs"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    folder = ("minicnn", *path.relative_to(PACKAGE).parts[:-1])
    wrong = wrong_arrows(room_of(path), path.read_text(encoding="utf-8"), folder)
    assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}, which stand no higher in LAYERS"


@pytest.mark.parametrize("room, source, wrong", [
    ("layers", "from ..core.tensor import Tensor", []),
    ("layers", "from ..optim import SGD", ["optim"]),
    ("layers", "def f():\n    import minicnn.models", ["models"]),
    ("layers", "from .. import training", ["training"]),
    ("layers", "from minicnn import relu", ["minicnn"]),
    ("layers", "from .pool import pair\nimport numpy", []),
    ("layers", "import minicnn as mc", ["minicnn"])])
def test_an_arrow_that_runs_back_is_found(room, source, wrong):
    assert wrong_arrows(room, source, ("minicnn", "layers")) == wrong


# ---- light ---------------------------------------------------------------------------------------------------------

IMPORT = textwrap.dedent("""
    import json, os, sys
    before, calls = set(sys.modules), []
    sys.addaudithook(lambda event, arguments: calls.append(event) if event.startswith("socket.") else None)
    import minicnn
    new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
    of_python = os.path.dirname(os.__file__)     # a module of its own need not stand in that list
    places = {name: getattr(sys.modules.get(name), "__file__", None) for name in new}
    files = sorted(name for name, place in places.items() if place and os.path.dirname(place) != of_python)
    print(json.dumps({"modules": files, "calls": [c for c in calls if c != "socket.__new__"]}))
""")


def test_importing_minicnn_is_light(tmp_path):
    """No other library, no network; CuPy and PyTorch stay untouched even where they are installed (here: and broken)."""
    for name in ("cupy", "torch", "matplotlib"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported by import minicnn')")
    path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    printed = subprocess.run([sys.executable, "-c", IMPORT], env={**os.environ, "PYTHONPATH": path},
                             capture_output=True, text=True, check=True).stdout
    found = json.loads(printed)
    assert set(found["modules"]) - {"minicnn"} <= THIRD_PARTY
    assert found["calls"] == []


# ---- short and documented ------------------------------------------------------------------------------------------

PUBLIC = sorted(name for name, value in vars(mc).items()
                if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_a_docstring(name):
    assert vars(mc)[name].__doc__, f"mc.{name} says nothing about itself"


def functions_and_lengths(source):
    """(name, lines without the docstring) of every function, those in others too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            yield node.name, node.end_lineno - node.lineno + 1 - documented * (first.end_lineno - first.lineno + 1)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_and_lines_are_short(path):
    source = path.read_text(encoding="utf-8")
    long = [f"{name}: {lines} lines" for name, lines in functions_and_lengths(source) if lines > LONGEST_FUNCTION]
    long += [f"line {i}: {len(line)} characters" for i, line in enumerate(source.splitlines(), 1)
             if len(line) > LONGEST_LINE]
    assert not long, f"{path.relative_to(PACKAGE)}: {', '.join(long)}"


def test_a_docstring_does_not_count():
    source = 'def f():\n    """One\n    two."""\n    def g():\n        return 1\n    return g\n'
    assert dict(functions_and_lengths(source)) == {"f": 4, "g": 2}
