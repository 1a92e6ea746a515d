"""Labelled pictures, kept as bytes."""
from dataclasses import dataclass

import numpy as np


@dataclass
class Dataset:
    """Labelled pictures, kept as bytes: 50,000 of 32x32 are 154 MB, and four times that as float32.

    images        (N, H, W, C) uint8, 0..255
    labels        (N,) int64, each an index into class_names
    class_names   one string a class
    """
    images: np.ndarray
    labels: np.ndarray
    class_names: list

    def __post_init__(self):
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(f"Dataset: images must be (N, H, W, C) uint8, "
                             f"not {self.images.shape} {self.images.dtype}")
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"Dataset: {len(self.images)} images need labels of shape ({len(self.images)},), "
                             f"not {self.labels.shape}")
        highest = self.labels.max(initial=0)
        if self.labels.min(initial=0) < 0 or highest >= len(self.class_names):
            raise ValueError(f"Dataset: labels must be 0..{len(self.class_names) - 1}, an index into the "
                             f"{len(self.class_names)} class names; found {self.labels.min()}..{highest}")

    def __len__(self):
        return len(self.images)

    def subset(self, n_or_indices):
        """The first n pictures, or those at the given indices (an array or list of integers, a mask, a slice).

        Raises ValueError when n is not between 0 and the number of pictures.
        """
        chosen = n_or_indices
        if isinstance(chosen, (int, np.integer)):
            if not 0 <= chosen <= len(self):
                raise ValueError(f"subset: {chosen} pictures asked of a data set of {len(self)}")
            chosen = slice(chosen)
        elif isinstance(chosen, list):
            chosen = np.array(chosen, dtype=bool if chosen and isinstance(chosen[0], bool) else np.int64)
        return Dataset(self.images[chosen], self.labels[chosen], self.class_names)

    def images_float(self, indices=slice(None)):
        """The pictures at `indices` (all, if not given) as float32 in 0..1, (n, H, W, C)."""
        return self.images[indices].astype(np.float32) / 255

    def class_means(self):
        """The mean picture of each class, (classes, H, W, C) float32 in 0..1.

        Raises ValueError when a class has no picture.
        """
        return np.stack([self._mean_picture(k) for k in range(len(self.class_names))])

    def _mean_picture(self, k):
        members = self.images[self.labels == k]
        if len(members) == 0:
            raise ValueError(f"class_means: there is no picture of class {k} ({self.class_names[k]})")
        return (members.mean(axis=0) / 255).astype(np.float32)
