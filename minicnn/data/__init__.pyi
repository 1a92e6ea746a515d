"""Types of `mc.data`: see minicnn/__init__.pyi."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from minicnn import _Array, _Path

from . import augment as augment
from .augment import random_crop as random_crop, random_flip as random_flip, standard as standard

_Split: TypeAlias = Literal["train", "test"]

NAMES: tuple[str, ...]

@dataclass
class Dataset:
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: list[str]
    def __len__(self) -> int: ...
    def subset(self, n_or_indices: int | slice | list[int] | list[bool] | _Array) -> Dataset: ...
    def images_float(self, indices: Any = ...) -> npt.NDArray[np.float32]: ...
    def class_means(self) -> npt.NDArray[np.float32]: ...

class Batches:
    dataset: Dataset
    size: int
    seed: int
    shuffle: bool
    drop_last: bool
    def __init__(self, dataset: Dataset, size: int, seed: int = 0,
                 augment: Callable[[_Array, np.random.Generator], _Array] | None = None, shuffle: bool = True,
                 drop_last: bool = True) -> None: ...
    def __len__(self) -> int: ...
    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[_Array, _Array]]: ...

def load(source: _Path, split: _Split = "train", limit: int | None = None, folder: _Path | None = None,
         download: bool = True, **options: Any) -> Dataset: ...
def load_cifar10(folder: _Path | None = None, split: _Split = "train", limit: int | None = None,
                 verify: bool = False) -> Dataset: ...
def load_cifar100(folder: _Path | None = None, split: _Split = "train", limit: int | None = None,
                  coarse: bool = False) -> Dataset: ...
def load_mnist(folder: _Path | None = None, split: _Split = "train", limit: int | None = None) -> Dataset: ...
def load_fashion_mnist(folder: _Path | None = None, split: _Split = "train", limit: int | None = None) -> Dataset: ...
def load_folder(folder: _Path, split: _Split = "train", limit: int | None = None, size: int = 32, seed: int = 0,
                test_share: float = .2) -> Dataset: ...
def load_shapes(split: _Split = "train", limit: int | None = None, size: int = 32, seed: int = 0) -> Dataset: ...
def class_balance(dataset: Dataset) -> dict[str, int]: ...
