"""Batches: a data set in portions, each epoch a pure function of the seed and the epoch's number.

No generator is carried from batch to batch.  Each epoch's order and each batch's augmentation start a fresh one from
(seed, epoch, place), so that a run resumed at epoch 7, batch 120 sees exactly what the uninterrupted run would have
seen.
"""
import numpy as np

from .augment import Augmentation, mixup


class Batches:
    """The data set in batches of `size` pictures.

    augment: None, or a function (x float32 (n, H, W, C), rng) -> an array of the same shape, or what augment.parse made.
    shuffle: another order in every epoch; else the order of the data set.
    drop_last: leave out the last batch when it is smaller than `size`.
    Raises ValueError for a size below 1, or when not even one batch can be filled.

        for x, labels in batches.epoch(3): ...              # len(batches) times
        for x, labels in batches.epoch(3, start=120): ...   # the rest of the same epoch
        x, labels = batches.batch(3, 120)                   # one of them alone
    """

    def __init__(self, dataset, size, seed=0, augment=None, shuffle=True, drop_last=True):
        if size < 1:
            raise ValueError(f"Batches: size must be 1 or more, not {size}")
        if drop_last and len(dataset) < size:
            raise ValueError(f"Batches: {len(dataset)} pictures do not fill one batch of {size}: "
                             "use a smaller size, or drop_last=False")
        self.dataset, self.size, self.seed = dataset, size, seed
        self.augment = augment.fit(dataset) if isinstance(augment, Augmentation) else augment
        self.shuffle, self.drop_last = shuffle, drop_last

    def __len__(self):
        """The number of batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.size)
        return full if self.drop_last or rest == 0 else full + 1

    def epoch(self, number, start=0):
        """Yield (x, labels) for the batches of epoch `number`, from batch `start` on.

        x (n, H, W, C) float32, 0..1 before augmentation; labels (n,) int64, or after mixup
        probabilities (n, classes) float32.
        """
        order = self._order(number)
        for k in range(start, len(self)):
            yield self._batch(number, k, order[k * self.size:(k + 1) * self.size])

    def batch(self, number, k):
        """Batch k of epoch `number`, as `epoch` yields it."""
        return next(self.epoch(number, k))

    def _order(self, number):
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.random.default_rng([self.seed, number]).permutation(len(self.dataset))

    def _batch(self, number, k, indices):
        x, labels = self.dataset.images_float(indices), self.dataset.labels[indices]
        if self.augment is None:
            return x, labels
        # k + 1, because NumPy pads seeds with zeros: [seed, number, 0] would repeat the numbers of the order.
        rng = np.random.default_rng([self.seed, number, k + 1])
        x = self.augment(x, rng)
        if alpha := getattr(self.augment, "mixup", 0):
            x, labels = mixup(x, labels, len(self.dataset.class_names), rng, alpha)
        return x, labels
