"""Schedules: the learning rate as a function of the step."""
import math
from dataclasses import dataclass

from .base import require


@dataclass(frozen=True)
class OneCycle:
    """Up to the peak, then far down: the one-cycle policy (Smith & Topin 2018, arXiv:1708.07120).

        peak                  . -- .
                           .          .
        peak/25          .               .  _
                       |--- warmup ---|        ` - . _   peak/25/1e4
                       0                               steps - 1

    peak      the greatest learning rate
    steps     how many steps the run has; step 0 is the first, steps - 1 the last, and later ones stay at its value
    warmup    share of the steps that go up, 0 <= warmup < 1
    anneal    "cosine" or "linear": the form of both slopes
    start_divisor, end_divisor  the run starts at peak/start_divisor and ends at that divided by end_divisor

    The numbers are those of PyTorch's OneCycleLR with two phases.
    """
    peak: float
    steps: int
    warmup: float = .3
    anneal: str = "cosine"
    start_divisor: float = 25.
    end_divisor: float = 1e4

    def __post_init__(self):
        require(self.peak > 0, f"OneCycle: peak must be > 0, not {self.peak!r}")
        require(self.steps >= 1, f"OneCycle: steps must be at least 1, not {self.steps!r}")
        require(0 <= self.warmup < 1, f"OneCycle: warmup is a share of the steps in [0, 1), not {self.warmup!r}")
        require(self.anneal in _SLOPES, f"OneCycle: anneal must be 'cosine' or 'linear', not {self.anneal!r}")

    def __call__(self, step):
        """The learning rate of this step."""
        slope = _SLOPES[self.anneal]
        first, top, last = self.peak / self.start_divisor, self.warmup * self.steps - 1, self.steps - 1
        if step < top:
            return slope(first, self.peak, step / top)
        return slope(self.peak, first / self.end_divisor, (min(step, last) - top) / (last - top))


def _cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _linear(start, end, share):
    return start + (end - start) * share


_SLOPES = {"cosine": _cosine, "linear": _linear}


@dataclass(frozen=True)
class Cosine:
    """Half a cosine down to the floor, after a linear warm-up (Loshchilov & Hutter 2017, arXiv:1608.03983).

        peak            . - .
                      /       `.
                    /            `.
        floor     /                 ` - . _____
                  0  warmup_steps       steps

    peak          the greatest learning rate
    steps         where the floor is reached, warm-up included; later steps stay there
    warmup_steps  steps that go up: peak/warmup_steps, 2 peak/warmup_steps, ..., peak
    floor         the last learning rate
    """
    peak: float
    steps: int
    warmup_steps: int = 0
    floor: float = 0.

    def __post_init__(self):
        require(self.peak > 0, f"Cosine: peak must be > 0, not {self.peak!r}")
        require(0 <= self.floor <= self.peak, f"Cosine: floor must be in 0..peak, not {self.floor!r}")
        require(0 <= self.warmup_steps < self.steps, "Cosine: needs 0 <= warmup_steps < steps, "
                f"not warmup_steps={self.warmup_steps!r}, steps={self.steps!r}")

    def __call__(self, step):
        """The learning rate of this step."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        share = (min(step, self.steps) - self.warmup_steps) / (self.steps - self.warmup_steps)
        return _cosine(self.peak, self.floor, share)


@dataclass(frozen=True)
class StepDecay:
    """Stairs down: after every `every` steps the learning rate is multiplied by `factor`.

        lr         ------.
                         '------.
                                '------
                   0   every  2 every
    """
    lr: float
    every: int
    factor: float = .1

    def __post_init__(self):
        require(self.lr > 0, f"StepDecay: lr must be > 0, not {self.lr!r}")
        require(self.every >= 1, f"StepDecay: every must be at least 1, not {self.every!r}")
        require(self.factor > 0, f"StepDecay: factor must be > 0, not {self.factor!r}")

    def __call__(self, step):
        """The learning rate of this step."""
        return self.lr * self.factor ** (step // self.every)
