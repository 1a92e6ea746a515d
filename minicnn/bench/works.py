"""Everything that can be timed, by name."""
from dataclasses import dataclass

from . import layers, steps, transfer


@dataclass(frozen=True)
class Work:
    """Something to time on both sides.

    ours, theirs   prepare it: ours() and theirs(side) return a function without arguments, one round
    multiply_adds  of its convolutions in one round, as they are defined; 0 where that says nothing
    compiles       whether torch.compile has anything to gain: a single convolution calls the same library as without
    elsewhere      it runs in processes of its own, whose memory nobody asks for
    """
    name: str
    ours: object
    theirs: object
    multiply_adds: int = 0
    compiles: bool = True
    elsewhere: bool = False


def select(names):
    """The works of these names, or with these beginnings; all of them without any.  Raises ValueError for an unknown one."""
    chosen = set() if names else set(WORKS)
    for name in names:
        meant = {name} if name in WORKS else {work for work in WORKS if work.startswith(name)}
        if not meant:
            raise ValueError(f"there is no work {name!r}; there are {', '.join(WORKS)}")
        chosen |= meant
    return [work for work in WORKS if work in chosen]


def _work(name, ours, theirs, *arguments, **about):
    """A work whose two sides take the same arguments."""
    return Work(name, lambda: ours(*arguments), lambda side: theirs(*arguments, side), **about)


def _layers():
    for C, K, size in layers.CONVOLUTIONS:
        for gradient in (False, True):
            name = f"conv-{C}-{K}-{size}-{'gradient' if gradient else 'forward'}"
            yield _work(name, layers.conv_ours, layers.conv_theirs, C, K, size, gradient,
                        multiply_adds=9 * C * K * size * size, compiles=False)
    for C, size in layers.POOLINGS:
        for kind in ("max", "avg"):
            yield _work(f"{kind}-pool-{C}-{size}", layers.pool_ours, layers.pool_theirs, C, size, kind)


def _steps():
    for size in (256, 512):
        yield _work(f"style-step-{size}", steps.style_ours, steps.style_theirs, size,
                    multiply_adds=steps.style_multiply_adds(size))
    yield _work("transfer-256", transfer.transfer_ours, transfer.transfer_theirs, 256, compiles=False)
    for name, widths, passes, adversarial in (("train-step", steps.ROBUST, 3, False),
                                              ("train-step-vgg11", steps.VGG11_SMALL, 3, False),
                                              ("adversarial-step", steps.ROBUST, 5, True)):
        yield _work(name, steps.train_ours, steps.train_theirs, widths, adversarial,
                    multiply_adds=steps.BATCH * steps.network_multiply_adds(widths, passes))
    for n in (1, 256):
        yield _work(f"forward-{n}", steps.forward_ours, steps.forward_theirs, n,
                    multiply_adds=n * steps.network_multiply_adds(steps.ROBUST, 1))
    yield Work("import", lambda: steps.importing("minicnn"), lambda side: steps.importing("torch"),
               compiles=False, elsewhere=True)


LAYERS = {work.name: work for work in _layers()}
STEPS = {work.name: work for work in _steps()}
WORKS = {**STEPS, **LAYERS}
