"""The files of the known data sets: which are downloaded, and what becomes of archives."""
import hashlib
import io
import re
import tarfile
from pathlib import Path

import pytest

from minicnn.data.download import REMOTES, DataFile, download
from minicnn.data.idx import FILES
from mirrors import dead
from test_download_file import CONTENT, names


def remote(*addresses, content=CONTENT, **options):
    return DataFile("data.bin", len(content), hashlib.sha256(content).hexdigest(), addresses, **options)


def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_only_the_files_of_the_split_are_downloaded(mirror, tmp_path, monkeypatch):
    files = {"a": b"train", "b": b"test", "c": b"both"}
    server = mirror(files)
    monkeypatch.setitem(REMOTES, "mnist", tuple(
        DataFile(name, len(content), hashlib.sha256(content).hexdigest(), (server.url,), split)
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
    with pytest.raises(ValueError, match=f"data.bin: .*{message}.*remove it, and it is downloaded again"):
        download("cifar10", tmp_path)


def test_the_list_of_files_is_sound():
    """Every file has a size, a SHA-256 and at least two addresses, and the names are those that are read."""
    for remotes in REMOTES.values():
        for one in remotes:
            assert re.fullmatch("[0-9a-f]{64}", one.sha256) and one.size > 1000 and len(set(one.addresses)) >= 2
            assert all(re.fullmatch(r"https?://.+/", address) for address in one.addresses)
            assert one.addresses[0].startswith("https://")
    read = {f"{file}.gz" for files in FILES.values() for file in files}
    assert {one.name for one in REMOTES["mnist"]} == {one.name for one in REMOTES["fashion-mnist"]} == read
    assert {Path(member).name for member in REMOTES["cifar100"][0].members} == {"train", "test", "meta"}
    assert len(REMOTES["cifar10"][0].members) == 7
