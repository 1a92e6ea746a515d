"""The files of the known data sets, and where they can be had."""
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..files.atomic import WriteError, atomic_write
from ..files.download import Remote
from ..files.download import download as download_file


@dataclass(frozen=True)
class DataFile(Remote):
    """A Remote that belongs to a data set.

    split     'train' or 'test' if only that split needs it
    members   of an archive (.tar.gz): the files in it that are wanted
    """
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
        DataFile("train-images-idx3-ubyte.gz", 9912422,
                 "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", _MNIST, "train"),
        DataFile("train-labels-idx1-ubyte.gz", 28881,
                 "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", _MNIST, "train"),
        DataFile("t10k-images-idx3-ubyte.gz", 1648877,
                 "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", _MNIST, "test"),
        DataFile("t10k-labels-idx1-ubyte.gz", 4542,
                 "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", _MNIST, "test")),
    "fashion-mnist": (
        DataFile("train-images-idx3-ubyte.gz", 26421880,
                 "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", _FASHION, "train"),
        DataFile("train-labels-idx1-ubyte.gz", 29515,
                 "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", _FASHION, "train"),
        DataFile("t10k-images-idx3-ubyte.gz", 4422102,
                 "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", _FASHION, "test"),
        DataFile("t10k-labels-idx1-ubyte.gz", 5148,
                 "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", _FASHION, "test")),
    "cifar10": (
        DataFile("cifar-10-python.tar.gz", 170498071,
                 "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", _CIFAR, members=tuple(
                     f"cifar-10-batches-py/{name}"
                     for name in ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"))),),
    "cifar100": (
        DataFile("cifar-100-python.tar.gz", 169001437,
                 "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7", _CIFAR, members=tuple(
                     f"cifar-100-python/{name}" for name in ("meta", "train", "test"))),),
}


def download(name, folder, split=None):
    """Download the files of the data set `name` (a key of REMOTES) into the folder, those of one split if one is named.

    Files that lie there already are kept.  An archive is unpacked and removed.
    Raises DownloadError when a file cannot be downloaded, WriteError when it cannot be written, ValueError for an
    archive that cannot be unpacked.
    """
    for remote in REMOTES[name]:
        if split is None or remote.split in (split, None):
            if remote.members and all((Path(folder) / Path(member).name).is_file() for member in remote.members):
                continue
            path = download_file(remote, folder)
            if remote.members:
                _unpack(path, remote.members)


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
        raise ValueError(f"{archive}: cannot be unpacked ({error}); remove it, and it is downloaded again") from error
    if missing:
        raise ValueError(f"{archive}: {sorted(missing)[0]} is missing in it; remove it, and it is downloaded again")
    archive.unlink()
