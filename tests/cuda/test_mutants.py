"""The tests of the kernels find the faults that are planted: one of each list here, all of them with MINICNN_MUTANTS=all."""
import os

import emulator
import mutants
import pytest
import sources
from mutants import NOT_COMPILED, SURVIVED, Mutant

runs_kernels = pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))
ALL = [(mutant, survivors) for found, survivors in mutants.lists().values() for mutant in found]
FEW = [(found[0], survivors) for found, survivors in mutants.lists().values()]
CHOSEN = ALL if os.environ.get("MINICNN_MUTANTS") == "all" else FEW


@runs_kernels
@pytest.mark.parametrize("mutant, survivors", CHOSEN, ids=[mutant.name for mutant, _ in CHOSEN])
def test_a_fault_is_found(mutant, survivors):
    found = mutants.outcome(mutant)
    assert found != NOT_COMPILED and (found == SURVIVED) == (mutant.name in survivors), found


def test_there_are_some():
    assert len(ALL) > 40 and {mutant.file for mutant, _ in ALL} <= {sources.name_of(path) for path in sources.FILES}


@pytest.mark.parametrize("mutant", [mutant for mutant, _ in ALL], ids=[mutant.name for mutant, _ in ALL])
def test_a_fault_can_be_planted(mutant):
    text = (sources.PACKAGE / mutant.file).read_text(encoding="utf-8")
    assert mutant.planted(text) != text and mutant.tests().exists()


def test_every_survivor_is_one_mutant_and_has_an_excuse():
    for found, survivors in mutants.lists().values():
        names = [mutant.name for mutant in found]
        assert all(names.count(name) == 1 and why for name, why in survivors.items())


@runs_kernels
@pytest.mark.parametrize("new, found", [
    ("maximum = value; ", SURVIVED), ("maximum = 0;", "wrong result"), ("maximum = values;", NOT_COMPILED),
    ("maximum = x[2147483647];", "out of bounds")])
def test_the_outcome_of_a_fault(new, found):
    old = "maximum = value;\n                    which = i"
    assert mutants.outcome(Mutant("layers/pool/pool.cu", old, f"{new}\n which = i", "planted")) == found


def test_a_text_that_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="occurs 2 times"):
        Mutant("k.cu", "x", "y", "twice").planted("x x")


@pytest.mark.parametrize("output, found", [
    ("E   AssertionError: \nE  Not equal to tolerance", "wrong result"), ("E       assert 3 == 4", "wrong result"),
    ("E   RuntimeError: kernel k: data race: read of\nE  assert", "data race"), ("E  KeyError: 'a'", "another error")])
def test_what_found_it(output, found):
    assert mutants.found_by(output) == found
