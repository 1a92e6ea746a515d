"""What only Linux or POSIX has is forced to be absent: then the other way is taken, the one of macOS and Windows."""
import ast
import math
import os
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minicnn as mc
from minicnn import interrupt
from minicnn.bench import machine, memory
from minicnn.core import malloc, threads
from minicnn.files import download as downloads
from minicnn.files.userfile import load_function

ROOT = Path(mc.__file__).parents[1]

# The modules and functions that Windows lacks go, once all other libraries are there; then it is the turn of minicnn.
ELSEWHERE = textwrap.dedent("""
    import os, signal, sys, threading
    import numpy, PIL.Image, safetensors, threadpoolctl, tqdm
    for name in ("fcntl", "resource", "pwd", "grp", "termios"):
        sys.modules[name] = None
    for name in ("fork", "forkpty", "geteuid", "getuid", "mkfifo", "register_at_fork", "sched_getaffinity"):
        if hasattr(os, name):
            delattr(os, name)
    for name in ("SIGKILL", "SIGHUP", "SIGALRM", "SIGPIPE", "pthread_sigmask", "sigwait"):
        if hasattr(signal, name):
            delattr(signal, name)
    from minicnn.bench import memory, runner, works
    from minicnn.cli import main
    sys.exit(main(sys.argv[1:]))
""")


def elsewhere(*words, cwd, **environment):
    """(exit code, stdout, stderr) of a command in a process that lacks what Windows lacks."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, *words], cwd=cwd, env=environment, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


@pytest.fixture
def net(tmp_path):
    """The path of a small network, two of whose classes are not written in ASCII."""
    model = mc.models.build("small", ["Kätzchen", "犬"], rng=0, widths=((4,), (4,)))
    mc.save(model, tmp_path / "net.safetensors")
    return str(tmp_path / "net.safetensors")


@pytest.mark.parametrize("words", ["invert Kätzchen --steps 2 --count 1 --start noise -o out.png", "classify photo.png",
                                   "summary"])
def test_a_command_needs_nothing_that_windows_lacks(net, tmp_path, words):
    mc.write_image(np.zeros((32, 32, 3)), tmp_path / "photo.png")
    code, _, err = elsewhere(*words.split(), "--model", net, cwd=tmp_path, PYTHONUTF8="1")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_lacks_a_letter_shows_a_question_mark(net, tmp_path, encoding):
    mc.write_image(np.zeros((32, 32, 3)), tmp_path / "photo.png")
    code, out, err = elsewhere("classify", "photo.png", "--model", net, cwd=tmp_path, PYTHONUTF8="0", PYTHONIOENCODING=encoding)
    assert (code, err) == (0, "")
    assert {"ascii": "K?tzchen", "cp1252": "Kätzchen", "utf-8": "犬"}[encoding] in out.decode(encoding)


# ---- the C library, processors, memory ------------------------------------------------------------------------------

def no_library(_):
    raise TypeError("bad argument type for built-in operation")          # as ctypes.CDLL(None) does on Windows


@pytest.mark.parametrize("platform, library", [("win32", no_library), ("darwin", no_library),
                                               ("linux", lambda _: SimpleNamespace())])      # musl knows no mallopt
def test_malloc_is_told_only_where_it_listens(monkeypatch, platform, library):
    monkeypatch.setattr(malloc, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(malloc, "ctypes", SimpleNamespace(CDLL=library))
    malloc.keep_freed_memory()
    malloc.return_freed_memory()


def test_threads_where_the_system_does_not_say_which_processors_are_ours(monkeypatch):
    monkeypatch.delattr(threads.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 7)
    monkeypatch.delenv("MINICNN_THREADS", raising=False)
    assert threads._default_threads.__wrapped__() == 7
    monkeypatch.setattr(threads.os, "cpu_count", lambda: None)
    assert threads._default_threads.__wrapped__() == 1


@pytest.mark.parametrize("platform, unit", [("darwin", 1), ("freebsd", 1024)])
def test_memory_without_proc_is_what_getrusage_says(monkeypatch, tmp_path, platform, unit):
    """In bytes on macOS, in kilobytes elsewhere; and nothing makes it forget."""
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: SimpleNamespace(ru_maxrss=(300 << 20) // unit))
    monkeypatch.setattr(memory, "resource", usage)
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "_RESET", tmp_path / "no folder" / "clear_refs")
    memory.forget_peak()
    assert memory.peak_mb() == 300


def test_memory_is_unknown_on_windows(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "resource", None)
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    assert math.isnan(memory.peak_mb())


def test_the_processor_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "cpuinfo")
    assert machine._processor()


# ---- files -----------------------------------------------------------------------------------------------------------

def test_a_download_without_locks(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with open(tmp_path / "a.part", "ab") as one, open(tmp_path / "a.part", "ab") as other:
        downloads._claim(one, tmp_path / "a.part")
        downloads._claim(other, tmp_path / "a.part")


@pytest.mark.parametrize("place", [r"C:\nets\my.py", r"C:\nets\my.py:build"])
def test_the_colon_of_a_drive_is_not_that_of_a_function(place):
    with pytest.raises(FileNotFoundError, match=re.escape(r"no file C:\nets\my.py:")):
        load_function(place)


def opens_text_without_encoding(node):
    """Whether a call reads or writes text in whatever encoding the system has: on Windows not always UTF-8."""
    name = getattr(node.func, "attr", getattr(node.func, "id", None))
    given = {keyword.arg for keyword in node.keywords}
    words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    if name == "open" and isinstance(node.func, ast.Name):
        return "encoding" not in given and not any("b" in str(word) for word in words[-1:])
    return name in ("read_text", "write_text") and "encoding" not in given


@pytest.mark.parametrize("folder", ["minicnn", "tutorials"])
def test_every_text_says_its_encoding(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and opens_text_without_encoding(node)), f"{path}:{node.lineno}"


@pytest.mark.parametrize("line, found", [("open(p)", True), ("open(p, 'rb')", False), ("open(p, encoding='utf-8')", False),
                                         ("p.read_text()", True), ("p.write_text(t, encoding='utf-8')", False),
                                         ("Image.open(p)", False)])
def test_a_text_without_encoding_is_found(line, found):
    assert opens_text_without_encoding(ast.parse(line).body[0].value) == found


# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------

def test_ctrl_c_is_left_alone_off_the_main_thread(monkeypatch):
    """Only the main thread may change what it does; a notebook's kernel may import from another one."""
    monkeypatch.setattr(interrupt.sys, "argv", ["minicnn"])
    monkeypatch.setattr(interrupt.signal, "getsignal", lambda _: interrupt.signal.default_int_handler)
    failures = []

    def start():
        try:
            interrupt.while_starting()
        except ValueError as error:
            failures.append(error)
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert not failures
