"""Fetching the files of the known data sets, whole and checked.

A file is written as NAME.part, which a later run goes on with where an earlier one was cut off (HTTP Range, RFC 9110,
section 14), and gets its name only when its size and hash are right.  What comes from a mirror is therefore as good as
what comes from the source.
"""
import contextlib
import http.client
import os
import shutil
import tarfile
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from ..files import WriteError, atomic_write, sha256_of

TIMEOUT = 30                                     # seconds without a byte
ATTEMPTS = 5                                     # at one address, as long as each brings something
PIECE = 1 << 16                                  # bytes


class DownloadError(OSError):
    """A file could not be fetched.  The message says why, and where to put it when it is fetched by other means."""


@dataclass(frozen=True)
class Remote:
    """A file and where it can be had.

    size, sha256   in bytes, and of the whole file as hexadecimal digits
    folders        addresses without the name, in the order in which they are tried
    split          'train' or 'test' if only that split needs it
    members        of an archive (.tar.gz): the files in it that are wanted
    """
    name: str
    size: int
    sha256: str
    folders: tuple
    split: str | None = None
    members: tuple = ()


# The hashes are those that Keras (CIFAR), TensorFlow Datasets (MNIST) and others publish for the original files.
_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_FASHION = ("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/")
_CIFAR = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/",
          "https://dataset.bj.bcebos.com/cifar/")

REMOTES = {
    "mnist": (
        Remote("train-images-idx3-ubyte.gz", 9912422,
               "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", _MNIST, "train"),
        Remote("train-labels-idx1-ubyte.gz", 28881,
               "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", _MNIST, "train"),
        Remote("t10k-images-idx3-ubyte.gz", 1648877,
               "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", _MNIST, "test"),
        Remote("t10k-labels-idx1-ubyte.gz", 4542,
               "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", _MNIST, "test")),
    "fashion-mnist": (
        Remote("train-images-idx3-ubyte.gz", 26421880,
               "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", _FASHION, "train"),
        Remote("train-labels-idx1-ubyte.gz", 29515,
               "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", _FASHION, "train"),
        Remote("t10k-images-idx3-ubyte.gz", 4422102,
               "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", _FASHION, "test"),
        Remote("t10k-labels-idx1-ubyte.gz", 5148,
               "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", _FASHION, "test")),
    "cifar10": (
        Remote("cifar-10-python.tar.gz", 170498071,
               "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", _CIFAR, members=tuple(
                   f"cifar-10-batches-py/{name}"
                   for name in ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"))),),
    "cifar100": (
        Remote("cifar-100-python.tar.gz", 169001437,
               "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7", _CIFAR, members=tuple(
                   f"cifar-100-python/{name}" for name in ("meta", "train", "test"))),),
}


def download(name, folder, split=None):
    """Fetch the files of the data set `name` (a key of REMOTES) into the folder, those of one split if one is named.

    Files that lie there already are kept.  An archive is unpacked and removed.
    Raises DownloadError when a file cannot be fetched, files.WriteError when it cannot be written, ValueError for an
    archive that cannot be unpacked.
    """
    for remote in REMOTES[name]:
        if split is None or remote.split in (split, None):
            if remote.members and all((Path(folder) / Path(member).name).is_file() for member in remote.members):
                continue
            path = fetch(remote, folder)
            if remote.members:
                _unpack(path, remote.members)


# ---- one file -----------------------------------------------------------------------------------------------------

def fetch(remote, folder):
    """Fetch one file into the folder, which is made if need be; returns its path.  A file that is there is kept."""
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
        raise DownloadError(f"cannot download {remote.name} ({remote.size / 1e6:.1f} MB): {'; '.join(failures)}. Try "
                            f"again later, or fetch {remote.folders[0]}{remote.name} elsewhere and put it into {folder}")
    if not path.is_file():                       # another process may have been faster by a moment
        with _writing(path):
            os.replace(part, path)
    return path


def _from_any(remote, file):
    """Fill the part file from the first address that has it.  Returns why each failed, or nothing when one did not."""
    failures = []
    for folder in remote.folders:
        reason = _from_one(folder + remote.name, remote, file)
        if reason is None:
            return []
        failures.append(f"{urlsplit(folder).netloc}: {reason}")
    return failures


def _from_one(url, remote, file):
    """Fill the part file from one address, going on after cuts.  Returns why that failed, or None."""
    for _ in range(ATTEMPTS):
        before = file.seek(0, os.SEEK_END)
        try:
            if before < remote.size:
                _append(url, remote, file)
            if sha256_of(file.name) == remote.sha256:
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


def _append(url, remote, file):
    """Ask for what the part file still lacks, and write it there."""
    start = file.tell()
    headers = {"User-Agent": "minicnn", **({"Range": f"bytes={start}-"} if start else {})}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
        if start and response.status != 206:     # it knows no Range and sends the whole file
            start = file.seek(0)
            file.truncate()
        _require_same_file(response, start, remote.size)
        with tqdm(total=remote.size, initial=start, unit="B", unit_scale=True, desc=remote.name, leave=False,
                  disable=None) as bar:
            while piece := response.read(PIECE):
                with _writing(file.name):
                    file.write(piece)
                    file.flush()             # here, so that a full disk is noticed as such
                bar.update(len(piece))
                if file.tell() > remote.size:
                    raise ConnectionError(f"it sent more than the {remote.size} bytes of the file")
    if file.tell() < remote.size:
        raise ConnectionError(f"the connection was cut after {file.tell()} of {remote.size} bytes")


def _require_same_file(response, start, size):
    """ConnectionError when the answer begins elsewhere or is of another length: a login page, another version."""
    wanted = f"bytes {start}-{size - 1}/{size}"
    if response.status == 206 and response.headers.get("Content-Range") != wanted:
        raise ConnectionError(f"it offers {response.headers.get('Content-Range')}, not {wanted}")
    length = response.headers.get("Content-Length")
    if length is not None and length != str(size - start):
        raise ConnectionError(f"it offers another file, of {start + int(length)} bytes instead of {size}")


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


# ---- archives -----------------------------------------------------------------------------------------------------

def _unpack(archive, members):
    """Write the wanted files of the archive beside it, by their last names, and remove it."""
    missing = set(members)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.name in missing and member.isfile():
                    with atomic_write(archive.with_name(Path(member.name).name)) as temporary:
                        with tar.extractfile(member) as source, open(temporary, "wb") as file:
                            shutil.copyfileobj(source, file)
                    missing.remove(member.name)
    except WriteError:
        raise
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise ValueError(f"{archive}: cannot be unpacked ({error}); remove it, and it is fetched again") from error
    if missing:
        raise ValueError(f"{archive}: {sorted(missing)[0]} is missing in it; remove it, and it is fetched again")
    archive.unlink()
