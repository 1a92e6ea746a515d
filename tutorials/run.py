"""Run a lesson: its blocks of Python, top to bottom, and compare what they print with what the lesson says they print.

    python tutorials/run.py 02                 # a lesson by its number (or a path); a wrong line is named file:line
    python tutorials/run.py 02 --pictures      # and keep the pictures which it writes, in tutorials/pictures

What a lesson may say:

    ```python                    run, one namespace for the whole lesson, in a temporary working directory
    ```python raises=ValueError  the block's last statement must raise that error
    ```bash                      lines `minicnn ...` are run through the command line and must succeed
    ```bash no-run REASON        not run; so are all other languages

    print(1 / 2)
    # -> 0.5                     exactly what the statement above printed (or the message of the error it raised)
    # -> 0.5...                  `...` stands for anything
    # ~> took 12 ms              measured on somebody's machine: every number in it stands for any number

Lessons that train may read the environment variable MINICNN_LESSON_BUDGET: the tests set it to "small".
"""
import argparse
import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

TUTORIALS = Path(__file__).resolve().parent
TOOLS = str(TUTORIALS.parent / "tests" / "cuda")             # lesson 10 works with them
FENCE = re.compile(r"```(\w*)\s*(.*)$")
EXPECTATION = re.compile(r"\s*# (->|~>) ?(.*)$")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


class LessonError(AssertionError):
    """A lesson does not do what it says; the message begins with file:line."""


# ------------------------------------------------------------------------------------------------ what is in a lesson

@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, and the line of the file on which the text begins."""
    path: Path
    language: str
    options: str
    line: int
    text: str

    @property
    def lines(self):
        """Pairs (line of the file, text)."""
        return list(enumerate(self.text.splitlines(), start=self.line))

    def fail(self, line, message):
        """Raise a LessonError that points to the file and line."""
        raise LessonError(f"{self.path}:{line}: {message}")


def read_blocks(path):
    """All fenced blocks of a Markdown file, in order.  Raises LessonError for one that is never closed."""
    blocks, start = [], None
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = i
        elif start is not None and line.strip() == "```":
            language, options = FENCE.match(lines[start]).groups()
            blocks.append(Block(path, language, options.strip(), start + 2, "\n".join(lines[start + 1:i])))
            start = None
    if start is not None:
        raise LessonError(f"{path}:{start + 1}: this block is never closed")
    return blocks


def expectations(block, after, before):
    """The `# ->` and `# ~>` lines of the block between two lines of the file: [(line, arrow, text), ...]."""
    found = [(line, EXPECTATION.match(text)) for line, text in block.lines if after < line < before]
    return [(line, match[1], match[2].rstrip()) for line, match in found if match]


# ----------------------------------------------------------------------------------------------------- what is run

def run_lesson(path, folder):
    """Run the lesson at `path` with `folder`, and in it the lessons' pictures, as working directory.

    Raises LessonError where it is not true.
    """
    path, module = Path(path).resolve(), types.ModuleType("lesson")
    if TOOLS not in sys.path:
        sys.path.append(TOOLS)
    shutil.copytree(TUTORIALS / "pictures", Path(folder) / "pictures", dirs_exist_ok=True)
    with _working_in(folder), _registered(module):
        for block in read_blocks(path):
            if block.language == "python":
                run_python(block, module.__dict__)
            elif block.language == "bash":
                run_bash(block)


@contextlib.contextmanager
def _working_in(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _registered(module):
    """While the lesson runs its module can be found, as dataclasses and others expect."""
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


def run_python(block, namespace):
    """Run the statements one by one, and compare what each printed with the expectations that follow it."""
    awaited = re.fullmatch(r"(?:raises=(\w+))?", block.options) or \
        block.fail(block.line - 1, f"a python block takes only raises=ErrorName, not {block.options!r}")
    statements = _statements(block)
    ends = [statement.lineno for statement in statements[1:]] + [block.line + len(block.text.splitlines())]
    _forbid_stray_expectations(block, statements, ends)
    for statement, end in zip(statements, ends):
        expected = expectations(block, statement.end_lineno, end)
        last = statement is statements[-1]
        printed = _run_statement(block, statement, namespace, awaited[1] if last else None)
        if expected:
            compare(block, expected, printed)


def _statements(block):
    """The syntax trees of the block's statements, with the line numbers of the file."""
    try:
        return ast.parse("\n" * (block.line - 1) + block.text, str(block.path)).body
    except SyntaxError as error:
        block.fail(error.lineno, f"SyntaxError: {error.msg}")


def _forbid_stray_expectations(block, statements, ends):
    """An expectation within a statement (a loop, a function) would never be compared."""
    after = {line for s, end in zip(statements, ends) for line, _, _ in expectations(block, s.end_lineno, end)}
    for line, _, _ in expectations(block, 0, 10 ** 9):
        if line not in after:
            block.fail(line, "this expected output stands in the middle of a statement; put it after its end")


def _run_statement(block, statement, namespace, awaited):
    """What the statement printed; if an error is awaited, that error's message."""
    code = compile(ast.Module([statement], []), str(block.path), "exec")
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            exec(code, namespace)
    except Exception as error:
        if awaited in [kind.__name__ for kind in type(error).__mro__]:
            return str(error)
        raise LessonError(_where_it_broke(block, statement, error)) from error
    if awaited:
        block.fail(statement.lineno, f"no {awaited} was raised")
    return output.getvalue()


def _where_it_broke(block, statement, error):
    """The statement that failed and, where that is another one, the innermost line of the lesson that was running."""
    frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(block.path)]
    within = f" (in line {frames[-1]})" if frames and frames[-1] != statement.lineno else ""
    return f"{block.path}:{statement.lineno}: {type(error).__name__}{within}: {error}"


def run_bash(block):
    """Run the lines `minicnn ...` of the block; expectations are compared with what the line above printed."""
    if re.match(r"no-run\s+\S", block.options):
        return
    if block.options:
        block.fail(block.line - 1, f"a bash block takes only `no-run REASON`, not {block.options!r}")
    commands = [(line, text) for line, text in block.lines if text.strip() and not text.startswith("#")]
    ends = [line for line, _ in commands[1:]] + [block.line + len(block.text.splitlines())]
    for (line, command), end in zip(commands, ends):
        expected = expectations(block, line, end)
        printed = _run_command(block, line, command)
        if expected:
            compare(block, expected, printed)


def _run_command(block, line, command):
    program, *arguments = shlex.split(command, comments=True)
    if program != "minicnn":
        block.fail(line, f"only `minicnn ...` can be run here, not {command!r}: mark the block ```bash no-run REASON")
    paths = [str(TUTORIALS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run([sys.executable, "-m", "minicnn", *arguments], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    if done.returncode != 0:
        block.fail(line, f"exit code {done.returncode} of {command!r}:\n{done.stdout}{done.stderr}")
    return done.stdout


# --------------------------------------------------------------------------------------------------- what is compared

def compare(block, expected, printed):
    """Raise LessonError unless the printed text is what the expected lines say."""
    printed = [line.rstrip() for line in printed.rstrip("\n").splitlines()]
    pattern = "\n".join(_pattern(arrow, text) for _, arrow, text in expected)
    if not re.fullmatch(pattern, "\n".join(printed), re.DOTALL):
        says = "\n".join(f"    {text}" for _, _, text in expected)
        got = "\n".join(f"    {line}" for line in printed) or "    (nothing)"
        block.fail(expected[0][0], f"the lesson says\n{says}\nbut what came was\n{got}")


def _pattern(arrow, text):
    """The regular expression of one expected line."""
    if arrow == "->":
        return ".*?".join(map(re.escape, text.split("...")))
    words = [re.escape(NUMBER.sub("0", word)).replace("0", NUMBER.pattern) for word in text.split()]
    return " *" + " +".join(words)


# --------------------------------------------------------------------------------------------------------- by hand

def main():
    parser = argparse.ArgumentParser(description="Run a lesson and compare what it prints with what it says.")
    parser.add_argument("lesson", help="its number, such as 02, or its path")
    parser.add_argument("--pictures", action="store_true", help="keep the pictures it writes, in tutorials/pictures")
    options = parser.parse_args()
    named = options.lesson.endswith(".md")
    lessons = [Path(options.lesson)] if named else sorted(TUTORIALS.glob(options.lesson + "-*.md"))
    if len(lessons) != 1 or not lessons[0].is_file():
        parser.error(f"there is no lesson {options.lesson!r}")
    sys.path.insert(0, str(TUTORIALS.parent))                # the minicnn of this checkout, installed or not
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_lesson(lessons[0], folder)
        except LessonError as error:
            sys.exit(str(error))
        if options.pictures:
            keep_pictures(lessons[0], folder)
    print(f"{lessons[0].name}: every block ran and printed what the lesson says")


def keep_pictures(lesson, folder):
    """Copy the pictures that bear the lesson's number, 02-*.png, into tutorials/pictures."""
    for picture in sorted(Path(folder).glob(lesson.name[:2] + "-*")):
        shutil.copyfile(picture, TUTORIALS / "pictures" / picture.name)
        print(f"tutorials/pictures/{picture.name}")


if __name__ == "__main__":
    main()
