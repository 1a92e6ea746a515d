"""Zip archives, read with caution.

The library's zipfile reads the list of what is in an archive.  The members are read here, from their place in the file and
never to a path, so that a name like ../../.bashrc can do no harm; it is refused all the same.
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3
"""
import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .contents import UnreadableWeights, quoted, require_sane_size

MOST_LISTED = 1 << 22                            # bytes of the list of members: some 40,000 of them
LOCAL_HEADER, ENCRYPTED = 30, 1


class Member:
    """A file in an archive: its name, and `size`, the number of its bytes when it is unpacked."""

    def __init__(self, path, info):
        self.path, self.name, self.size, self._info = path, info.filename, info.file_size, info
        self.is_compressed = info.compress_type != zipfile.ZIP_STORED
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & ENCRYPTED:
            raise UnreadableWeights(f"{quoted(self.name)} in it is encrypted, or compressed in a way that is not read here")
        if not self.is_compressed and info.compress_size != info.file_size:
            raise UnreadableWeights(f"{quoted(self.name)} in it has two sizes")
        if info.compress_size > os.path.getsize(path):
            raise UnreadableWeights(f"{quoted(self.name)} in it should be larger than the whole file; download it again")

    def start(self, count):
        """The first `count` bytes, or all if there are fewer; no checksum tells whether they are right."""
        return self._bytes(min(count, self.size)).tobytes()

    def read(self):
        """All of it as an array of bytes.  Raises UnreadableWeights when its checksum is wrong."""
        data = self._bytes(self.size)
        if zlib.crc32(data) != self._info.CRC:
            raise UnreadableWeights(f"{quoted(self.name)} in it is damaged: its checksum is wrong")
        return data

    def _bytes(self, count):
        """The first `count` bytes, unpacked.  No more than that is ever unpacked, whatever the archive holds."""
        length = min(self._info.compress_size, 2 * count + 1024) if self.is_compressed else count
        data = np.fromfile(self.path, np.uint8, length, offset=self._place())        # compressed, nothing gets twice as long
        if self.is_compressed:
            unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max(count, 1))      # 0 would mean: all there is
            data = np.frombuffer(unpacked[:count], np.uint8)
        if len(data) != count:
            raise UnreadableWeights(f"{quoted(self.name)} in it is cut short")
        return data

    def _place(self):
        """Where its bytes begin: behind a header that repeats its name, and a field of any length."""
        with open(self.path, "rb") as file:
            file.seek(self._info.header_offset)
            header = file.read(LOCAL_HEADER)
        if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise UnreadableWeights(f"{quoted(self.name)} in it is not where it should be")
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        return self._info.header_offset + LOCAL_HEADER + lengths


def members(path):
    """{name: Member} of the archive.

    Raises UnreadableWeights for one that is damaged, has names that lead out of it or appear twice, or unfolds to far more
    than its size.
    """
    try:
        with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:      # a list that leads astray raises any of them
        raise UnreadableWeights(f"it is a zip archive that is cut short or damaged ({error}); download it again") from error
    for info in infos:
        name = info.filename
        if name.startswith("/") or name[1:2] == ":" or "\\" in name or ".." in name.split("/"):
            raise UnreadableWeights(f"{quoted(name)} in it leads out of the archive")
    require_sane_size(sum(info.file_size for info in infos), path)
    found = {info.filename: Member(Path(path), info) for info in infos}
    if len(found) < len(infos):
        raise UnreadableWeights("it holds two members of one name")
    return found


class _Bounded(io.FileIO):
    """A file of which zipfile, which takes a list of any length in one piece, cannot take too much."""

    def read(self, size=-1):
        data = super().read(MOST_LISTED + 1 if size is None or size < 0 else min(size, MOST_LISTED + 1))
        if len(data) > MOST_LISTED:
            raise UnreadableWeights(f"it lists its members on more than {MOST_LISTED:,} bytes, weights need fewer")
        return data
