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

# A room (a folder, or a file beside them) imports only from rooms on lines above its own.
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

# The same inside some rooms, a file or a folder each: what stands in no line of its room may be anywhere in it.
INSIDE = {
    "core": [["backend", "contract", "locks", "malloc", "tuning"], ["blas"], ["processes", "threads"], ["kernels", "tensor"], ["arithmetic"]],
    "core/arithmetic": [["broadcasting"], ["shapes"], ["functions", "operands", "padding", "products", "reductions"],
                        ["contraction"]],
    "layers": [["watching"], ["frozen"], ["init", "module"], ["activation", "dense", "dropout", "gram"], ["loss", "norm"],
               ["conv"], ["pool", "resample"]],
    "layers/conv": [["filters", "geometry"], ["epilogue", "tiling"],
                    ["im2col", "implicit", "naive", "pointwise", "winograd"], ["depthwise"], ["choice"]],
    "models": [["classifier", "published", "start", "stylizer"], ["imagenet", "lenet", "own", "resnet", "small"],
               ["alexnet", "squeezenet"], ["vgg"], ["networks"], ["storing"], ["importing"]],
    "generate": [["objectives", "transforms", "views"], ["inversion"], ["features"], ["style"]],
}
LONGEST_FUNCTION, LONGEST_LINE = 30, 125
THIRD_PARTY = {"numpy", "PIL", "mpi4py", "safetensors", "threadpoolctl", "tqdm"}


# ---- imports run one way -------------------------------------------------------------------------------------------

def room_of(path):
    """minicnn/layers/dense.py -> layers, minicnn/core/tensor.py -> core, minicnn/__init__.py -> minicnn."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "minicnn" if first == "__init__" else first


def imported_rooms(source, folder):
    """The rooms that the text of a file in `folder` imports, at its head or inside a function.

    folder  the names of the package that the file lies in: ("minicnn", "layers") for minicnn/layers/dense.py
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


# ---- nor round in a circle -----------------------------------------------------------------------------------------

def imported_files(path):
    """The files of the package that one of them imports: where a folder is imported, its __init__."""
    folder = ("minicnn", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            parts = list(folder[:len(folder) - node.level + 1]) if node.level else []
            parts += node.module.split(".") if node.module else []
            names = [[*parts, alias.name] for alias in node.names]
        else:
            names = [alias.name.split(".") for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            found = file_of(name) or file_of(name[:-1])
            if found and found != path:
                yield found


def file_of(parts):
    """["minicnn", "layers", "pool"] -> minicnn/layers/pool.py, or minicnn/layers/pool/__init__.py; None if there is neither."""
    place = PACKAGE.parent.joinpath(*parts)
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((path for path in candidates if parts[:1] == ["minicnn"] and path.is_file()), None)


def circles(arrows):
    """The circles among {file: files that it imports}, each as the set of those in it (Tarjan 1972)."""
    number, low, stack, found = {}, {}, [], []

    def visit(file):
        number[file] = low[file] = len(number)
        stack.append(file)
        for other in arrows.get(file, ()):
            if other not in number:
                visit(other)
            if other in stack:
                low[file] = min(low[file], low[other])
        if low[file] == number[file]:
            circle = stack[stack.index(file):]
            del stack[stack.index(file):]
            found.extend([set(circle)] if len(circle) > 1 else [])
    for file in arrows:
        if file not in number:
            visit(file)
    return found


def test_no_circle():
    found = circles({path: set(imported_files(path)) for path in FILES})
    assert not found, [sorted(str(path.relative_to(PACKAGE)) for path in circle) for circle in found]


@pytest.mark.parametrize("arrows, expected", [
    ({"a": "b", "b": "c", "c": ""}, []), ({"a": "b", "b": "a"}, [{"a", "b"}]),
    ({"a": "bc", "b": "d", "c": "d", "d": ""}, []), ({"a": "b", "b": "c", "c": "b", "d": "ea", "e": "d"}, [{"b", "c"}, {"d", "e"}])])
def test_a_circle_is_found(arrows, expected):
    assert circles(arrows) == expected


@pytest.mark.parametrize("room", INSIDE)
def test_imports_run_one_way_inside_a_room_too(room):
    level = {name: level for level, names in enumerate(INSIDE[room]) for name in names}
    wrong, folder = [], PACKAGE / room
    assert all((folder / name).is_dir() or (folder / f"{name}.py").is_file() for name in level), room

    def place(path):
        return path.relative_to(folder).parts[0].removesuffix(".py") if folder in path.parents else None
    for path in sorted(folder.rglob("*.py")):
        here = place(path)
        wrong += [(here, place(other)) for other in imported_files(path) if here in level and place(other) in level
                  and place(other) != here and level[place(other)] >= level[here]]
    assert not wrong, f"in {room}: {wrong} run back"


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
