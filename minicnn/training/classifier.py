"""A classifier learns: what a step is, what an epoch ends with, and what a training depends on.

A training is described by `TrainingSettings` and carried to its end as any run is: see run.py.  Order, augmentation and
attacks are functions of (seed, epoch, batch), so a checkpoint needs no generator for them: weights, optimizer, average, the
place and where each dropout layer's stream has got to are the whole state.
"""
import copy
import dataclasses
import time

import numpy as np

from ..core import processes
from ..core.backend import to_device
from ..core.tensor import Tensor, raise_first_nonfinite
from ..core.threads import slices
from ..data import Batches, augment
from ..files.checkpoint import joined_state, load_joined_state
from ..layers.dropout import Dropout
from ..layers.loss import cross_entropy
from ..optim import SGD, Adam, AdamW, Cosine, OneCycle, StepDecay, WeightAverage
from .attack import l2_attack
from .prediction import accuracy
from .run import Run, finished_first, saved_when_stopped


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What a training run depends on, besides the data and the network.

    epochs, batch     passes over the data; pictures a step
    lr, warmup        peak of the one-cycle schedule, and the share of steps that lead up to it
    momentum, weight_decay   of SGD with Nesterov's momentum
    augment           what is done to the pictures of a batch, as data.augment.parse takes it
    optimizer         "sgd", "adam" or "adamw": see OPTIMIZERS
    schedule          of the learning rate, "onecycle", "cosine", "step" or "constant": see SCHEDULES
    label_smoothing   in [0, 1)
    average           decay of the running average of the weights, which is what is evaluated and kept; 0 for none
    epsilon, attack_step, attack_steps    radius, length and number of the steps of the L2 attack on every batch; epsilon 0
                      for plain training
    seed              of the order, the augmentation and the attack
    """
    epochs: int = 10
    batch: int = 128
    lr: float = .15
    warmup: float = .25
    momentum: float = .9
    weight_decay: float = 5e-4
    augment: str = "standard"
    optimizer: str = "sgd"
    schedule: str = "onecycle"
    label_smoothing: float = 0.
    average: float = .998
    epsilon: float = 0.
    attack_step: float = .6
    attack_steps: int = 1
    seed: int = 0

    def __post_init__(self):
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"TrainingSettings: {name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")


OPTIMIZERS = {
    "sgd": lambda s, parameters: SGD(parameters, s.lr, s.momentum, s.momentum > 0, s.weight_decay),
    "adam": lambda s, parameters: Adam(parameters, s.lr, weight_decay=s.weight_decay),
    "adamw": lambda s, parameters: AdamW(parameters, s.lr, weight_decay=s.weight_decay)}

SCHEDULES = {                                    # of settings and the number of all steps: lr as a function of the step
    "onecycle": lambda s, steps: OneCycle(s.lr, steps, s.warmup),
    "cosine": lambda s, steps: Cosine(s.lr, steps, int(s.warmup * steps)),
    "step": lambda s, steps: StepDecay(s.lr, max(1, steps // 3)),                # a tenth after each third of the run
    "constant": lambda s, steps: lambda step: s.lr}


class Training:
    """One training: network, optimizer and place.   Training(model, data, settings, path).run(test)

    path is the checkpoint, written after every epoch and every `save_every` steps, atomically; None writes none.
    """
    kind = "training"

    def __init__(self, model, data, settings, path=None, save_every=200):
        if settings.batch < processes.count():
            raise ValueError(f"Training: a batch of {settings.batch} cannot be shared among {processes.count()} "
                             "processes: use a larger batch or fewer processes")
        self.model, self.settings, self.path, self.save_every = model, settings, path, save_every
        self.batches = Batches(data, settings.batch, settings.seed, augment.parse(settings.augment))
        self.schedule = SCHEDULES[settings.schedule](settings, settings.epochs * len(self.batches))
        self.optimizer = OPTIMIZERS[settings.optimizer](settings, model.parameters())
        self.average = WeightAverage([Tensor(array, True) for array in model.state_dict().values()], settings.average)
        self.epoch = self.batch = 0
        self.history, self.sums = [], np.zeros(3)                # sums over this epoch: loss, hits, pictures

    def run(self, test=None, quiet=False, callback=None, after_epoch=None):
        """Train to the end; returns the list of one dict an epoch.  Ctrl-C saves a checkpoint before it stops.

        callback, after_epoch   None, or a function of this Training, called after every step, or epoch
        """
        with saved_when_stopped(self.save):
            while self.epoch < self.settings.epochs:
                self.run_epoch(test, quiet, callback)
                if after_epoch:
                    after_epoch(self)
        return self.history

    def run_epoch(self, test=None, quiet=False, callback=None):
        """The rest of the current epoch, then its line."""
        started, self.model = time.perf_counter(), self.model.train()
        run = Run(self, self.path, save_steps=self.save_every, title=f"epoch {self.epoch + 1}/{self.settings.epochs}",
                  figures=lambda: {"loss": f"{self.sums[0] / self.sums[2]:.3f}"}, quiet=quiet)
        run.advance(callback, until=(self.epoch + 1) * len(self.batches))
        self._close_epoch(test, time.perf_counter() - started, quiet)

    def progress(self):
        """(steps done, steps altogether)"""
        return self._steps_done(), self.settings.epochs * len(self.batches)

    def _steps_done(self):
        return self.epoch * len(self.batches) + self.batch

    @np.errstate(over="ignore", invalid="ignore")                # a NaN is told with the operation's name instead
    def step(self):
        """One batch: attack it if asked, predict, learn.  Raises FloatingPointError when the loss is not finite."""
        pictures, labels = self._next_batch()
        x = self._attacked(pictures, labels) if self.settings.epsilon else pictures
        logits = self.model(x)
        loss = cross_entropy(logits, labels, self.settings.label_smoothing)
        if not np.isfinite(loss.item()):
            self._explain_nonfinite(pictures, x, labels)
        self._learn(loss, len(labels))
        self._count(loss, logits, labels)
        self.batch += 1

    def _next_batch(self):
        """(pictures, labels) of the batch at this place, or this process's share of them, on the network's device."""
        pictures, labels = self.batches.batch(self.epoch, self.batch)
        share = slices(len(labels), processes.count())[processes.rank()]
        return to_device(pictures[share], self.model.device), to_device(labels[share], self.model.device)

    def _attacked(self, pictures, labels):
        settings, rng = self.settings, np.random.default_rng([self.settings.seed, self.epoch, self.batch, 1])
        return l2_attack(self.model, pictures, labels, settings.epsilon, settings.attack_step, settings.attack_steps, rng)

    def _learn(self, loss, pictures):
        self.optimizer.zero_grad()
        self._backward(loss, pictures)
        self.optimizer.lr = self.schedule(self._steps_done())
        self.optimizer.step()
        self.average.update()

    def _count(self, loss, logits, labels):
        truth = labels if labels.ndim == 1 else labels.argmax(axis=1)            # mixup makes probabilities
        hits = (logits.argmax(axis=1) == truth).sum()
        self.sums += loss.item() * len(labels), float(hits), len(labels)

    def _backward(self, loss, pictures):
        """The gradients of the mean loss over the whole batch, of which this process saw so many pictures."""
        if processes.count() == 1:
            loss.backward()
            return
        (loss * (pictures / float(processes.all_reduce(np.array(float(pictures)))))).backward()
        learned = [parameter for parameter in self.optimizer.parameters if parameter.grad is not None]
        for parameter, gradient in zip(learned, processes.all_reduce_many([parameter.grad for parameter in learned])):
            parameter.grad = gradient

    def _explain_nonfinite(self, pictures, attacked, labels):
        """Looks at the clean pictures first: once the network makes NaN of those, attacked ones are NaN themselves."""
        try:
            raise_first_nonfinite(lambda: [cross_entropy(self.model(x), labels) for x in (pictures, attacked)])
        except FloatingPointError as error:
            raise FloatingPointError(f"training stopped in epoch {self.epoch + 1}, batch {self.batch + 1}: {error}; "
                                     f"start anew with a lower learning rate than {self.settings.lr}") from None

    def _close_epoch(self, test, seconds, quiet):
        sums = processes.all_reduce(self.sums)
        loss, hits = sums[:2] / sums[2]
        row = {"epoch": self.epoch + 1, "loss": loss, "train": hits, "seconds": seconds}
        if test is not None and processes.rank() == 0:
            row["test"] = accuracy(self.averaged_model(), test)
        with finished_first():
            self.history.append(row)
            self.epoch, self.batch, self.sums = self.epoch + 1, 0, np.zeros(3)
        self.save()
        if not quiet and processes.rank() == 0:
            print(_line(row, self.settings.epochs), flush=True)

    def averaged_model(self):
        """A second network with the averaged weights: what is evaluated, and what is kept in the end."""
        twin = copy.deepcopy(self.model)
        twin.load_state_dict(dict(zip(twin.state_dict(), self.average.averaged())))
        return twin.eval()

    # ---- Kept on disk

    def save(self):
        """Write the checkpoint, whole or not at all."""
        Run(self, self.path).save()

    def resume(self):
        """Go on from the checkpoint.  What is raised where it cannot be, see Run.resume."""
        Run(self, self.path).resume()

    def described(self):
        """What the result depends on, besides what the pictures show: settings, and of which layers the network is made."""
        return {**dataclasses.asdict(self.settings), "pictures": len(self.batches.dataset),
                "network": {name: list(array.shape) for name, array in self.model.state_dict().items()},
                "dropout layers": list(_streams(self.model))}

    def state(self):
        """(arrays, place) of all that the next step depends on."""
        place = {"epoch": self.epoch, "batch": self.batch, "sums": self.sums.tolist(), "history": self.history,
                 "dropout": {name: [stream.seed, stream.offset] for name, stream in _streams(self.model).items()}}
        return joined_state(**self._owners()), place

    def restore(self, arrays, place):
        """Take on what `state` gave."""
        load_joined_state(arrays, **self._owners())
        for name, stream in _streams(self.model).items():
            stream.seed, stream.offset = place["dropout"][name]
        self.epoch, self.batch, self.history = place["epoch"], place["batch"], place["history"]
        self.sums = np.array(place["sums"])

    def _owners(self):
        return {"model": self.model, "optimizer": self.optimizer, "average": self.average}


def _streams(model):
    """{name: Philox} of all dropout layers."""
    return {name: module.rng for name, module in model.named_modules() if isinstance(module, Dropout)}


def _line(row, epochs):
    test = f"   test {row['test']:6.2%}" if "test" in row else ""
    return (f"epoch {row['epoch']:3d}/{epochs}   loss {row['loss']:.4f}   train {row['train']:6.2%}{test}"
            f"   {row['seconds']:5.0f} s")
