"""The scripts that measure the lessons' tables run, and the same command gives the same table."""
import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tutorials" / "tables" / "augmentation.py"


def table_of(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_table_of_augmentations(monkeypatch, capsys):
    asked = "--data shapes --train 128 --epochs 2 --rows none flip crop,flip --seeds 0 1".split()
    lines = table_of(monkeypatch, capsys, *asked)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in cells[2:]] == ["`none`", "`flip`", "`crop,flip`"]
    assert ["(" in row[2] for row in cells[2:]] == [True, False, True]           # the second seed, for the rows of --again
    assert cells[2][3] == "" and cells[4][4] == ""                               # none is compared with itself
    tests = [float(row[2].split()[0]) for row in cells[2:]]
    assert abs(float(cells[3][3]) - (tests[1] - tests[0])) < .11                 # both numbers are rounded
    assert table_of(monkeypatch, capsys, *asked) == lines
