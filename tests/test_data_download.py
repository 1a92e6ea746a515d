"""Downloading from mirrors that cut, lie, refuse and disappear: all of them on this machine."""
import hashlib
import http.server
import io
import os
import re
import socket
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from minicnn.data import download as room
from minicnn.data.download import REMOTES, DownloadError, Remote, download, fetch
from minicnn.data.idx import FILES
from minicnn.files import WriteError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `files` ({path: bytes}) and notes in `asked` the (path, Range header) of each request.

    cut      the number of bytes after which each answer ends, though its header promises all
    ranges   whether it understands Range
    """
    daemon_threads = True

    def __init__(self, files, cut=None, ranges=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.ranges, self.asked = files, cut, ranges, []
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content, start = self.server.files.get(self.path[1:]), 0
        self.server.asked.append((self.path[1:], self.headers.get("Range")))
        if content is None:
            return self.send_error(404)
        if self.server.ranges and "Range" in self.headers:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][:self.server.cut])

    def log_message(self, *arguments):
        pass


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


def dead():
    """The address of a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def remote(*folders, content=CONTENT, **options):
    return Remote("data.bin", len(content), hashlib.sha256(content).hexdigest(), folders, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- what works ---------------------------------------------------------------------------------------------------

def test_a_file_arrives_whole_and_is_not_fetched_twice(mirror, tmp_path):
    server, folder = mirror({"data.bin": CONTENT}), tmp_path / "made" / "for it"
    path = fetch(remote(server.url), folder)
    assert path == folder / "data.bin" and path.read_bytes() == CONTENT and names(folder) == ["data.bin"]
    fetch(remote(server.url), folder)
    assert server.asked == [("data.bin", None)]


def test_a_part_file_is_gone_on_with(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT})
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:123_456])
    assert fetch(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("data.bin", "bytes=123456-")] and names(tmp_path) == ["data.bin"]


def test_a_connection_that_is_cut_goes_on_where_it_was(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT}, cut=100_000)
    assert fetch(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_what_was_cut_too_often_is_left_for_a_later_run(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT}, cut=50_000)
    with pytest.raises(DownloadError, match="the connection was cut after 250000 of 300000 bytes"):
        fetch(remote(server.url), tmp_path)
    assert names(tmp_path) == ["data.bin.part"] and len(server.asked) == room.ATTEMPTS
    assert fetch(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == ("data.bin", "bytes=250000-")


def test_the_next_mirror_goes_on_where_the_first_one_stopped(mirror, tmp_path):
    first, second = mirror({"data.bin": CONTENT}, cut=10_000), mirror({"data.bin": CONTENT})
    assert fetch(remote(first.url, second.url), tmp_path).read_bytes() == CONTENT
    assert second.asked == [("data.bin", "bytes=50000-")]


@pytest.mark.parametrize("reason", ["nobody listens", "not found", "no such host"])
def test_a_mirror_that_is_gone_is_passed_over(reason, mirror, tmp_path):
    first = {"nobody listens": dead, "not found": lambda: mirror({}).url,
             "no such host": lambda: "http://mirror.invalid/"}[reason]()
    assert fetch(remote(first, mirror({"data.bin": CONTENT}).url), tmp_path).read_bytes() == CONTENT


def test_a_server_without_range_sends_it_all_again(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT}, ranges=False)
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("data.bin", "bytes=1000-")]


@pytest.mark.parametrize("part", [b"something else", CONTENT + b"too long", CONTENT[::-1]], ids=["short", "long", "other"])
def test_a_part_file_that_is_not_of_this_file_is_thrown_away(part, mirror, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(part)
    assert fetch(remote(mirror({"data.bin": CONTENT}).url), tmp_path).read_bytes() == CONTENT


def test_a_part_file_that_was_complete_only_gets_its_name(tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert fetch(remote(dead()), tmp_path).read_bytes() == CONTENT


# ---- what does not ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sent, message", [
    (CONTENT[::-1], r"it sent another file \(the SHA-256 is wrong\)"),
    (b"<html>log in</html>", "it offers another file, of 19 bytes instead of 300000"),
    (CONTENT + b"more", "it offers another file, of 300004 bytes instead of 300000")])
def test_another_file_is_refused_and_the_next_mirror_asked(sent, message, mirror, tmp_path):
    wrong, right = mirror({"data.bin": sent}), mirror({"data.bin": CONTENT})
    with pytest.raises(DownloadError, match=message):
        fetch(remote(wrong.url), tmp_path)
    assert names(tmp_path) == [] and len(wrong.asked) == 1
    assert fetch(remote(wrong.url, right.url), tmp_path).read_bytes() == CONTENT


def test_a_login_page_does_not_spoil_the_part_file(mirror, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    server = mirror({"data.bin": b"x" * 299_000 + b"<html>"})
    with pytest.raises(DownloadError, match="it offers bytes 1000-299005/299006, not bytes 1000-299999/300000"):
        fetch(remote(server.url), tmp_path)
    assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:1000]


def test_an_answer_without_a_length_ends_at_the_size(mirror, tmp_path, monkeypatch):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(100_000))
        except OSError:
            return
    monkeypatch.setattr(Handler, "do_GET", endless)
    with pytest.raises(DownloadError, match="it sent more than the 300000 bytes of the file"):
        fetch(remote(mirror({}).url), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500_000


def test_offline_it_says_why_and_what_to_put_where(tmp_path):
    first, second = dead(), dead()
    with pytest.raises(DownloadError) as caught:
        fetch(remote(first, second), tmp_path / "cache")
    message = str(caught.value)
    for part in ("cannot download data.bin (0.3 MB)", first[7:-1], second[7:-1], "refused", f"fetch {first}data.bin",
                 f"put it into {tmp_path / 'cache'}"):
        assert part in message
    assert "\n" not in message and names(tmp_path / "cache") == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_no_fault_of_the_mirror(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT})
    (tmp_path / "data.bin.part").symlink_to("/dev/full")
    with pytest.raises(WriteError, match="cannot write .*data.bin.part: No space left on device.*MINICNN_HOME"):
        fetch(remote(server.url, server.url), tmp_path)
    assert len(server.asked) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_is_write_protected(mirror, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="Permission denied.*MINICNN_HOME"):
        fetch(remote(mirror({"data.bin": CONTENT}).url), tmp_path)


def test_a_folder_that_cannot_be_made(mirror, tmp_path):
    (tmp_path / "file").write_text("in the way")
    server = mirror({"data.bin": CONTENT})
    with pytest.raises(WriteError, match="cannot write .*data.bin.part.*MINICNN_HOME"):
        fetch(remote(server.url), tmp_path / "file" / "folder")
    assert server.asked == []


def test_two_processes_do_not_write_the_same_file(mirror, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with open(tmp_path / "data.bin.part", "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process is downloading .*data.bin.part"):
            fetch(remote(mirror({"data.bin": CONTENT}).url), tmp_path)
    assert fetch(remote(mirror({"data.bin": CONTENT}).url), tmp_path).read_bytes() == CONTENT


# ---- whole data sets ----------------------------------------------------------------------------------------------

def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_only_the_files_of_the_split_are_fetched(mirror, tmp_path, monkeypatch):
    files = {"a": b"train", "b": b"test", "c": b"both"}
    server = mirror(files)
    monkeypatch.setitem(REMOTES, "mnist", tuple(
        Remote(name, len(content), hashlib.sha256(content).hexdigest(), (server.url,), split)
        for (name, content), split in zip(files.items(), ("train", "test", None))))
    download("mnist", tmp_path, "test")
    assert names(tmp_path) == ["b", "c"]
    download("mnist", tmp_path)
    assert names(tmp_path) == ["a", "b", "c"] and len(server.asked) == 3


def test_an_archive_is_unpacked_and_only_what_is_wanted(mirror, tmp_path, monkeypatch):
    content = archive({"set/one": b"1", "set/two": b"22", "set/three": b"3", "../outside": b"x", "/etc/outside": b"x"})
    server = mirror({"data.bin": content})
    monkeypatch.setitem(REMOTES, "cifar10", (remote(server.url, content=content, members=("set/one", "set/two")),))
    download("cifar10", tmp_path / "cache", "train")
    assert names(tmp_path / "cache") == ["one", "two"] and names(tmp_path) == ["cache"]
    assert (tmp_path / "cache" / "two").read_bytes() == b"22"
    download("cifar10", tmp_path / "cache", "test")
    assert len(server.asked) == 1


@pytest.mark.parametrize("content, message", [
    (archive({"set/one": b"1"}), "set/two is missing in it"), (CONTENT, "cannot be unpacked"),
    (archive({"set/one": CONTENT, "set/two": CONTENT})[:-200_000], "cannot be unpacked")])
def test_a_damaged_archive_that_lies_there_is_named(content, message, tmp_path, monkeypatch):
    monkeypatch.setitem(REMOTES, "cifar10", (remote(dead(), members=("set/one", "set/two")),))
    (tmp_path / "data.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"data.bin: .*{message}.*remove it, and it is fetched again"):
        download("cifar10", tmp_path)


def test_the_list_of_files_is_sound():
    """Every file has a size, a SHA-256 and at least two addresses, and the names are those that are read."""
    for name, remotes in REMOTES.items():
        for one in remotes:
            assert re.fullmatch("[0-9a-f]{64}", one.sha256) and one.size > 1000 and len(set(one.folders)) >= 2
            assert all(re.fullmatch(r"https?://.+/", folder) for folder in one.folders)
            assert one.folders[0].startswith("https://")
    read = {f"{file}.gz" for files in FILES.values() for file in files}
    assert {one.name for one in REMOTES["mnist"]} == {one.name for one in REMOTES["fashion-mnist"]} == read
    assert {Path(member).name for member in REMOTES["cifar100"][0].members} == {"train", "test", "meta"}
    assert len(REMOTES["cifar10"][0].members) == 7
