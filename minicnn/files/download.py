"""Downloading a file from the net, whole and checked.

A file is written as NAME.part, which a later run goes on with where an earlier one was cut off (HTTP Range, RFC 9110,
section 14), and gets its name only when its size and hash are right.  What comes from a mirror is therefore as good as
what comes from the source.
"""
import contextlib
import http.client
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from .atomic import WriteError, sha256_of

TIMEOUT = 30                                     # seconds without a byte
ATTEMPTS = 5                                     # at one address, as long as each brings something
PIECE = 1 << 16                                  # bytes
LARGEST = 1 << 31                                # bytes: more is not taken where nobody says how much is to come


class DownloadError(OSError):
    """A file could not be downloaded.  The message says why, and where to put it when it is downloaded by other means."""


@dataclass(frozen=True)
class Remote:
    """A file and where it can be had.

    name        what it is called here
    size        in bytes; None where it is not known before the server tells
    sha256      of the whole file as hexadecimal digits, or as many of the first as are known
    addresses   in the order in which they are tried; one that ends in "/" is a folder, in which it has the same name
    """
    name: str
    size: int | None
    sha256: str
    addresses: tuple

    def urls(self):
        """The whole addresses."""
        return [address + self.name if address.endswith("/") else address for address in self.addresses]


def cache_folder():
    """Where downloads are kept: what the environment variable MINICNN_HOME names, else ~/.cache/minicnn."""
    return Path(os.environ.get("MINICNN_HOME") or Path.home() / ".cache" / "minicnn").expanduser()


def download(remote, folder):
    """Download one file into the folder, which is made if need be; returns its path.  A file that is there is kept.

    Raises DownloadError when it cannot be downloaded, WriteError when it cannot be written.
    """
    path = Path(folder) / remote.name
    part = path.with_name(path.name + ".part")
    with _writing(part):
        if path.is_file():
            return path
        part.parent.mkdir(parents=True, exist_ok=True)
        file = open(part, "ab")
    with file:
        _claim(file, part)
        failures = _from_any(remote, file)
    if failures:
        if part.stat().st_size == 0:
            part.unlink()
        size = f" ({remote.size / 1e6:.1f} MB)" if remote.size else ""
        raise DownloadError(f"cannot download {remote.name}{size}: {'; '.join(failures)}. Try again later, or download "
                            f"{remote.urls()[0]} elsewhere and put it into {folder}{_under_its_name(remote)}")
    if not path.is_file():                       # another process may have been faster by a moment
        with _writing(path):
            os.replace(part, path)
    return path


def _under_its_name(remote):
    return "" if remote.urls()[0].endswith("/" + remote.name) else f" as {remote.name}"


def is_it(path, remote):
    """Whether a file has the size and the hash of the remote one."""
    return remote.size in (None, os.path.getsize(path)) and sha256_of(path).startswith(remote.sha256)


def _from_any(remote, file):
    """Fill the part file from the first address that has it.  Returns why each failed, or nothing when one did not."""
    failures = []
    for url in remote.urls():
        reason = _from_one(url, remote, file)
        if reason is None:
            return []
        failures.append(f"{urlsplit(url).netloc}: {reason}")
    return failures


def _from_one(url, remote, file):
    """Fill the part file from one address, going on after cuts.  Returns why that failed, or None."""
    for _ in range(ATTEMPTS):
        before = file.seek(0, os.SEEK_END)
        try:
            if _is_short(file, remote):
                _append(url, remote, file)
            if sha256_of(file.name).startswith(remote.sha256):
                return None
            reason = "it sent another file (the SHA-256 is wrong)"
            file.truncate(0)
            if before == 0:
                return reason                    # all of it came from here
        except WriteError:
            raise
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", "") or error) or type(error).__name__
            if file.seek(0, os.SEEK_END) <= before:
                return reason
    return reason


def _is_short(file, remote):
    """Whether something is still to come: where nobody knows the size, only the hash can tell."""
    length = file.seek(0, os.SEEK_END)
    if remote.size is not None:
        return length < remote.size
    return length == 0 or not sha256_of(file.name).startswith(remote.sha256)


def _append(url, remote, file):
    """Ask for what the part file still lacks, and write it there."""
    with _asked_from(url, file) as response:
        start = file.tell()
        size = _whole_size(response, start, remote.size)
        with tqdm(total=size, initial=start, unit="B", unit_scale=True, desc=remote.name, leave=False,
                  disable=None) as bar:
            while piece := response.read(PIECE):
                with _writing(file.name):
                    file.write(piece)
                    file.flush()             # here, so that a full disk is noticed as such
                bar.update(len(piece))
                if file.tell() > (size or LARGEST):
                    raise ConnectionError(f"it sent more than the {size or LARGEST} bytes of the file")
    if size and file.tell() < size:
        raise ConnectionError(f"the connection was cut after {file.tell()} of {size} bytes")


def _asked_from(url, file):
    """The answer of the server, and the part file cut to where that answer goes on."""
    start = file.seek(0, os.SEEK_END)
    headers = {"User-Agent": "minicnn", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if not start or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        file.truncate(0)                         # the part file is longer than the whole one, so it is of another
        return _asked_from(url, file)
    if start and response.status != http.HTTPStatus.PARTIAL_CONTENT:     # it knows no Range and sends the whole file
        file.truncate(0)
        file.seek(0)
    return response


def _whole_size(response, start, size):
    """How long the whole file is, if that is known.

    ConnectionError when the answer begins elsewhere or is of another length: a login page, another version.
    """
    length = response.headers.get("Content-Length")
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        offered = response.headers.get("Content-Range", "nothing that it names")
        match = re.fullmatch(rf"bytes {start}-(\d+)/(\d+)", offered)
        if not match or int(match[1]) + 1 != int(match[2]) or size not in (None, int(match[2])):
            raise ConnectionError(f"it offers {offered}, not bytes {start}-{size - 1 if size else ''}/{size or '...'}")
        size = int(match[2])
    if length is not None and size not in (None, start + int(length)):
        raise ConnectionError(f"it offers another file, of {start + int(length)} bytes instead of {size}")
    return start + int(length) if length is not None else size


@contextlib.contextmanager
def _writing(path):
    """Errors of the disk, told for the file; they are no errors of the connection."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}; make room or permission there, or name "
                         "another folder with the environment variable MINICNN_HOME") from error


def _claim(file, part):
    """Only one process may write a part file.  The lock ends with the process, and is not to be had on Windows."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DownloadError(f"another process is downloading {part}; wait until it is done") from error
    except OSError:                              # a network disk without locks
        return
