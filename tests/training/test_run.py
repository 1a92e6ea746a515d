"""One run: progress, the callback, when a checkpoint is written, Ctrl-C, the same bits after a kill, and what is refused."""
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn.core import processes
from minicnn.files import checkpoint, weights
from minicnn.training import run as room
from minicnn.training.run import Estimate, Run, duration, finished_first, saved_when_stopped


class Sum:
    """The smallest work there is: it adds up random numbers, each a function of (seed, step)."""
    kind = "sum"

    def __init__(self, steps=6, seed=0):
        self.steps, self.seed, self.number, self.total = steps, seed, 0, np.zeros(3)

    def step(self):
        self.total += np.random.default_rng([self.seed, self.number]).random(3)
        self.number += 1

    def progress(self):
        return self.number, self.steps

    def described(self):
        return {"steps": self.steps, "dice": {"seed": self.seed, "sides": (1, 6)}}

    def state(self):
        return {"total": self.total}, {"number": self.number}

    def restore(self, arrays, place):
        self.total, self.number = arrays["total"], place["number"]


def summed(**options):
    work = Sum(**options)
    Run(work).run()
    return work.total.tobytes()


def saved_after(work, steps, path):
    """The path of a checkpoint of the work after so many steps."""
    for _ in range(steps):
        work.step()
    Run(work, path).save()
    return path


# ---- To the end ----------------------------------------------------------------------------------------------------------

def test_it_ends_after_the_last_step_and_the_callback_follows_each():
    work, seen = Sum(), []
    Run(work).run(lambda given: seen.append((given is work, given.progress())))
    assert seen == [(True, (i, 6)) for i in range(1, 7)]
    Run(work).run(seen.append)                                   # it has ended already
    assert len(seen) == 6 and work.total.tobytes() == summed()


def test_it_advances_to_a_step_and_no_further():
    work = Sum()
    for until, expected in ((2, 2), (2, 2), (5, 5), (None, 6)):
        Run(work).advance(until=until)
        assert work.progress() == (expected, 6)


def test_the_bar_shows_where_it_stands_and_what_the_figures_are(monkeypatch):
    stream, bars = io.StringIO(), []
    work, real = Sum(), room.tqdm

    def shown(**options):
        assert options.pop("disable") is None                    # only shown in a terminal
        bars.append(real(**options, file=stream, mininterval=0, ncols=100))
        return bars[-1]
    monkeypatch.setattr(room, "tqdm", shown)
    work.step()
    Run(work, title="adding", figures=lambda: {"number": f"{work.number}!"}).run()
    lines = stream.getvalue().split("\r")
    assert lines[1].startswith("adding:  17%") and " 1/6 [" in lines[1]
    assert any(re.match(r"adding: +67%.* 4/6 \[.*number=4!\]", line) for line in lines)
    assert bars[0].n == 6 and lines[-1] == ""                    # and it is wiped in the end


@pytest.mark.parametrize("quiet, rank, hidden", [(True, 0, True), (False, 1, True), (False, 0, None)])
def test_no_bar_where_none_is_wanted_nor_from_another_process(monkeypatch, quiet, rank, hidden):
    monkeypatch.setattr(processes, "rank", lambda: rank)
    monkeypatch.setattr(room, "tqdm", lambda **options: options)
    assert Run(Sum(), quiet=quiet)._bar()["disable"] is hidden      # None: hidden unless it is a terminal


def test_the_estimate_is_told_once_the_first_steps_are_timed(capsys, monkeypatch):
    clock = iter([100., 105.])
    monkeypatch.setattr(room.time, "perf_counter", lambda: next(clock))
    estimate, work = Estimate(), Sum(steps=7211)
    for _ in range(12):
        work.step()
        estimate(work)
    assert capsys.readouterr().out == "0.50 s a step: about 1 h 0 min for the rest\n"
    assert [duration(seconds) for seconds in (0, 89, 90, 4000, 7200)] == ["0 s", "89 s", "2 min", "1 h 7 min", "2 h 0 min"]


# ---- Checkpoints ---------------------------------------------------------------------------------------------------------

def places(path, **options):
    """The steps at which a checkpoint of a run was new."""
    found = []

    def look(work):
        if path.exists() and (place := checkpoint.read(path, "sum", work.described())[1]["number"]) not in found:
            found.append(place)
    Run(Sum(), path, **options).run(look)
    return found


def test_a_checkpoint_every_so_many_steps(tmp_path):
    assert places(tmp_path / "a", save_steps=2) == [2, 4]
    assert checkpoint.read(tmp_path / "a", "sum", Sum().described())[1] == {"number": 6}
    assert places(tmp_path / "b", save_steps=1) == [1, 2, 3, 4, 5]
    assert places(tmp_path / "c", save_steps=9) == [] and not (tmp_path / "c").exists()


def test_a_checkpoint_every_so_many_seconds(tmp_path, monkeypatch):
    assert places(tmp_path / "a") == [] and not (tmp_path / "a").exists()
    assert places(tmp_path / "b", save_seconds=0) == [1, 2, 3, 4, 5]
    clock = [0]

    def seconds():
        clock[0] += 10
        return clock[0]
    monkeypatch.setattr(room.time, "perf_counter", seconds)      # a step takes ten seconds, and so does writing
    assert places(tmp_path / "c", save_seconds=25) == [3]
    assert checkpoint.read(tmp_path / "c", "sum", Sum().described())[1] == {"number": 6}


def test_without_a_path_and_in_other_processes_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Run(Sum(), save_steps=1).run()
    monkeypatch.setattr(processes, "rank", lambda: 1)
    Run(Sum(), tmp_path / "run.ckpt", save_steps=1).run()
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_stops_the_run_and_leaves_the_checkpoint(tmp_path, monkeypatch):
    path, work = tmp_path / "run.ckpt", Sum()
    before = saved_after(work, 2, path).read_bytes()

    def disk_full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("minicnn.files.atomic.os.fsync", disk_full)
    with pytest.raises(OSError, match="run.ckpt: the disk is full"):
        Run(work, path, save_steps=1).run()
    assert work.number == 3 and path.read_bytes() == before and os.listdir(tmp_path) == ["run.ckpt"]


# ---- Ctrl-C --------------------------------------------------------------------------------------------------------------

def test_ctrl_c_within_a_step_waits_for_its_end(tmp_path):
    work, path = Sum(), tmp_path / "run.ckpt"
    step = work.step

    def interrupted():
        if work.number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        step()
    work.step, before = interrupted, signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Run(work, path).run()
    assert work.number == 4 and signal.getsignal(signal.SIGINT) is before
    resumed = Sum()
    Run(resumed, path).resume()
    assert resumed.number == 4
    Run(resumed, path).run()
    assert resumed.total.tobytes() == summed()


def test_ctrl_c_between_two_steps_writes_a_checkpoint(tmp_path):
    work, path = Sum(), tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        Run(work, path).run(lambda work: work.number == 2 and os.kill(os.getpid(), signal.SIGINT))
    assert checkpoint.read(path, "sum", work.described())[1] == {"number": 2}


def test_another_error_writes_none(tmp_path):
    def fail(_):
        raise RuntimeError("the light went out")
    with pytest.raises(RuntimeError, match="the light went out"):
        Run(Sum(), tmp_path / "run.ckpt").run(fail)
    assert not (tmp_path / "run.ckpt").exists()


def test_finished_first_waits_and_puts_the_old_answer_back():
    before, reached = signal.getsignal(signal.SIGINT), False
    with pytest.raises(KeyboardInterrupt):
        with finished_first():
            os.kill(os.getpid(), signal.SIGINT)
            reached = True
    assert reached and signal.getsignal(signal.SIGINT) is before


def test_what_is_saved_when_stopped():
    for error, count in ((KeyboardInterrupt, 1), (ValueError, 0)):
        saved = []
        with pytest.raises(error), saved_when_stopped(lambda: saved.append(1)):
            raise error
        assert len(saved) == count


def test_in_another_thread_than_the_main_one_it_runs_all_the_same(tmp_path):
    work, before = Sum(), signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=Run(work, tmp_path / "run.ckpt", save_steps=4).run)
    thread.start()
    thread.join(timeout=60)
    assert work.total.tobytes() == summed() and signal.getsignal(signal.SIGINT) is before
    assert checkpoint.read(tmp_path / "run.ckpt", "sum", work.described())[1] == {"number": 4}


# ---- Going on ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stop", range(7))
def test_a_resumed_run_ends_in_the_same_bits(stop, tmp_path):
    path = saved_after(Sum(), stop, tmp_path / "run.ckpt")
    later = Sum()
    Run(later, path).resume()
    assert later.progress() == (stop, 6)
    Run(later, path).run()
    assert later.total.tobytes() == summed()


PROGRAM = textwrap.dedent("""
    import pathlib, sys, time
    from tests.training.test_run import Run, Sum
    work, path = Sum(steps=60), pathlib.Path(sys.argv[1])
    if path.exists():
        Run(work, path).resume()
    print(work.number, flush=True)
    Run(work, path, save_steps=1).run(lambda _: time.sleep(.002))
    print(work.total.tobytes().hex(), flush=True)
""")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_again_and_again_it_ends_in_the_same_bits(tmp_path):
    path, root = tmp_path / "run.ckpt", Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(minicnn.__file__).parents[1]), str(root)])}
    begun = []
    for pause in (.03, .06, .09, None):
        with subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE, text=True, env=environment) as process:
            begun.append(int(process.stdout.readline()))
            if pause is None:
                assert process.stdout.readline().strip() == summed(steps=60).hex()
                break
            time.sleep(pause)
            process.kill()
    assert begun[0] == 0 < begun[-1] and begun == sorted(begun)


def refused(work, path):
    """What is said of a checkpoint that is not resumed, in one line; the work has not changed."""
    before = work.state()[0]["total"].copy(), work.number
    with pytest.raises(ValueError) as error:
        Run(work, path).resume()
    assert "\n" not in str(error.value) and np.array_equal(work.total, before[0]) and work.number == before[1]
    return str(error.value)


@pytest.mark.parametrize("changes, said", [
    (dict(steps=7), "steps was 6, now 7"), (dict(seed=3), "dice.seed was 0, now 3"),
    (dict(steps=7, seed=3), "steps was 6, now 7; dice.seed was 0, now 3")])
def test_other_settings_are_named_with_both_values(changes, said, tmp_path):
    path = saved_after(Sum(), 2, tmp_path / "run.ckpt")
    assert refused(Sum(**changes), path) == (f"{path} is a sum run with other settings ({said}): resume with the same ones, or "
                                             "start anew under another name")


def test_of_many_other_settings_a_few_are_named(tmp_path, monkeypatch):
    path = saved_after(Sum(), 2, tmp_path / "run.ckpt")
    monkeypatch.setattr(Sum, "described", lambda self: {"steps": 6, "sizes": {str(i): i for i in range(9)}})
    said = refused(Sum(), path)
    assert "dice.seed was 0, now absent; " in said and "sizes.0 was absent, now 0; " in said and "steps" not in said
    assert "; and 6 more): " in said


def test_another_kind_of_run_is_named(tmp_path, monkeypatch):
    path = saved_after(Sum(), 2, tmp_path / "run.ckpt")
    monkeypatch.setattr(Sum, "kind", "product")
    assert refused(Sum(), path) == (f"{path} is the checkpoint of a sum run, not of a product run: the command that wrote it "
                                    "goes on from there with --resume")


def test_weights_alone_no_file_and_a_broken_one(tmp_path):
    weights.save({"total": np.zeros(3)}, tmp_path / "net.safetensors")
    assert refused(Sum(), tmp_path / "net.safetensors").startswith(
        f"{tmp_path / 'net.safetensors'} holds weights but no sum run: it cannot be resumed")
    with pytest.raises(FileNotFoundError, match="no weights file .*absent.ckpt"):
        Run(Sum(), tmp_path / "absent.ckpt").resume()
    path = saved_after(Sum(), 2, tmp_path / "run.ckpt")
    path.write_bytes(path.read_bytes()[:-5])
    assert refused(Sum(), path).startswith(f"{path} cannot be read as safetensors")


@pytest.mark.parametrize("field, text", [("place", "{"), ("place", "{}"), ("place", "[]"), ("place", "[" * 100000),
                                         ("settings", "{"), ("settings", "7"), ("settings", "[]")])
def test_a_damaged_checkpoint_is_named(field, text, tmp_path):
    path = saved_after(Sum(), 2, tmp_path / "run.ckpt")
    arrays, metadata = weights.read(path, dtype=None)
    weights.save(arrays, path, {**metadata, field: text})
    assert refused(Sum(), path).startswith(f"{path} is damaged: delete it, and begin anew without --resume (")
    del metadata[field]
    weights.save(arrays, path, metadata)
    assert refused(Sum(), path).startswith(f"{path} is damaged: delete it, and begin anew without --resume (")
