"""Is the fair comparison fair?  What its measures say of pictures that are known to be bad, and of one transfer."""
import numpy as np
import pareto
import pytest
from conftest import data_folder

SIDE = 128


@pytest.fixture(scope="module", autouse=True)
def small():
    """Pictures of 128 pixels, for this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pareto, "SIDE", SIDE)
        yield


@pytest.fixture(scope="module")
def judge():
    return pareto.Judge(pareto.network("squeezenet1-1", data_folder("weights")), pareto.SEEN["squeezenet1-1"])


@pytest.fixture(scope="module")
def found(judge, tmp_path_factory):
    """{name: (style, content, ghost)} of the controls, and of the default transfer with a few steps."""
    content, given, unseen = pareto.pair(data_folder("images"), "golden_gate.jpg", "the_scream.jpg")
    method = pareto.methods_of("robust", pareto.network("robust", None))["quality"]
    folder = tmp_path_factory.mktemp("pair")
    pareto.make(folder, content, given, {"ours": method})
    return pareto.judged(folder, [*pareto.controls(content, given), "ours"], judge, content, given, unseen)


def test_the_content_has_no_distance_from_itself_and_all_of_it_from_the_style(found):
    style, content, ghost = found["content"]
    assert style == pytest.approx(1, abs=.01) and content < 1e-3 and ghost < .2


def test_the_half_that_was_given_is_near_in_style_and_nothing_but_ghost(found):
    style, content, ghost = found["given half"]
    assert style < .8 and content > .5 and ghost > .95


def test_blends_win_by_style_and_content_alone_and_are_found_out_as_ghosts(found):
    """Why three measures, and not two."""
    styles, contents, ghosts = zip(*(found[name] for name in ("content", "blend 25%", "blend 50%", "blend 75%")))
    assert sorted(styles, reverse=True) == list(styles) and sorted(contents) == list(contents)
    assert ghosts[0] < .2 and min(ghosts[1:]) > .9
    assert found["blend 75%"][0] < found["histogram"][0]


def test_a_transfer_is_dominated_by_no_control_and_nearer_than_matched_colours(found):
    ours = found.pop("ours")
    assert not pareto.dominating(ours, found)
    assert ours[0] < found["histogram"][0] and ours[2] < .2


def test_dominance_wants_all_three_and_more_than_a_rounding():
    assert pareto.dominates((.5, .5, .1), (.6, .5, .1))
    assert not pareto.dominates((.5, .5, .1), (.502, .5, .1))
    assert not pareto.dominates((.5, .5, .2), (.6, .6, .1))
    assert pareto.dominating((.6, .6, .1), {"one": (.5, .5, .1), "other": (.5, .5, .3)}) == ["one"]


def test_a_ghost_is_found_also_when_it_is_shifted():
    rng = np.random.default_rng(0)
    content, painting = rng.random((2, 64, 64, 3)).astype(np.float32)
    assert pareto.ghost(content, content, painting) < .15
    assert pareto.ghost(.7 * content + .3 * np.roll(painting, (4, -6), axis=(0, 1)), content, painting) > .8
