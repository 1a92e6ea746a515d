"""The timings: which works there are, that both sides do the same work, and what is reported of it."""
import json

import numpy as np
import pytest

from minicnn.bench import report, run, select
from minicnn.bench.runner import _row
from minicnn.bench.works import LAYERS, VGG19, WORKS
from minicnn.cli import main


def test_works_are_chosen_by_their_beginning():
    assert select(["style-step"]) == ["style-step-256", "style-step-512"]
    assert select([]) == list(WORKS) and set(LAYERS) < set(WORKS)
    with pytest.raises(ValueError, match="there is no work 'dance'; there are style-step-256"):
        select(["train", "dance"])


def test_multiply_adds_of_vgg19_as_published():
    # 23.7 thousand million to relu5_1 for a picture of 256 pixels, forward; the gradient costs the same once more
    assert WORKS["style-step-256"].multiply_adds == pytest.approx(2 * 23.7e9, rel=.01)
    assert sum(k != "M" for k in VGG19) == 13


def test_the_better_layout_of_torch_counts():
    row = _row("train-step", {"ours": 30., "contiguous_format": 60., "channels_last": 40.},
               {"ours": 5., "contiguous_format": 7., "channels_last": 9.})
    assert row["ratio"] == .75 and row["torch_setting"] == "channels_last" and row["torch_mb"] == 7.


def test_a_run_from_the_shell_writes_the_table_and_the_file(capsys, tmp_path):
    assert main(["bench", "forward-1", "--rounds", "2", "--json", str(tmp_path / "bench.json")]) == 0
    assert "forward-1" in capsys.readouterr().out
    result = json.loads((tmp_path / "bench.json").read_text())
    row, = result["results"]
    assert row["work"] == "forward-1" and row["ours_ms"] > 0 and row["ours_mb"] >= 0 and "ratio" not in row
    assert result["layers_geomean"] is None and result["machine"]["matrix_product_gflops"] > 0
    assert main(["bench", "dance"]) == 1 and "there is no work 'dance'" in capsys.readouterr().err


def test_against_torch_both_sides_are_timed_and_the_layers_have_a_mean():
    pytest.importorskip("torch")
    result = run(["conv-512-512-16-forward"], against_torch=True, rounds=2)
    row, = result["results"]
    assert row["ratio"] == pytest.approx(row["ours_ms"] / row["torch_ms"]) == pytest.approx(result["layers_geomean"])
    assert "geometric mean" in report(result)


@pytest.mark.parametrize("name", ["conv-64-128-128-forward", "forward-1"])
def test_a_layer_gives_the_same_in_both(name):
    torch = pytest.importorskip("torch")
    if name == "forward-1":                      # other random weights: the shapes are what can be compared
        assert WORKS[name].ours()().shape == tuple(WORKS[name].theirs(torch, "channels_last")().shape)
        return
    ours = WORKS[name].ours()().data
    theirs = WORKS[name].theirs(torch, "contiguous_format")().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=3e-5 * np.abs(theirs).max())


def test_the_style_step_has_the_same_gradient_in_both():
    torch = pytest.importorskip("torch")
    from minicnn.bench.works import _style_ours, _style_theirs
    ours, theirs = _style_ours(32)(), _style_theirs(32, torch, "channels_last")().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())
