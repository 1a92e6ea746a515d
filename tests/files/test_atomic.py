"""A file is written whole or not at all."""
import errno
import hashlib
import os
import stat

import pytest

from minicnn.files import atomic
from minicnn.files.atomic import WriteError, atomic_write, sha256_of


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "cat.png"
    with atomic_write(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".png"
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["cat.png"]


@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_failure_keeps_the_old_file_and_leaves_no_litter(tmp_path, failure):
    path = tmp_path / "cat.png"
    path.write_bytes(b"old")
    with pytest.raises(WriteError if isinstance(failure, OSError) else type(failure)):
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise failure
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["cat.png"]


def test_a_failing_rename_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "cat.png"
    path.write_bytes(b"old")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(atomic.os, "replace", refuse)
    with pytest.raises(WriteError, match="cannot write .*cat.png: Permission denied"):
        with atomic_write(path) as temporary:
            temporary.write_bytes(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["cat.png"]


@pytest.mark.parametrize("number, words", [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the disk is read-only"),
                                           (errno.EDQUOT, "quota"), (errno.ENAMETOOLONG, "name is too long")])
def test_errors_of_the_disk_name_the_file_that_was_asked_for(tmp_path, number, words):
    with pytest.raises(WriteError) as caught:
        with atomic_write(tmp_path / "cat.png"):
            raise OSError(number, "reason", str(tmp_path / ".minicnn-123.png"))
    assert words in str(caught.value) and "cat.png" in str(caught.value)
    assert ".minicnn-" not in str(caught.value)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(WriteError, match="there is no folder .*nowhere; make it first"):
        with atomic_write(tmp_path / "nowhere" / "cat.png"):
            pytest.fail("the block must not run")


def test_a_folder_is_not_overwritten(tmp_path):
    with pytest.raises(WriteError, match="it is a folder"):
        with atomic_write(tmp_path):
            pytest.fail("the block must not run")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(WriteError, match="a device or a pipe"):
        with atomic_write(pipe):
            pytest.fail("the block must not run")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("protected, words", [("cat.png", "write-protected"), ("", "no permission to write in")])
def test_missing_permission_is_told_before_the_work_begins(tmp_path, monkeypatch, protected, words):
    path = tmp_path / "cat.png"
    path.write_bytes(b"old")
    allowed = os.access                          # the superuser may write anything, so the answer is staged
    monkeypatch.setattr(atomic.os, "access", lambda p, mode: p != tmp_path / protected and allowed(p, mode))
    with pytest.raises(WriteError, match=words):
        with atomic_write(path):
            pytest.fail("the block must not run")
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(os.name != "posix", reason="on Windows not everybody may make links")
def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("real.png")
    with atomic_write(tmp_path / "link.png") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"new"


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "ours") as temporary:
        temporary.write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_sha256_of_a_file_longer_than_one_piece(tmp_path):
    data = bytes(range(256)) * 10_000            # 2.56 MB
    (tmp_path / "data").write_bytes(data)
    assert sha256_of(tmp_path / "data") == hashlib.sha256(data).hexdigest()
