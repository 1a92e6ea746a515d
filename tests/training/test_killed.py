"""A run that is killed with SIGKILL, again and again, or runs into a full disk, and ends in the same bits all the same."""
import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn.files import weights

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and mount are POSIX's")

PROGRAM = textwrap.dedent("""
    import sys, time
    import numpy as np
    from minicnn.files import weights
    from minicnn.data import Dataset
    from minicnn.models import small
    from minicnn.training.classifier import TrainingSettings, Training
    path, result, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, 256, (96, 10, 10, 3), dtype=np.uint8), rng.integers(0, 4, 96), list("abcd"))
    settings = TrainingSettings(epochs=3, batch=16, lr=.1, epsilon=.3, average=.9, label_smoothing=.1, seed=7)
    run = Training(small(list("abcd"), ((24, 24), (48,)), rng=1), data, settings, path, save_every=1)
    try:
        run.resume()
    except FileNotFoundError:
        pass
    print(run.epoch, run.batch, flush=True)
    run.run(data, quiet=True, callback=lambda _: time.sleep(pause))
    weights.save({**run.averaged_model().state_dict(), **{f"last.{k}": v for k, v in run.model.state_dict().items()}}, result)
""")


def start(folder, pause):
    """The program in a process of its own, which stands in the checkpoint that lies in the folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(minicnn.__file__).parent.parent)}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, folder / "run.ckpt", folder / "result.safetensors", str(pause)],
                            stdout=subprocess.PIPE, text=True, env=environment)


def ended(folder):
    with start(folder, 0) as process:
        assert process.wait(timeout=120) == 0
    return weights.read(folder / "result.safetensors")[0]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return ended(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_and_resumed_it_ends_in_the_same_bits(seed, undisturbed, tmp_path):
    """Most of the time of this run is spent in writing checkpoints, so most of the kills fall into one."""
    dice, kills, places = random.Random(seed), 0, []
    while kills < 40:
        with start(tmp_path, .002) as process:
            places.append(process.stdout.readline().split())
            time.sleep(dice.uniform(0, .12))
            if process.poll() is not None:
                break
            process.kill()
        kills += 1
        (tmp_path / "run.ckpt").exists() and weights.read(tmp_path / "run.ckpt")         # whole, whenever it is there
    assert kills >= 3 and places[0] == ["0", "0"] and places[-1] != ["0", "0"]
    result = ended(tmp_path)
    assert result.keys() == undisturbed.keys()
    assert all(np.array_equal(result[name], undisturbed[name]) for name in result)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no permission to mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_on_a_full_disk_the_last_checkpoint_is_whole_and_the_run_goes_on(small_disk, undisturbed):
    """The disk fills up when the run is under way: a new checkpoint finds no room beside the old one."""
    with start(small_disk, .2) as process:
        process.stdout.readline()
        while not (small_disk / "run.ckpt").exists():
            assert process.poll() is None
            time.sleep(.01)
        room = os.statvfs(small_disk)
        (small_disk / "filler").write_bytes(bytes(room.f_bavail * room.f_bsize // 2))
        (small_disk / "filler2").write_bytes(bytes(os.statvfs(small_disk).f_bavail * room.f_bsize))
        assert process.wait(timeout=60) != 0
    before = weights.read(small_disk / "run.ckpt")
    assert {name.partition(".")[0] for name in before[0]} == {"model", "optimizer", "average"}
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "filler2", "run.ckpt"]      # nothing half-written
    for filler in ("filler", "filler2"):
        (small_disk / filler).unlink()
    result = ended(small_disk)
    assert all(np.array_equal(result[name], undisturbed[name]) for name in undisturbed)
