"""Types of `mc.generate`: see minicnn/__init__.pyi."""
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from minicnn import BatchNorm2d, Module, Tensor, _Array, _Operand, _Pair
from minicnn.models import Classifier

_Picture: TypeAlias = npt.NDArray[np.float32]
_Start: TypeAlias = Literal["gaussian", "noise"] | _Array
_Calls: TypeAlias = list[tuple[Module, Tensor, Tensor]]           # (module, its input, its output)

# ---- pictures of a class, or of what a unit looks for ----------------------------------------------------------------

@dataclass(frozen=True)
class InversionRecipe:
    steps: int = 80
    first: float = .3
    last: float = .03
    radius: float = 12.
    smoothness: float = 1.5
    jitter: int = 2
    bn_prior: float = 0.
    def scaled_to(self, shape: Sequence[int]) -> InversionRecipe: ...

def invert(model: Classifier, target: str | Sequence[int] | _Array, count: int = 8, seed: int = 0,
           recipe: InversionRecipe = ..., start: _Start = "gaussian",
           callback: Callable[[int, _Picture], object] | None = None, size: _Pair | None = None) -> _Picture: ...
def excite(model: Classifier, layer: str, unit: int, count: int = 8, seed: int = 0, recipe: InversionRecipe = ...,
           start: _Start = "gaussian", callback: Callable[[int, _Picture], object] | None = None,
           size: _Pair | None = None) -> _Picture: ...
def activations(model: Module, layer: str, unit: int, pictures: _Array) -> _Array: ...

# ---- objectives of a picture, and how a network sees it --------------------------------------------------------------

class FeatureMaps:
    model: Module
    layers: dict[str, Module]
    def __init__(self, model: Module, layers: Iterable[str], pooling: Literal["max", "average", "l2"] = "max",
                 keep_filters: bool = True) -> None: ...
    def __call__(self, x: Tensor | _Array, layers: Iterable[str] | None = None) -> dict[str, Tensor]: ...

@dataclass(frozen=True)
class Box:
    top: float
    left: float
    side: float

@dataclass(frozen=True)
class Views:
    closer: int = 2
    whole: float = .85
    closest: float = .55
    margin: float = .06
    def boxes(self, rng: np.random.Generator) -> list[Box]: ...
    def of(self, x: Tensor | _Array, size: tuple[int, int], rng: np.random.Generator) -> Tensor: ...

def view(x: Tensor | _Array, box: Box, size: tuple[int, int]) -> Tensor: ...
def roll(x: Tensor | _Array, rows: int, columns: int) -> Tensor: ...
def jitter(x: Tensor | _Array, pixels: int, rng: np.random.Generator) -> Tensor: ...
def total_variation(x: Tensor) -> Tensor: ...
def unit_activation(y: Tensor, unit: int) -> Tensor: ...
def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]: ...
def batch_norm_prior(inputs: Iterable[tuple[BatchNorm2d, Tensor]]) -> Tensor: ...
def batch_norms(model: Module) -> list[BatchNorm2d]: ...
def layer_named(model: Module, name: str) -> Module: ...
def observe(model: Module, x: _Operand, layers: Sequence[Module], inputs: bool = False,
            whole: bool = True) -> tuple[Tensor, _Calls]: ...

# ---- one picture in the style of others ------------------------------------------------------------------------------

@dataclass(frozen=True)
class Style:
    picture: _Array
    weight: float = 1.
    mask: _Array | None = None

@dataclass(frozen=True)
class StyleRecipe:
    style: dict[str, float]
    content: dict[str, float]
    loss: str = "relative"
    relative_content: bool = True
    content_weight: float = 1.
    style_weight: float = 1.
    smoothness: float = 0.
    pooling: str = "average"
    start: str = "content"
    optimizer: str = "adam"
    lr: float = .02
    smallest: int = 128
    growth: float = ...
    first_steps: int = 100
    steps: int = 50
    average: float = .9
    margin: int = 16
    dtype: str = "float32"
    def sides(self, size: int) -> list[int]: ...

class Transfer:
    kind: str
    losses: list[float]
    def __init__(self, content: _Array, styles: Iterable[Style], model: Classifier, recipe: StyleRecipe,
                 size: int | None = None, style_scale: float = 1., seed: int = 0, memory: float | None = None,
                 start: _Array | None = None) -> None: ...
    def run(self, callback: Callable[[Transfer], object] | None = None) -> _Picture: ...
    def step(self) -> None: ...
    def picture(self) -> _Picture: ...
    def progress(self) -> tuple[int, int]: ...
    def described(self) -> dict[str, Any]: ...
    def state(self) -> tuple[dict[str, _Array], dict[str, Any]]: ...
    def restore(self, arrays: dict[str, _Array], place: dict[str, Any]) -> None: ...

def recipe_for(model: Module, preset: Literal["quality", "gatys", "fast"] | None = None, **changes: Any) -> StyleRecipe: ...
def stylize(content: _Array, style: _Array, model: Classifier, recipe: StyleRecipe, size: int | None = None, seed: int = 0,
            callback: Callable[[Transfer], object] | None = None) -> _Picture: ...
