"""The .cu files of minicnn, and which kernels are in them."""
from pathlib import Path

import minicnn
from emulator.text import kernels_in

PACKAGE = Path(minicnn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.cu"))


def name_of(path):
    """'layers/pool/pool.cu'."""
    return path.relative_to(PACKAGE).as_posix()


def file_of(text):
    """The name of the .cu file whose kernels a text has (CuPy is given the text alone), else its first kernel's."""
    kernels = kernels_in(text)
    for path in FILES:
        if kernels and kernels.keys() == kernels_in(path.read_text(encoding="utf-8")).keys():
            return name_of(path)
    return f"{next(iter(kernels), 'kernel')}.cu"
