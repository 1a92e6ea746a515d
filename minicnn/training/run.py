"""One run: whatever takes more than a few seconds is carried to its end here, with progress, Ctrl-C, checkpoints, resuming.

A work is any object that can be carried on step by step, stopped after any of them, and begun again there:

    kind                      a few words that say what it is: "training", "style transfer"
    step()                    the next step, whole
    progress()                (steps done, steps altogether)
    described()               {name: value} of all that the result depends on, also nested, in values that JSON has words
                              for: settings, hashes of pictures.  A checkpoint is refused where they differ
    state()                   ({name: array}, {name: value}): all that the next step depends on, arrays and the place
    restore(arrays, place)    take that on again

Nothing here knows what a step does.  A run that was killed and resumed ends in the same bits as an undisturbed one if a step
is a function of the state alone: its random numbers too, which therefore come from a seed and the number of the step.
"""
import contextlib
import signal
import sys
import threading
import time

from tqdm import tqdm

from ..core import processes
from ..files import checkpoint

FIRST_STEPS = 10                                 # are timed for the estimate


class Run:
    """A work on its way to the end.   Run(work, path).run()

    path           the checkpoint, None for none.  Of several processes (see core/processes.py) only the first writes it
    save_seconds   between two checkpoints
    save_steps     None, or a checkpoint after every so many steps instead
    title          of the progress bar, which is only shown in a terminal;  quiet: never
    figures        None, or a function that gives {name: text}, to stand beside the bar
    """

    def __init__(self, work, path=None, save_seconds=30, save_steps=None, title="", figures=None, quiet=False):
        self.work, self.path, self.save_seconds, self.save_steps = work, path, save_seconds, save_steps
        self.title, self.figures, self.quiet = title, figures, quiet
        self.saved = time.perf_counter()                         # when the last checkpoint was written

    def run(self, callback=None):
        """To the end.  Ctrl-C lets the step that is under way end, writes a checkpoint, and is a KeyboardInterrupt then.

        callback   None, or a function of the work, called after every step
        """
        with saved_when_stopped(self.save):
            self.advance(callback)

    def advance(self, callback=None, until=None):
        """As run, up to the step `until`; whoever calls it sees to Ctrl-C: see saved_when_stopped."""
        with self._bar() as bar:
            while not self._reached(until):
                self._step(bar)
                if callback:
                    callback(self.work)
                if self._due():
                    self.save()

    def save(self):
        """Write the checkpoint, whole or not at all."""
        if self.path is not None and processes.rank() == 0:
            checkpoint.save(self.path, self.work.kind, self.work.described(), *self.work.state())
        self.saved = time.perf_counter()

    def resume(self):
        """Go on from the checkpoint: the result is the one of an undisturbed run, bit for bit.

        Raises FileNotFoundError when there is none; ValueError, in one line that names the file, what it is and the mend,
        for one of another work or with other settings, a damaged one, and for what is no checkpoint.
        """
        arrays, place = checkpoint.read(self.path, self.work.kind, self.work.described())
        try:
            self.work.restore(arrays, place)
        except MemoryError:
            raise
        except Exception as error:               # whatever a damaged file leads to
            raise checkpoint.damaged(self.path, error) from error

    def _reached(self, until):
        done, total = self.work.progress()
        return done >= (total if until is None else until)

    def _step(self, bar):
        with finished_first():
            self.work.step()
        bar.update(self.work.progress()[0] - bar.n)
        if self.figures:
            bar.set_postfix(self.figures())

    def _bar(self):
        done, total = self.work.progress()
        return tqdm(initial=done, total=total, desc=self.title, unit="step", leave=False,
                    disable=self.quiet or processes.rank() > 0 or None)

    def _due(self):
        if self.save_steps is None:
            return time.perf_counter() - self.saved > self.save_seconds
        return self.work.progress()[0] % self.save_steps == 0


# ---- Ctrl-C --------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def saved_when_stopped(save):
    """Ctrl-C within it calls `save` before it stops."""
    try:
        yield
    except KeyboardInterrupt:
        save()
        raise


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


# ---- Time left -----------------------------------------------------------------------------------------------------------

class Estimate:
    """Tells after the first steps how long the rest will take: a callback of a run."""

    def __init__(self):
        self.calls, self.started = 0, None

    def __call__(self, work):
        self.calls += 1
        if self.calls == 1:                      # the first step is slower: it wakes threads and fills caches
            self.started = time.perf_counter()
        if self.calls == 1 + FIRST_STEPS and processes.rank() == 0:
            step, (done, total) = (time.perf_counter() - self.started) / FIRST_STEPS, work.progress()
            tqdm.write(f"{step:.2f} s a step: about {duration(step * (total - done))} for the rest")
            sys.stdout.flush()


def duration(seconds):
    """4000  ->  '1 h 7 min'"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
