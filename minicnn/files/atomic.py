"""Writing a file whole or not at all, and knowing it again by its hash.

Pictures, weights and checkpoints are written under another name in the same folder and renamed when they are complete.
A full disk, a Ctrl-C or a power cut in the middle therefore never costs the file that was there before.
"""
import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path


class WriteError(OSError):
    """A file could not be written.  The message names the file, the reason and the mend, in one line."""


@contextlib.contextmanager
def atomic_write(path):
    """Yield a temporary path beside `path` to write to; when the block ends well it becomes `path`.

        with atomic_write("cat.png") as temporary:
            image.save(temporary)

    The temporary path has the suffix of `path`, and a link is followed to the file it points to.  When the block
    raises, the temporary file is removed and whatever stood at `path` stays as it was.
    Raises WriteError when the folder is absent, `path` is a folder or a device, permission is missing or the disk full.
    """
    target = Path(os.path.realpath(path))
    _raise_unless_writable(target, path)
    temporary = target.with_name(f".minicnn-{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        _remove(temporary)


def _raise_unless_writable(target, path):
    folder = target.parent
    if not folder.is_dir():
        raise WriteError(f"cannot write {path}: there is no folder {folder}; make it first, or choose another")
    if target.is_dir():
        raise WriteError(f"cannot write {path}: it is a folder; name a file in it")
    if target.exists() and not target.is_file():
        raise WriteError(f"cannot write {path}: it is a device or a pipe; name an ordinary file")
    if target.exists() and not os.access(target, os.W_OK):
        raise WriteError(f"cannot write {path}: the file is write-protected; unprotect it or choose another name")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(f"cannot write {path}: no permission to write in {folder}; choose another folder")


def _flush_to_disk(path):
    """Have the contents on the disk before the new name is: otherwise a power cut could leave an empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _explained(error, path):
    """The same error, told for the file that the user asked for and not for the temporary one."""
    if isinstance(error, WriteError):
        return error
    reasons = {errno.ENOSPC: "the disk is full; free some space or choose another folder",
               errno.EDQUOT: "your disk quota is used up; free some space or choose another folder",
               errno.EROFS: "the disk is read-only; choose another folder",
               errno.ENAMETOOLONG: "the name is too long; choose a shorter one"}
    return WriteError(f"cannot write {path}: {reasons.get(error.errno, error.strerror or error)}")


def _remove(temporary):
    """Tidying up must not hide the error that made it necessary."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def sha256_of(path):
    """The SHA-256 of a file's contents as 64 hexadecimal digits, read in pieces of a mebibyte."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
