"""The lessons are true: every block runs and prints what the lesson says.  And the runner notices when one is not."""
import ast
import importlib.util
import os
import re
import runpy
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TUTORIALS = Path(__file__).resolve().parents[2] / "tutorials"
PAGES = sorted(TUTORIALS.glob("*.md"))
LESSONS = [page for page in PAGES if page.name[:2].isdigit()]
SOLUTIONS = sorted((TUTORIALS / "solutions").glob("*.py"))


def load_runner():
    spec = importlib.util.spec_from_file_location("run_lessons", TUTORIALS / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = load_runner()


def skip_without_compiler(path):
    """What runs kernels needs the emulator, and that a C++ compiler."""
    if "import emulator" in path.read_text(encoding="utf-8") or "import standin" in path.read_text(encoding="utf-8"):
        emulator = pytest.importorskip("emulator", reason="a checkout has it")
        if emulator.missing():
            pytest.skip(emulator.missing())


@pytest.fixture(autouse=True)
def small_budget(monkeypatch):
    monkeypatch.setenv("MINICNN_LESSON_BUDGET", "small")


# ------------------------------------------------------------------------------------------------------- the lessons

@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_is_true(page, tmp_path):
    skip_without_compiler(page)
    run.run_lesson(page, tmp_path)
    for shown in TUTORIALS.glob("pictures/*.png"):
        if (tmp_path / shown.name).exists() and not shown.stem.endswith("-measured"):       # times are never the same
            assert_same_picture(tmp_path / shown.name, shown)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in run.read_blocks(TUTORIALS.parent / "README.md"):
        if block.language == "python":
            run.run_python(block, namespace)
    assert (tmp_path / "cats.png").is_file() and namespace["cats"].shape == (8, 96, 96, 3)
    assert namespace["dense"](np.ones((2, 3)), np.ones((3, 4)), np.ones(4)).shape == (2, 4)


def assert_same_picture(made, shown):
    """The picture which the lesson wrote is the one which it shows (another processor may round differently)."""
    with Image.open(made) as a, Image.open(shown) as b:
        difference = abs(np.asarray(a.convert("RGB"), int) - np.asarray(b.convert("RGB"), int))
    mend = f"python tutorials/run.py {shown.name[:2]} --pictures"
    assert difference.mean() < 1, f"{shown} is not what its lesson draws: {mend}"


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda solution: solution.stem)
def test_solution_holds(solution, tmp_path, monkeypatch):
    skip_without_compiler(solution)
    monkeypatch.chdir(tmp_path)
    assert isinstance(ast.parse(solution.read_text(encoding="utf-8")).body[-1], ast.Assert), "it must end in an assert"
    runpy.run_path(str(solution), run_name="__main__")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_lesson_has_its_parts(lesson):
    text = lesson.read_text(encoding="utf-8")
    assert any(solution.name[:2] == lesson.name[:2] for solution in SOLUTIONS), "no solutions to its exercises"
    assert "## Exercises" in text and "bug to plant" in text.lower()
    last = [block for block in run.read_blocks(lesson) if block.language == "python"][-1]
    assert "assert " in last.text, "its last block must assert the lesson's target"
    assert f"]({lesson.name})" in (TUTORIALS / "README.md").read_text(encoding="utf-8"), "the index does not list it"


# -------------------------------------------------------------------------------------------------------- the runner

def lesson_of(folder, text):
    """A lesson with this text, on the lines 1, 2, 3, ..."""
    path = folder / "lesson.md"
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def complaint(folder, text):
    """What the runner says of a lesson: '' if it is true, else 'lesson.md:LINE: ...'."""
    try:
        run.run_lesson(lesson_of(folder, text), folder)
        return ""
    except run.LessonError as error:
        return str(error).removeprefix(str(folder.resolve()) + os.sep)


def test_true_lesson_passes(tmp_path):
    assert complaint(tmp_path, """
        # One namespace, top to bottom

        ```python
        x = 2
        print(x)
        print("two\\n\\nlines")
        # -> two
        # ->
        # -> lines
        ```
        ```text
        this is no Python
        ```
        ```python
        for i in range(x):
            print(i, "of", x)
        # -> 0 of 2
        # -> 1 of 2
        ```
        """) == ""


@pytest.mark.parametrize("said", ["# -> 3", "# -> 2.0", "# ->", "# -> 2\n# -> 3", "# ~> two", "# ~> 2 ms"])
def test_wrong_output_fails_and_names_file_and_line(tmp_path, said):
    message = complaint(tmp_path, f"A wrong lesson\n\n```python\nx = 2\nprint(x)\n{said}\n```\n")
    assert message.startswith("lesson.md:6: the lesson says") and message.endswith("what came was\n    2")


def test_output_that_never_came_fails(tmp_path):
    assert complaint(tmp_path, "```python\nx = 2\n# -> 2\n```\n").endswith("what came was\n    (nothing)")


@pytest.mark.parametrize("said, true", [("# -> [0.1...", True), ("# -> ...", True), ("# -> [0.2...", False),
                                        ("# ~> [7.1   8e-9] 5 us", True), ("# ~> [7.1 8] 5 ms", False)])
def test_dots_and_measured_numbers(tmp_path, said, true):
    message = complaint(tmp_path, f"```python\nprint('[0.123 -4.5e+03]  12 us')\n{said}\n```\n")
    assert (message == "") == true


def test_dots_may_stand_for_lines(tmp_path):
    text = "```python\nprint('a', 'b', 'c', sep=chr(10))\n# -> ...\n# -> {}\n```\n"
    assert complaint(tmp_path, text.format("c")) == ""
    assert "the lesson says" in complaint(tmp_path, text.format("b"))


def test_expectation_within_a_statement_is_refused(tmp_path):
    message = complaint(tmp_path, "```python\nfor i in range(2):\n    print(i)\n    # -> 0\n    print(i)\n```\n")
    assert message.startswith("lesson.md:4:") and "middle of a statement" in message


def test_awaited_error(tmp_path):
    text = "```python raises={}\nx = []\n{}\n# -> {}\n```\n"
    assert complaint(tmp_path, text.format("IndexError", "x[3]", "list index out of range")) == ""
    assert complaint(tmp_path, text.format("LookupError", "x[3]", "...")) == ""
    wrong = {("IndexError", "x[3]", "all is well"): "lesson.md:4: the lesson says",
             ("KeyError", "x[3]", "..."): "lesson.md:3: IndexError",
             ("IndexError", "len(x)", "..."): "lesson.md:3: no IndexError was raised"}
    for case, beginning in wrong.items():
        assert complaint(tmp_path, text.format(*case)).startswith(beginning)
    early = "```python raises=IndexError\n[][3]\nx = 1\n[][3]\n```\n"
    assert complaint(tmp_path, early).startswith("lesson.md:2: IndexError")


def test_unexpected_error_names_both_lines(tmp_path):
    message = complaint(tmp_path, """
        ```python
        def reciprocal(x):
            return 1 / x
        ```
        later
        ```python
        reciprocal(0)
        ```
        """)
    assert message == "lesson.md:7: ZeroDivisionError (in line 3): division by zero"


@pytest.mark.parametrize("text, line", [
    ("```python\nx = 1\n", 1), ("```python\nx =\n```", 2), ("```python fast\n```", 1),
    ("```bash\nrm -r x\n```", 2), ("```bash no-run\nls\n```", 1), ("```python\nassert 1 > 2\n```", 2)])
def test_what_cannot_be_run_is_refused(tmp_path, text, line):
    assert complaint(tmp_path, text).startswith(f"lesson.md:{line}:")


def test_shell_lines(tmp_path):
    assert complaint(tmp_path, "```bash no-run it takes an hour\nminicnn no-such-command\n```\n") == ""
    assert complaint(tmp_path, "```bash\nminicnn --help\n# -> ...gradcheck...\n```\n") == ""
    assert complaint(tmp_path, "```bash\nminicnn --help\n# -> moon\n```\n").startswith("lesson.md:3: the lesson says")
    assert complaint(tmp_path, "```bash\nminicnn no-such-command\n```\n").startswith("lesson.md:2: exit code 2")


def test_lesson_runs_in_its_folder_with_a_small_budget(tmp_path):
    before = os.getcwd()
    assert complaint(tmp_path, """
        ```python
        import os
        from pathlib import Path
        Path("made.txt").write_text(os.environ["MINICNN_LESSON_BUDGET"])
        ```
        """) == ""
    assert (tmp_path / "made.txt").read_text() == "small" and os.getcwd() == before


def test_pictures_are_kept_by_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "TUTORIALS", tmp_path / "tutorials")
    (tmp_path / "tutorials" / "pictures").mkdir(parents=True)
    for name in ("07-cat.png", "08-dog.png", "other.png"):
        (tmp_path / name).write_bytes(b"")
    run.keep_pictures(Path("07-lesson.md"), tmp_path)
    assert [p.name for p in (tmp_path / "tutorials" / "pictures").iterdir()] == ["07-cat.png"]


def test_stale_picture_is_noticed(tmp_path):
    for name, value in (("made.png", 100), ("same.png", 100), ("stale.png", 110)):
        Image.new("L", (8, 8), value).save(tmp_path / name)
    assert_same_picture(tmp_path / "made.png", tmp_path / "same.png")
    with pytest.raises(AssertionError, match="not what its lesson draws"):
        assert_same_picture(tmp_path / "made.png", tmp_path / "stale.png")
