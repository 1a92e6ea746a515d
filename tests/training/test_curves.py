"""Learning curves as a table and a picture, and the statistics of layers."""
import csv

import numpy as np
import pytest

import minicnn as mc
from minicnn.inside.statistics import statistics, statistics_table
from minicnn.models import small
from minicnn.training.curves import COLOURS, PANEL, _above, learning_curves, write_csv

HISTORY = [{"epoch": i + 1, "loss": 2 / (i + 1), "train": .3 + .1 * i, "test": .2 + .1 * i, "seconds": 1.5} for i in range(5)]


def test_the_table_can_be_read_back(tmp_path):
    write_csv(HISTORY, tmp_path / "run.csv")
    with open(tmp_path / "run.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == HISTORY


def columns_of(picture, colour):
    return np.flatnonzero((picture == colour).all(axis=2).any(axis=0))


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1], HISTORY * 30, [{k: r[k] for k in r if k != "test"} for r in HISTORY]])
def test_curves_are_drawn_in_their_colours(history):
    history = [row | {"epoch": i + 1} for i, row in enumerate(history)]
    picture = learning_curves(history)
    assert picture.dtype == np.uint8 and picture.shape[1] > 2 * PANEL[0]
    assert len(columns_of(picture, COLOURS["loss"])) >= 3
    assert (len(columns_of(picture, COLOURS["test"])) > 0) == ("test" in history[0])


def test_a_falling_loss_goes_down_on_the_picture():
    picture = learning_curves(HISTORY)[:, :64 + PANEL[0] + 10]
    rows, columns = np.nonzero((picture == COLOURS["loss"]).all(axis=2))
    assert rows[columns == columns.min()].mean() < rows[columns == columns.max()].mean()        # rows are counted from above


@pytest.mark.parametrize("value, top", [(.7, .8), (1, 1), (1.3, 1.6), (2.31, 2.4), (7, 8), (23, 24), (.013, .016)])
def test_an_axis_ends_at_a_round_number(value, top):
    assert _above(value) == pytest.approx(top)


def test_statistics_name_every_layer_with_weights_and_change_nothing():
    rng = np.random.default_rng(0)
    model, x, labels = small(list("ab"), ((4,), (6,)), rng=0), rng.random((8, 8, 8, 3), dtype=np.float32), rng.integers(0, 2, 8)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    rows = statistics(model, x, labels)
    assert [row["layer"] for row in rows] == ["features.1", "features.2", "features.5", "features.6", "classifier.1"]
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert .1 < rows[1]["silent"] < .9                           # the batch norm before a ReLU
    dense = rows[-1]
    assert dense["weight"] == pytest.approx(np.linalg.norm(model.classifier.layers[1].weight.data))
    twin = model.train()
    mc.cross_entropy(twin(x), labels).backward()
    assert dense["gradient"] == pytest.approx(np.linalg.norm(model.classifier.layers[1].weight.grad), rel=1e-5)
    assert len(statistics_table(rows).splitlines()) == 6 and "Dense" in statistics_table(rows)


def test_a_dead_layer_shows():
    model = small(list("ab"), ((4,), (6,)), rng=0)
    model.features.layers[1].weight.data[...] = 0
    rows = {row["layer"]: row for row in statistics(model, np.random.default_rng(0).random((4, 8, 8, 3), np.float32),
                                                    np.array([0, 1, 0, 1]))}
    assert rows["features.1"]["std"] == 0 and rows["features.1"]["silent"] == 1
