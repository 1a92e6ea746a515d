"""Types of `mc.evaluation`: see minicnn/__init__.pyi."""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minicnn import Module, _Array, _Attack
from minicnn.data import Dataset

BINS: int
MOST_NUMBERED: int
LONGEST_NAME: int
RIGHT: tuple[int, int, int]
WRONG: tuple[int, int, int]
LINE: tuple[int, int, int]

class Evaluated(NamedTuple):
    probabilities: _Array
    images: _Array

def evaluate(model: Module, data: Dataset, attack: _Attack | None = None, batch: int = 250,
             progress: str | None = None) -> Evaluated: ...
def confusion_matrix(probabilities: _Array, labels: _Array) -> npt.NDArray[np.int64]: ...
def class_accuracy(confusion: _Array) -> npt.NDArray[np.float64]: ...
def calibration(probabilities: _Array, labels: _Array, bins: int = 15) -> tuple[_Array, _Array, _Array]: ...
def expected_calibration_error(pictures: _Array, accuracy: _Array, confidence: _Array) -> float: ...
def surest_mistakes(probabilities: _Array, labels: _Array, count: int | None = None) -> npt.NDArray[np.intp]: ...
def figures(probabilities: _Array, labels: _Array) -> dict[str, Any]: ...
def confusion_picture(confusion: _Array, class_names: Sequence[str], title: str | None = None) -> npt.NDArray[np.uint8]: ...
def mistakes_sheet(images: _Array, labels: _Array, probabilities: _Array, class_names: Sequence[str], chosen: _Array,
                   title: str | None = None, side: int = 128) -> npt.NDArray[np.uint8]: ...
