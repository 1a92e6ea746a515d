"""The timings: which works there are, that both sides do the same work, and what is reported of it."""
import importlib.util
import json
import mmap
import sys
import time

import numpy as np
import pytest

from minicnn.bench import layers, memory, profiling, run, runner, select, sides, steps, table, transfer
from minicnn.bench.runner import WorkerFailed, _in_turn, _layers_geomean, _row, _Worker
from minicnn.bench.works import LAYERS, WORKS
from minicnn.cli import main


# ---- which works there are -----------------------------------------------------------------------------------------

def test_works_are_chosen_by_their_name_or_its_beginning():
    assert select(["style-step"]) == ["style-step-256", "style-step-512"]
    assert select(["train-step"]) == ["train-step"]
    assert select(["train-step-", "forward-1"]) == ["train-step-vgg11", "forward-1"]
    assert select([]) == list(WORKS) and set(LAYERS) < set(WORKS)
    with pytest.raises(ValueError, match="there is no work 'dance'; there are style-step-256"):
        select(["train", "dance"])


def test_every_shape_of_vgg19_is_there_forward_and_gradient():
    shapes, C, size = set(), 3, 256
    for layer in steps.VGG19:
        if layer == "M":
            size //= 2
        else:
            shapes, C = shapes | {(C, layer, size)}, layer
    wanted = {f"conv-{C}-{K}-{size}-{way}" for C, K, size in shapes for way in ("forward", "gradient")}
    assert {name for name in LAYERS if name.startswith("conv")} == wanted
    assert sum(k != "M" for k in steps.VGG19) == 13


def test_multiply_adds_of_vgg19_as_published():
    # 23.7 thousand million to relu5_1 for a picture of 256 pixels, forward; the gradient costs the same once more
    assert WORKS["style-step-256"].multiply_adds == pytest.approx(2 * 23.7e9, rel=.01)


def test_training_needs_no_input_gradient_of_the_first_layer():
    forward = 9 * (3 * 4 + 4 * 6) * 32 * 32 + 9 * 6 * 8 * 16 * 16
    assert steps.network_multiply_adds(((4, 6), (8,)), 1) == forward
    assert steps.network_multiply_adds(((4, 6), (8,)), 3) == 3 * forward - 9 * 3 * 4 * 32 * 32


# ---- both sides do the same work -----------------------------------------------------------------------------------

@pytest.fixture(params=sides.LAYOUTS)
def side(request):
    return sides.TorchSide(pytest.importorskip("torch"), request.param)


def nhwc(x):
    return x.detach().permute(0, 2, 3, 1).numpy()


def assert_alike(ours, theirs, tolerance=3e-5):
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("C, K, size", [(3, 7, 12), (16, 32, 16)])
def test_a_convolution_gives_the_same_in_both(C, K, size, gradient, side):
    assert_alike(layers.conv_ours(C, K, size, gradient)(), nhwc(layers.conv_theirs(C, K, size, gradient, side)()))


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_a_pooling_and_its_gradient_give_the_same_in_both(kind, side):
    for ours, theirs in zip(layers.pool_ours(5, 12, kind)(), layers.pool_theirs(5, 12, kind, side)(), strict=True):
        assert_alike(ours, nhwc(theirs))


def test_the_style_step_has_the_same_gradient_in_both(side):
    assert_alike(steps.style_ours(32)(), nhwc(steps.style_theirs(32, side)()), 1e-3)


def test_a_whole_transfer_ends_in_the_same_picture_in_both(side):
    ours, theirs = transfer.transfer_ours(48, 2)(), transfer.transfer_theirs(48, side, 2)()
    assert ours.shape == theirs.shape == (48, 48, 3)
    assert np.abs(ours - theirs).mean() < 1e-3 < np.abs(ours - transfer._picture(48, 0)).mean()


@pytest.mark.parametrize("adversarial", [False, True])
def test_training_goes_the_same_way_in_both(adversarial, side):
    widths = ((4, 6), (8,))
    ours, theirs = steps.train_ours(widths, adversarial), steps.train_theirs(widths, adversarial, side)
    losses = [(ours(), theirs()) for _ in range(3)]
    assert losses[0][0] > losses[2][0]
    for a, b in losses:
        assert a == pytest.approx(b, rel=1e-4)


def test_a_forward_pass_gives_the_same_in_both(side):
    assert_alike(steps.forward_ours(2)().data, steps.forward_theirs(2, side)().numpy(), 1e-4)


def test_the_setting_says_what_is_compiled():
    torch = pytest.importorskip("torch")
    plain, compiled = (sides.TorchSide(torch, name) for name in ("channels_last", "compiled channels_last"))
    assert plain.ready(abs) is abs and compiled.ready(lambda x: x) is not abs
    assert plain.layout is compiled.layout is torch.channels_last and compiled.compiled and not plain.compiled


# ---- a side's process ----------------------------------------------------------------------------------------------

def test_a_process_answers_orders_and_errors_and_lives_on():
    with _Worker("ours") as worker:
        assert worker.about == {"side": "ours"}
        with pytest.raises(WorkerFailed, match="KeyError: 'dance'"):
            worker.ask(work="dance", rounds=1)
        assert len(worker.ask(work="forward-1", rounds=2)["ms"]) == 2
        assert worker.ask(work="import", rounds=1)["mb"] is None


def test_a_process_that_takes_too_long_is_ended_and_says_so():
    with _Worker("ours") as worker:
        with pytest.raises(WorkerFailed, match="took more than 0.01 seconds"):
            worker.ask(work="style-step-512", rounds=50, seconds=.01)


def test_variables_that_slow_a_library_down_are_not_handed_on(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert runner._limiting_variables().count("OPENBLAS_NUM_THREADS") == 1
    found = runner._machine(())
    assert "OPENBLAS_NUM_THREADS" in found["unset"] and found["matrix_product_gflops"] > 0 and found["processor"]
    assert "not heeded, for both sides: OPENBLAS_NUM_THREADS" in table.footing(
        {"machine": found | {"unset": ["OPENBLAS_NUM_THREADS"]}, "results": [], "layers_geomean": None})


def test_of_a_turn_of_many_rounds_the_first_half_is_not_counted():
    class Clock:
        def ask(self, work, rounds):
            return {"ms": [100.] * (rounds // 2) + [1.] * (rounds - rounds // 2)}
    assert _in_turn({"ours": Clock(), "theirs": Clock()}, "w", 2, 5) == {"ours": [1.] * 6, "theirs": [1.] * 6}
    assert _in_turn({"ours": Clock()}, "w", 2, 1) == {"ours": [1.] * 2}
    assert [runner._rounds_of_turn(ms) for ms in (.5, 7, 50, 100, 2000)] == [120, 9, 4, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not forget a peak")
def test_the_peak_is_kept_until_it_is_forgotten():
    memory.forget_peak()
    before = memory.peak_mb()
    with mmap.mmap(-1, 100 << 20) as large:      # pages of its own; an array might get memory that this process has already
        for _ in range(100):
            large.write(bytes(1 << 20))
    assert memory.peak_mb() - before > 90
    memory.forget_peak()
    assert memory.peak_mb() - before < 90


def test_random_arrays_are_float32_and_always_the_same():
    x = sides.random(3, 4)
    assert x.dtype == np.float32 and x.shape == (3, 4) and np.array_equal(x, sides.random(3, 4))
    assert not np.array_equal(x, sides.random(3, 4, seed=1))


# ---- what is reported ----------------------------------------------------------------------------------------------

def test_the_best_setting_of_torch_counts_for_time_and_for_memory_by_itself():
    row = _row("train-step", {"ours": 30., "contiguous_format": 60., "channels_last": 40.},
               {"ours": 5., "contiguous_format": 7., "channels_last": 9., "plain channels_last": 6.}, {})
    assert row["ratio"] == .75 and row["torch_setting"] == "channels_last" and row["torch_mb"] == 6.
    assert row["torch_ms_of"] == {"contiguous_format": 60., "channels_last": 40.}
    assert row["gflops"] == pytest.approx(2 * WORKS["train-step"].multiply_adds / .03 / 1e9)


def test_the_mean_is_over_the_layers_alone():
    rows = [{"work": "max-pool-64-256", "ratio": .5}, {"work": "conv-64-64-256-forward", "ratio": 2.},
            {"work": "train-step", "ratio": 9.}]
    assert _layers_geomean(rows) == pytest.approx(1)
    assert _layers_geomean(rows[2:]) is None


def test_a_line_leaves_blank_what_is_not_known():
    row = _row("import", {"ours": 300., "channels_last": 2000.}, {"ours": None, "channels_last": None}, {})
    assert table.line(row, 100).split() == ["import", "300.00", "2000.00", "0.15", "channels_last"]
    row = _row("forward-1", {"ours": 10.}, {"ours": 5.}, {})
    assert table.line(row, 2 * row["gflops"]).split() == ["forward-1", "10.00", format(row["gflops"], ".0f"), "50%", "5"]


def test_a_run_from_the_shell_writes_the_table_and_the_file(capsys, tmp_path):
    assert main(["bench", "forward-1", "--rounds", "2", "--json", str(tmp_path / "bench.json")]) == 0
    printed = capsys.readouterr().out
    assert "forward-1" in printed and "GFLOP/s" in printed and "roof" in printed
    result = json.loads((tmp_path / "bench.json").read_text())
    row, = result["results"]
    assert row["work"] == "forward-1" and row["ours_ms"] > 0 and row["ours_mb"] >= 0 and "ratio" not in row
    assert result["layers_geomean"] is None and result["machine"]["threads"] >= 1
    assert main(["bench", "dance"]) == 1 and "there is no work 'dance'" in capsys.readouterr().err


def test_without_torch_there_is_nothing_to_run_against(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="there is no PyTorch here to run against: pip install torch"):
        run(["forward-1"], against_torch=True)


def test_against_torch_both_sides_are_timed_and_what_does_not_compile_is_left_out(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(runner, "COMPILE_SECONDS", .01)
    lines = []
    result = run(["max-pool-512-32"], against_torch=True, rounds=2, tell=lines.append)
    row, = result["results"]
    assert row["ratio"] == pytest.approx(row["ours_ms"] / row["torch_ms"]) == pytest.approx(result["layers_geomean"])
    assert row["torch_ms"] == min(row["torch_ms_of"].values()) and set(row["torch_ms_of"]) == set(sides.LAYOUTS)
    (setting, why), = row["torch_left_out"].items()
    assert setting in ("compiled channels_last", "compiled contiguous_format") and why == "took more than 0.01 seconds"
    assert f"without {setting}: {why}" in lines[-1] and "geometric mean" in lines[-1]
    assert result["machine"]["torch_threads"] >= 1


# ---- where the time goes -------------------------------------------------------------------------------------------

def test_a_profile_accounts_for_the_whole_round():
    found = profiling.profiled(lambda: steps.train_ours(((4,),), False), 3)
    kinds = {(row["operation"], row["what"]) for row in found["rows"]}
    assert {("conv2d", "forward"), ("conv2d", "gradient of weight"), ("max_pool2d", "gradient of x")} - kinds == {
        ("max_pool2d", "gradient of x")}         # one group of filters: no pooling
    assert ("conv2d", "gradient of x") not in kinds              # pictures want no gradient
    assert all(row["ms"] > 0 and row["calls"] >= 1 for row in found["rows"]) and found["rest_ms"] > 0
    assert [row["ms"] for row in found["rows"]] == sorted((row["ms"] for row in found["rows"]), reverse=True)


def test_a_profile_counts_one_round_and_what_a_rule_recorded_before_takes():
    found = profiling.profiled(lambda: layers.conv_ours(3, 4, 8, True), 3)
    row, = found["rows"]
    assert (row["operation"], row["what"], row["calls"]) == ("conv2d", "gradient of x", 1)
    assert row["shapes"] == ((1, 8, 8, 3), (3, 3, 3, 4)) and row["ms"] <= found["ms"]


def test_what_no_operation_took_is_the_rest():
    found = profiling.profiled(lambda: lambda: time.sleep(.01), 3)
    assert found["rows"] == [] and found["rest_ms"] == found["ms"] >= 10


def test_a_profile_as_a_table():
    def row(what, shape, ms):
        return {"operation": "conv2d", "what": what, "shapes": [shape, [3, 3, 3, 4]], "calls": 2, "ms": ms}
    text = table.profile("w", {"ms": 100., "rest_ms": 9.96, "rows": [
        row("forward", [1, 8, 8, 3], 60.), row("forward", [1, 4, 4, 3], 30.), row("gradient of x", [1, 4, 4, 3], .04)]})
    lines = [line.split() for line in text.splitlines()]
    assert lines[2] == ["conv2d", "forward", "4", "90.00", "90.0%"]
    assert ["conv2d", "forward", "1x8x8x3", "3x3x3x4", "2", "60.00", "60.0%"] in lines
    assert ["below", "0.1%", "each", "2", "0.04", "0.0%"] in lines
    assert lines.count(["Python", "and", "the", "rest", "9.96", "10.0%"]) == 2
    assert ["a", "round", "100.00", "100.0%"] in lines


def test_a_profile_from_the_shell(capsys):
    assert main(["bench", "forward-1", "--profile", "--rounds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "forward-1: where the time goes" in printed and "Python and the rest" in printed
    for wrong in (["bench", "--profile"], ["bench", "forward-1", "--profile", "--against", "torch"]):
        assert main(wrong) == 2 and "--profile shows" in capsys.readouterr().err
