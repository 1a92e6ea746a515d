"""Two processes that learn together, through MPI, against one that learns alone."""
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn.core import processes
from minicnn.files import weights

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
together = pytest.mark.skipif(MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
                              reason="there is no MPI here (pip install mpi4py mpich)")

PROGRAM = textwrap.dedent("""
    import sys
    import numpy as np
    from minicnn.core import processes
    from minicnn.files import weights
    from minicnn.data import Dataset
    from minicnn.models import small
    from minicnn.training.classifier import TrainingSettings, Training
    folder, batch = sys.argv[1], int(sys.argv[2])
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 70)
    images = (rng.normal(0, 40, (70, 10, 10, 3)) + 50 * labels[:, None, None, None] + 30).clip(0, 255).astype(np.uint8)
    data = Dataset(images, labels, list("abcd"))
    settings = TrainingSettings(epochs=2, batch=batch, lr=.05, average=.9, label_smoothing=.1, seed=7)
    run = Training(small(list("abcd"), ((8, 16), (16,)), rng=1), data, settings, f"{folder}/run.ckpt")
    history = run.run(data, quiet=True)
    print(processes.rank(), processes.count(), len(history), "test" in history[0], history[1]["train"], flush=True)
    weights.save(run.model, f"{folder}/{processes.rank()}.safetensors")
""")


def learn(folder, batch, processes):
    """What the processes print, sorted, and the weights of each."""
    folder.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(folder), str(batch)]
    command = command if processes == 1 else [MPIEXEC, "-n", str(processes), *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(minicnn.__file__).parent.parent), "MINICNN_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines()), [weights.read(folder / f"{i}.safetensors")[0] for i in range(processes)]


@together
@pytest.mark.parametrize("batch", [16, 15])                      # shares of 8 and 8 pictures, or of 7 and 8
def test_two_processes_end_where_one_does_with_the_whole_batch(batch, tmp_path):
    """With batch norm, whose statistics are those of the whole batch; to rounding."""
    (alone,), (truth,) = learn(tmp_path / "alone", batch, 1)
    (first, second), (ours, others) = learn(tmp_path / "together", batch, 2)
    assert alone.split()[:4] == ["0", "1", "2", "True"]
    assert first.split()[:4] == ["0", "2", "2", "True"] and second.split()[:4] == ["1", "2", "2", "False"]
    assert alone.split()[4] == first.split()[4] == second.split()[4]     # recognised while learning, of all pictures
    for name, array in truth.items():
        scale = max(1e-2, np.abs(array).max())
        np.testing.assert_allclose(ours[name], array, rtol=0, atol=1e-4 * scale, err_msg=name)
        np.testing.assert_allclose(others[name], ours[name], rtol=0, atol=1e-6 * scale, err_msg=name)
    assert [path.name for path in (tmp_path / "together").glob("*.ckpt")] == ["run.ckpt"]


@together
def test_an_error_in_one_process_ends_them_all(tmp_path):
    program = ("import sys; from minicnn.core import processes; from minicnn.cli import main; import numpy as np\n"
               "if processes.rank() == 1: sys.exit(main(['summary', '--model', 'absent']))\n"
               "processes.all_reduce(np.zeros(3))")
    done = subprocess.run([MPIEXEC, "-n", "2", sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(Path(minicnn.__file__).parent.parent)})
    assert done.returncode != 0 and "there is no network absent" in done.stderr


def test_a_batch_that_is_too_small_to_be_shared_is_refused(monkeypatch):
    from minicnn.data import load_shapes
    from minicnn.models.networks import build
    from minicnn.training.classifier import TrainingSettings, Training
    data = load_shapes(limit=16)
    monkeypatch.setattr(processes, "count", lambda: 5)
    with pytest.raises(ValueError, match="a batch of 4 cannot be shared among 5 processes: use a larger batch"):
        Training(build("small", data.class_names, rng=0, widths=((4,),)), data, TrainingSettings(batch=4))


def test_alone_a_sum_is_the_array_itself():
    x = np.arange(3.)
    assert processes.count() == 1 and processes.rank() == 0
    assert processes.all_reduce(x) is x and processes.all_reduce_many([x])[0] is x
    processes.abort(1)                          # does nothing


@together
def test_the_command_says_how_many_learned_together(tmp_path):
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", "minicnn", "train", "--data", "shapes", "--limit", "64", "--epochs",
               "1", "--batch", "32", "--widths", "4/4", "--epsilon", ".5", "-o", "net.safetensors"]
    environment = {**os.environ, "PYTHONPATH": str(Path(minicnn.__file__).parent.parent), "MINICNN_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote net.safetensors") == 1 == done.stdout.count("epoch   1/1")
    made_by = weights.read(tmp_path / "net.safetensors")[1]["made_by"]
    assert made_by.startswith("mpiexec -n 2 minicnn train --data shapes") and "--batch 32" in made_by


def test_mpiexec_without_mpi4py_says_what_is_missing():
    program = "import sys; sys.modules['mpi4py'] = None\nfrom minicnn.core import processes\nprocesses.rank()"
    environment = {**os.environ, "PMI_SIZE": "2", "PYTHONPATH": str(Path(minicnn.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode != 0 and 'mpi4py is not usable here' in done.stderr and 'pip install "minicnn[mpi]"' in done.stderr
