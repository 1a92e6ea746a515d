"""Downloading from mirrors that cut, lie, refuse and disappear: all of them on this machine."""
import dataclasses
import hashlib
import os

import numpy as np
import pytest

from minicnn.files import download as room
from minicnn.files.atomic import WriteError
from minicnn.files.download import DownloadError, Remote, download
from mirrors import Handler, dead

CONTENT = np.random.default_rng(0).bytes(300_000)


def remote(*addresses, digits=64, **changed):
    """CONTENT as data.bin, with fewer `digits` of its hash or another field `changed`."""
    sound = Remote("data.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()[:digits], addresses)
    return dataclasses.replace(sound, **changed)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def endless(handler):
    """Answers without a length, and without an end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(100_000))
    except OSError:
        return


# ---- what works ---------------------------------------------------------------------------------------------------

def test_a_file_arrives_whole_and_is_not_downloaded_twice(mirror, tmp_path):
    server, folder = mirror({"data.bin": CONTENT}), tmp_path / "made" / "for it"
    path = download(remote(server.url), folder)
    assert path == folder / "data.bin" and path.read_bytes() == CONTENT and names(folder) == ["data.bin"]
    download(remote(server.url), folder)
    assert server.asked == [("data.bin", None)]


def test_a_part_file_is_gone_on_with(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT})
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:123_456])
    assert download(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("data.bin", "bytes=123456-")] and names(tmp_path) == ["data.bin"]


def test_a_connection_that_is_cut_goes_on_where_it_was(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT}, cut=100_000)
    assert download(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_what_was_cut_too_often_is_left_for_a_later_run(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT}, cut=50_000)
    with pytest.raises(DownloadError, match="the connection was cut after 250000 of 300000 bytes"):
        download(remote(server.url), tmp_path)
    assert names(tmp_path) == ["data.bin.part"] and len(server.asked) == room.ATTEMPTS
    assert download(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == ("data.bin", "bytes=250000-")


def test_the_next_mirror_goes_on_where_the_first_one_stopped(mirror, tmp_path):
    first, second = mirror({"data.bin": CONTENT}, cut=10_000), mirror({"data.bin": CONTENT})
    assert download(remote(first.url, second.url), tmp_path).read_bytes() == CONTENT
    assert second.asked == [("data.bin", "bytes=50000-")]


@pytest.mark.parametrize("reason", ["nobody listens", "not found", "no such host"])
def test_a_mirror_that_is_gone_is_passed_over(reason, mirror, tmp_path):
    first = {"nobody listens": dead, "not found": lambda: mirror({}).url,
             "no such host": lambda: "http://mirror.invalid/"}[reason]()
    assert download(remote(first, mirror({"data.bin": CONTENT}).url), tmp_path).read_bytes() == CONTENT


def test_a_server_without_range_sends_it_all_again(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT}, ranges=False)
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    assert download(remote(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("data.bin", "bytes=1000-")]


@pytest.mark.parametrize("part", [b"something else", CONTENT + b"too long", CONTENT[::-1]], ids=["short", "long", "other"])
def test_a_part_file_that_is_not_of_this_file_is_thrown_away(part, mirror, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(part)
    assert download(remote(mirror({"data.bin": CONTENT}).url), tmp_path).read_bytes() == CONTENT


def test_a_part_file_that_was_complete_only_gets_its_name(tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert download(remote(dead()), tmp_path).read_bytes() == CONTENT


# ---- what is known by less ----------------------------------------------------------------------------------------

def test_where_no_size_is_known_the_server_tells_it_and_the_hash_decides(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT}, cut=100_000)
    assert download(remote(server.url, size=None), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize("part", [CONTENT, CONTENT[:7], b"something else", CONTENT + b"too long"],
                         ids=["complete", "begun", "of another file", "too long"])
def test_a_part_file_where_no_size_is_known(part, mirror, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(part)
    server = mirror({"data.bin": CONTENT})
    assert download(remote(server.url, size=None), tmp_path).read_bytes() == CONTENT
    assert bool(server.asked) == (part != CONTENT) and names(tmp_path) == ["data.bin"]


def test_an_endless_file_of_unknown_size_is_given_up(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "LARGEST", 200_000)
    monkeypatch.setattr(Handler, "do_GET", endless)
    with pytest.raises(DownloadError, match="it sent more than the 200000 bytes of the file"):
        download(remote(mirror({}).url, size=None), tmp_path)


def test_the_first_digits_of_a_hash_decide_where_no_more_are_known(mirror, tmp_path):
    wrong, right = mirror({"data.bin": CONTENT[::-1]}), mirror({"data.bin": CONTENT})
    with pytest.raises(DownloadError, match="the SHA-256 is wrong"):
        download(remote(wrong.url, digits=8), tmp_path)
    assert download(remote(wrong.url, right.url, digits=8), tmp_path).read_bytes() == CONTENT


def test_an_address_may_have_another_name(mirror, tmp_path):
    server = mirror({"of/another.name": CONTENT})
    assert download(remote(server.url + "of/another.name"), tmp_path).name == "data.bin"
    with pytest.raises(DownloadError, match=r"download \S+another.name elsewhere and put it into \S+ as data.bin$"):
        download(remote(dead() + "of/another.name"), tmp_path / "cache")


def test_a_file_is_known_by_its_size_and_hash(tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    assert room.is_it(tmp_path / "data.bin", remote()) and room.is_it(tmp_path / "data.bin", remote(size=None, digits=8))
    assert not room.is_it(tmp_path / "data.bin", remote(size=7)) and not room.is_it(tmp_path / "data.bin", remote(sha256="0"))


# ---- what does not ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sent, message", [
    (CONTENT[::-1], r"it sent another file \(the SHA-256 is wrong\)"),
    (b"<html>log in</html>", "it offers another file, of 19 bytes instead of 300000"),
    (CONTENT + b"more", "it offers another file, of 300004 bytes instead of 300000")])
def test_another_file_is_refused_and_the_next_mirror_asked(sent, message, mirror, tmp_path):
    wrong, right = mirror({"data.bin": sent}), mirror({"data.bin": CONTENT})
    with pytest.raises(DownloadError, match=message):
        download(remote(wrong.url), tmp_path)
    assert names(tmp_path) == [] and len(wrong.asked) == 1
    assert download(remote(wrong.url, right.url), tmp_path).read_bytes() == CONTENT


def test_a_login_page_does_not_spoil_the_part_file(mirror, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    server = mirror({"data.bin": b"x" * 299_000 + b"<html>"})
    with pytest.raises(DownloadError, match="it offers bytes 1000-299005/299006, not bytes 1000-299999/300000"):
        download(remote(server.url), tmp_path)
    assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:1000]


def test_an_answer_without_a_length_ends_at_the_size(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", endless)
    with pytest.raises(DownloadError, match="it sent more than the 300000 bytes of the file"):
        download(remote(mirror({}).url), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500_000


def test_offline_it_says_why_and_what_to_put_where(tmp_path):
    first, second = dead(), dead()
    with pytest.raises(DownloadError) as caught:
        download(remote(first, second), tmp_path / "cache")
    message = str(caught.value)
    for part in ("cannot download data.bin (0.3 MB)", first[7:-1], second[7:-1], "refused", f"download {first}data.bin",
                 f"put it into {tmp_path / 'cache'}"):
        assert part in message
    assert "\n" not in message and names(tmp_path / "cache") == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_no_fault_of_the_mirror(mirror, tmp_path):
    server = mirror({"data.bin": CONTENT})
    (tmp_path / "data.bin.part").symlink_to("/dev/full")
    with pytest.raises(WriteError, match="cannot write .*data.bin.part: No space left on device.*MINICNN_HOME"):
        download(remote(server.url, server.url), tmp_path)
    assert len(server.asked) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_is_write_protected(mirror, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="Permission denied.*MINICNN_HOME"):
        download(remote(mirror({"data.bin": CONTENT}).url), tmp_path)


def test_a_folder_that_cannot_be_made(mirror, tmp_path):
    (tmp_path / "file").write_text("in the way")
    server = mirror({"data.bin": CONTENT})
    with pytest.raises(WriteError, match="cannot write .*data.bin.part.*MINICNN_HOME"):
        download(remote(server.url), tmp_path / "file" / "folder")
    assert server.asked == []


def test_two_processes_do_not_write_the_same_file(mirror, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with open(tmp_path / "data.bin.part", "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process is downloading .*data.bin.part"):
            download(remote(mirror({"data.bin": CONTENT}).url), tmp_path)
    assert download(remote(mirror({"data.bin": CONTENT}).url), tmp_path).read_bytes() == CONTENT
