"""Types of `mc.models`: see minicnn/__init__.pyi."""
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from minicnn import Module, _Array, _Pair, _Path, _Random
from minicnn.data import Dataset

_Names: TypeAlias = Sequence[str]
_Builder: TypeAlias = Callable[..., Classifier]
_Half: TypeAlias = Literal["float16", "float32"] | None

PREPROCESSING: dict[str, Any]
SMALL: dict[str, _Builder]
IMAGENET: dict[str, _Builder]
NETWORKS: dict[str, _Builder]
PUBLISHED: dict[str, Any]
SMALL_WIDTHS: tuple[tuple[int, ...], ...]

class Classifier(Module):
    features: Module
    classifier: Module
    class_names: list[str]
    start: ClassGaussian | None
    input_shape: tuple[int, ...]
    shorter_side: int | None
    layer_names: dict[str, str]
    def __init__(self, features: Module, classifier: Module, class_names: _Names, start: ClassGaussian | None = None,
                 input_shape: Sequence[int] = (32, 32, 3)) -> None: ...
    def class_index(self, name: str) -> int: ...

class ImageNetClassifier(Classifier):
    def __init__(self, preprocessing: str, features: Module, classifier: Module | None, class_names: _Names,
                 input_shape: Sequence[int], layer_names: Mapping[str, str],
                 flattened: Sequence[int] | None = None) -> None: ...

class Standardize(Module):
    def __init__(self, mean: float | Sequence[float] = .47, std: float | Sequence[float] = .25,
                 bgr: bool = False) -> None: ...

class ClassGaussian(Module):
    mean: _Array
    factor: _Array
    def __init__(self, classes: int, rank: int = 48, channels: int = 3) -> None: ...
    def fit(self, data: Dataset) -> Self: ...
    def sample(self, labels: _Array, size: _Pair, rng: np.random.Generator) -> npt.NDArray[np.float32]: ...

def build(network: str, class_names: _Names | None = None, rng: _Random = None, **options: Any) -> Classifier: ...
def load(name_or_path: _Path, network: str | None = None) -> Classifier: ...
def save(model: Module, path: _Path, dtype: _Half = None, metadata: Mapping[str, Any] | None = None) -> None: ...
def find(name_or_path: _Path) -> Path: ...
def download(name: str, features_only: bool = False, dtype: _Half = None, class_names: _Names | None = None) -> Path: ...
def convert(path: _Path, network: str | None = None, output: _Path | None = None, features_only: bool = False,
            dtype: _Half = None, class_names: _Names | Callable[[int], _Names] | None = None,
            preprocessing: str | None = None, **options: Any) -> Path: ...
def shipped_names() -> list[str]: ...
def network_name(text: str) -> str: ...
def is_known(name: str) -> bool: ...
def cached(name: str) -> Path: ...
def layer_path(model: Module, name: str) -> str: ...
def numbered_classes(count: int = 1000) -> list[str]: ...
def read_class_names(path: _Path, count: int) -> list[str]: ...
def fully_convolutional(model: Module) -> Module: ...

# ---- the networks themselves; `build` knows them by name -------------------------------------------------------------

def small(class_names: _Names, widths: Sequence[Sequence[int]] = ..., rng: _Random = None, channels: int = 3,
          size: _Pair = 32) -> Classifier: ...
def lenet5(class_names: _Names, rng: _Random = None, channels: int = 3, size: _Pair = 32,
           activation: Literal["relu", "tanh"] = "relu", pooling: Literal["max", "average"] = "max") -> Classifier: ...
def alexnet_small(class_names: _Names, rng: _Random = None, channels: int = 3, size: _Pair = 32,
                  response_norm: bool = False, dropout: float = .5, width: int = 48, hidden: int = 512) -> Classifier: ...
def vgg11_small(class_names: _Names, rng: _Random = None, channels: int = 3, size: _Pair = 32, width: int = 64,
                dropout: float = .5) -> Classifier: ...
def resnet20(class_names: _Names, rng: _Random = None, channels: int = 3, size: _Pair = 32, blocks: int = 3,
             width: int = 16) -> Classifier: ...
def alexnet(class_names: _Names | None = None, rng: _Random = None, channels: int = 3, size: _Pair = 224, width: int = 64,
            hidden: int = 4096, dropout: float = .5, features_only: bool = False,
            preprocessing: str = "torchvision") -> ImageNetClassifier: ...
def alexnet_2012(class_names: _Names | None = None, rng: _Random = None, channels: int = 3, size: _Pair = 224,
                 width: int = 96, hidden: int = 4096, dropout: float = .5, features_only: bool = False,
                 preprocessing: str = "caffe-rgb") -> ImageNetClassifier: ...
def squeezenet1_1(class_names: _Names | None = None, rng: _Random = None, channels: int = 3, size: _Pair = 224,
                  width: int = 64, dropout: float = .5, features_only: bool = False,
                  preprocessing: str = "torchvision") -> ImageNetClassifier: ...

vgg11: Callable[..., ImageNetClassifier]
vgg11_bn: Callable[..., ImageNetClassifier]
vgg11_lrn: Callable[..., ImageNetClassifier]
vgg13: Callable[..., ImageNetClassifier]
vgg13_bn: Callable[..., ImageNetClassifier]
vgg16: Callable[..., ImageNetClassifier]
vgg16_bn: Callable[..., ImageNetClassifier]
vgg16_c: Callable[..., ImageNetClassifier]
vgg19: Callable[..., ImageNetClassifier]
vgg19_bn: Callable[..., ImageNetClassifier]
