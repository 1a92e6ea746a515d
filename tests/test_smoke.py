"""The list of the smoke suite is up to date: every line names something that is there, and no room is left out."""
import ast
from pathlib import Path

import pytest
from conftest import SMOKE

import minicnn as mc

TESTS = Path(__file__).parent
ELSEWHERE = {"inside": "models"}                             # rooms whose tests lie in a folder of another name


@pytest.mark.parametrize("line", SMOKE)
def test_the_line_names_tests(line):
    path, _, name = line.partition("::")
    path = TESTS.parent / path
    assert path.exists(), f"tests/smoke.txt: there is no {path}"
    if name:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert any(node.name.startswith(name) for node in tree.body if isinstance(node, ast.FunctionDef)), line


def test_no_room_is_left_out():
    rooms = {path.parent.name for path in Path(mc.__file__).parent.glob("*/__init__.py")}
    tested = {line.split("/")[1] for line in SMOKE if line.count("/") > 1 or (TESTS.parent / line).is_dir()}
    assert {ELSEWHERE.get(room, room) for room in rooms} <= tested
