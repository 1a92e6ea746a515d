"""What the tests share."""
import os
import signal
import threading
from pathlib import Path

import pytest
from mirrors import Mirror

from minicnn.core import threads as core_threads

_LINES = (Path(__file__).parent / "smoke.txt").read_text(encoding="utf-8").splitlines()
SMOKE = [line for line in _LINES if line and not line.startswith("#")]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:                # as of what a shell starts in the background, with &
    signal.signal(signal.SIGINT, signal.default_int_handler)         # or programs that the tests start would not hear Ctrl-C


def pytest_collection_modifyitems(items):
    """`pytest -m smoke` runs what smoke.txt names."""
    for item in items:
        if item.nodeid.startswith(tuple(SMOKE)):
            item.add_marker("smoke")


def data_folder(name):
    """The folder `name` of the test data, as a Path; the test is skipped where it is absent.

    The test data lies where MINICNN_TEST_DATA says, else in ../shared/data beside the repository.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MINICNN_TEST_DATA", beside)) / name
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; set MINICNN_TEST_DATA to the folder that holds {name}")
    return folder


@pytest.fixture(autouse=True)
def no_folder_from_the_environment(monkeypatch):
    """Tests find only the data that they name themselves."""
    monkeypatch.delenv("MINICNN_DATA", raising=False)


@pytest.fixture
def threads():
    """minicnn's threads(count); the number is what it was when the test is over."""
    before = core_threads.threads()
    yield core_threads.threads
    core_threads.threads(before)


@pytest.fixture
def mirror():
    """A function that starts a Mirror; all are stopped when the test is over."""
    started = []

    def start(files, **options):
        started.append(Mirror(files, **options))
        threading.Thread(target=started[-1].serve_forever, kwargs={"poll_interval": .01}, daemon=True).start()
        return started[-1]
    yield start
    for server in started:
        server.shutdown()
        server.server_close()
