"""Learning: the training loop, its checkpoints, and the measures of a classifier.

A run is described by `TrainingSettings` and carried by `Training`.  Order, augmentation and attacks are functions of (seed,
epoch, batch), so a checkpoint needs no generator for them: weights, optimizer, average, the place in the run and where
each dropout layer's stream has got to are the whole state, and a resumed run ends in the same weights as an undisturbed
one.
"""
import contextlib
import copy
import dataclasses
import json
import signal
import threading
import time

import numpy as np
from tqdm import tqdm

from ..core import processes
from ..core.backend import to_device
from ..core.tensor import Tensor, raise_first_nonfinite
from ..core.threads import slices
from ..data import Batches, augment
from ..files import weights
from ..layers.dropout import Dropout
from ..layers.loss import cross_entropy
from ..optim import SGD, Adam, AdamW, Cosine, OneCycle, StepDecay, WeightAverage
from .attack import l2_attack
from .prediction import accuracy


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
    """One run: network, optimizer and place.   Training(model, data, settings, path).run(test)

    path is the checkpoint, written after every epoch and every `save_every` steps, atomically; None writes none.
    """

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
        try:
            while self.epoch < self.settings.epochs:
                self.run_epoch(test, quiet, callback)
                if after_epoch:
                    after_epoch(self)
        except KeyboardInterrupt:
            self.save()
            raise
        return self.history

    def run_epoch(self, test=None, quiet=False, callback=None):
        """The rest of the current epoch, then its line."""
        started, self.model = time.perf_counter(), self.model.train()
        bar = tqdm(self.batches.epoch(self.epoch, self.batch), initial=self.batch, total=len(self.batches), leave=False,
                   desc=f"epoch {self.epoch + 1}/{self.settings.epochs}", disable=quiet or processes.rank() > 0 or None)
        for x, labels in bar:
            share = slices(len(labels), processes.count())[processes.rank()]
            with finished_first():
                self.step(x[share], labels[share])
            bar.set_postfix(loss=f"{self.sums[0] / self.sums[2]:.3f}")
            if callback:
                callback(self)
            if self.batch % self.save_every == 0 and self.batch < len(self.batches):
                self.save()
        self._close_epoch(test, time.perf_counter() - started, quiet)

    @np.errstate(over="ignore", invalid="ignore")                # a NaN is told with the operation's name instead
    def step(self, pictures, labels):
        """One batch: attack it if asked, predict, learn.  Raises FloatingPointError when the loss is not finite."""
        settings, device = self.settings, self.model.device
        x = pictures = to_device(pictures, device)
        labels = to_device(labels, device)
        if settings.epsilon:
            rng = np.random.default_rng([settings.seed, self.epoch, self.batch, 1])
            x = l2_attack(self.model, x, labels, settings.epsilon, settings.attack_step, settings.attack_steps, rng)
        logits = self.model(x)
        loss = cross_entropy(logits, labels, settings.label_smoothing)
        if not np.isfinite(loss.item()):
            self._explain_nonfinite(pictures, x, labels)
        self.optimizer.zero_grad()
        self._backward(loss, len(labels))
        self.optimizer.lr = self.schedule(self.epoch * len(self.batches) + self.batch)
        self.optimizer.step()
        self.average.update()
        self.batch += 1
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

    def save(self):
        """Write the checkpoint, whole or not at all."""
        if self.path is None or processes.rank() > 0:
            return
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "average": self.average.state_dict()}
        arrays = {f"{part}.{name}": array for part, state in parts.items() for name, array in state.items()}
        place = {"epoch": self.epoch, "batch": self.batch, "sums": self.sums.tolist(), "history": self.history,
                 "dropout": {name: [stream.seed, stream.offset] for name, stream in _streams(self.model).items()},
                 "settings": self._described()}
        weights.save(arrays, self.path, {"training": place})

    def resume(self):
        """Go on from the checkpoint.

        Raises FileNotFoundError when there is none, ValueError when it was made with other settings, another number of
        pictures or another network.
        """
        arrays, metadata = weights.read(self.path)
        if "training" not in metadata:
            raise ValueError(f"{self.path} holds weights but no training run: it cannot be resumed")
        place = json.loads(metadata["training"])
        _require_same_settings(place["settings"], self._described(), self.path)
        try:
            self._restore(_parts(arrays), place.get("dropout", {}))
        except ValueError as error:
            raise ValueError(f"{self.path} is a run of another network, resume with the same one: {error}") from error
        self.epoch, self.batch, self.history = place["epoch"], place["batch"], place["history"]
        self.sums = np.array(place["sums"])

    def _described(self):
        return {**dataclasses.asdict(self.settings), "pictures": len(self.batches.dataset)}

    def _restore(self, part, places):
        self.model.load_state_dict(part["model"])
        self.optimizer.load_state_dict(part["optimizer"])
        self.average.load_state_dict(part["average"])
        streams = _streams(self.model)
        if streams.keys() != places.keys():
            raise ValueError(f"its dropout layers are {list(places)}, those of this network {list(streams)}")
        for name, stream in streams.items():
            stream.seed, stream.offset = places[name]


@contextlib.contextmanager
def finished_first():
    """Within it Ctrl-C waits for the end of the block: a step that is half done could not be resumed exactly."""
    if threading.current_thread() is not threading.main_thread():
        yield                                    # only the main thread hears Ctrl-C, or may change what it does
        return
    asked = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        signal.raise_signal(signal.SIGINT)


def _streams(model):
    """{name: Philox} of all dropout layers."""
    return {name: module.rng for name, module in model.named_modules() if isinstance(module, Dropout)}


def _parts(arrays):
    """{"model.x": a, "optimizer.y": b}  ->  {"model": {"x": a}, "optimizer": {"y": b}, "average": {}}"""
    parts = {"model": {}, "optimizer": {}, "average": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = array
    return parts


def _require_same_settings(saved, wanted, path):
    different = [f"{name} was {saved[name]}, now {wanted.get(name)}"
                 for name in saved if saved[name] != wanted.get(name)]
    if different:
        raise ValueError(f"{path} is a run with other settings ({'; '.join(different)}): resume with the same ones, "
                         "or start anew under another name")


def _line(row, epochs):
    test = f"   test {row['test']:6.2%}" if "test" in row else ""
    return (f"epoch {row['epoch']:3d}/{epochs}   loss {row['loss']:.4f}   train {row['train']:6.2%}{test}"
            f"   {row['seconds']:5.0f} s")
