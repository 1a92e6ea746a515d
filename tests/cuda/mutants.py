"""Do the tests of the kernels find faults?  Plants one after another, runs the tests, and says what found it.

    python tests/cuda/mutants.py                  all of them, two at a time
    python tests/cuda/mutants.py pool "a row"     those whose file or name has one of these words

The faults stand in lists, mutants_*.py beside this file:

    MUTANTS = [("layers/pool/pool.cu", "value > maximum", "value >= maximum", "the last of equal maxima"), ...]
    SURVIVORS = {"the last of equal maxima": "why no test can see it"}

The second text takes the place of the first, which must occur once.  The tests are test_kernels_pool.py for pool.cu, else
those named after its folder.  A fault in the emulator's eyes counts as found, text that does not compile does not.
"""
import argparse
import importlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [path for path in (str(HERE), str(HERE.parents[1])) if path not in sys.path]

import sources  # noqa: E402 (found by the line above)

PLANTED = "MINICNN_MUTANT"                       # environment variable: the mutant of this process, as JSON
SECONDS = 300                                    # after which a mutant hangs
SURVIVED, NOT_COMPILED = "survived", "does not compile"
FOUND_BY = {  # what the output says: what found it
    "does not compile": ("CompileException", "CompileError"),
    "out of bounds": ("out of bounds",), "data race": ("data race",), "uninitialised memory": ("uninitialised",),
    "misaligned access": ("misaligned",), "barrier": ("barrier divergence", "deadlock"),
    "warp operation": ("warp operation", "shuffle:"), "wrong result": ("AssertionError", "assert ")}


@dataclass(frozen=True)
class Mutant:
    """A fault: in `file`, a name within minicnn, `new` stands for `old`."""
    file: str
    old: str
    new: str
    name: str

    def planted(self, text):
        """The text of the file with the fault.   Raises ValueError when `old` does not occur once."""
        if text.count(self.old) != 1 or self.old == self.new:
            raise ValueError(f"{self.name}: {self.old!r} occurs {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)

    def tests(self):
        """The file of tests that has to find it."""
        path = Path(self.file)
        for name in (path.stem, path.parent.name):
            if (HERE / f"test_kernels_{name}.py").exists():
                return HERE / f"test_kernels_{name}.py"
        raise ValueError(f"{self.name}: there is no test_kernels_{path.stem}.py, nor one of its folder's name")


def lists():
    """{name of the list: (its mutants, its survivors)}."""
    modules = [importlib.import_module(path.stem) for path in sorted(HERE.glob("mutants_*.py"))]
    return {module.__name__.removeprefix("mutants_"): ([Mutant(*row) for row in module.MUTANTS],
                                                       getattr(module, "SURVIVORS", {})) for module in modules}


def plant():
    """In the process of the tests: if there is a mutant, minicnn reads its kernels with it from now on."""
    if PLANTED not in os.environ:
        return
    from minicnn.core.kernels import Kernels
    mutant = Mutant(**json.loads(os.environ[PLANTED]))

    def text(kernels):
        read = kernels.path.read_text(encoding="utf-8")
        return mutant.planted(read) if sources.name_of(kernels.path) == mutant.file else read
    Kernels.text = property(text)


def outcome(mutant):
    """What found the mutant, or SURVIVED."""
    mutant.planted((sources.PACKAGE / mutant.file).read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "no:cacheprovider", str(mutant.tests())]
    environment = {**os.environ, PLANTED: json.dumps(asdict(mutant)), "COLUMNS": "400"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "hang"
    if done.returncode not in (0, 1) or not done.returncode and "passed" not in done.stdout:
        raise RuntimeError(f"{mutant.name}: the tests did not run\n{done.stdout}{done.stderr}")
    return found_by(done.stdout) if done.returncode else SURVIVED


def found_by(output):
    """The first of FOUND_BY that speaks in the errors of pytest's output."""
    errors = "\n".join(line for line in output.splitlines() if line.startswith("E ")) or output
    for name, words in FOUND_BY.items():
        if any(word in errors for word in words):
            return name
    return "another error"


def outcomes(mutants, jobs=2):
    """(mutant, what found it) one by one, as they come."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(mutants, pool.map(outcome, mutants))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only those whose file or name has one of these words")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    rows = lists().values()
    chosen = [mutant for mutants, _ in rows for mutant in mutants
              if not arguments.words or any(word in f"{mutant.file} {mutant.name}" for word in arguments.words)]
    excused = {name: why for _, survivors in rows for name, why in survivors.items()}
    print("| file | fault | found by |\n| --- | --- | --- |")
    counts, wrong = {}, 0
    for mutant, found in outcomes(chosen, arguments.jobs):
        counts[found] = counts.get(found, 0) + 1
        wrong += found == NOT_COMPILED or found == SURVIVED and mutant.name not in excused
        why = f" ({excused[mutant.name]})" if found == SURVIVED and mutant.name in excused else ""
        print(f"| `{mutant.file}` | {mutant.name} | {found}{why} |", flush=True)
    print(f"\n{len(chosen)} mutants: " + ", ".join(f"{count} {found}" for found, count in counts.items()))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
