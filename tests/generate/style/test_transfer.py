"""Style transfer: feature maps, the recipe, the losses of a transfer and their gradients, sizes, masks, odd pictures."""
import os
import subprocess
import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.bench.timing import timing
from minicnn.generate.objectives import roughness
from minicnn.generate.style.memory import MOST_PAIRS, Plan, planned
from minicnn.generate.style.recipes import StyleRecipe, recipe_for
from minicnn.generate.style.regions import Region
from minicnn.generate.style.textures import LOSSES, moments
from minicnn.generate.style.tiles import Tiling
from minicnn.generate.style.transfer import Style, Transfer, stylize
from minicnn.inside.feature_maps import FeatureMaps
from minicnn.inside.watching import feature_maps
from minicnn.training.run import Run

NAMES = ["cat", "dog"]
STYLE, CONTENT = {"features.3": 1., "features.7": 2.}, {"features.7": 1.}


@pytest.fixture(scope="module")
def model():
    """A small network whose batch norms have seen something."""
    network = mc.models.build("small", NAMES, rng=3, widths=((6,), (8,)))
    rng = np.random.default_rng(0)
    for _, module in network.named_modules():
        if isinstance(module, mc.BatchNorm2d):
            module.weight.data[...] = rng.uniform(.5, 1.5, len(module.weight))
            module.bias.data[...] = rng.normal(0, .3, len(module.bias))
            module.running_mean[...] = rng.normal(0, .3, len(module.bias))
            module.running_var[...] = rng.uniform(.3, 1.5, len(module.bias))
    return network


def picture(seed, height=24, width=32):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def recipe(**changes):
    return StyleRecipe(**{"style": STYLE, "content": CONTENT, "first_steps": 6, "steps": 3, "smallest": 16, "margin": 4,
                          **changes})


# ---- Feature maps ------------------------------------------------------------------------------------

@pytest.mark.parametrize("layers", [["features.3"], ["features.7", "features.1"], ["features.2", "features.3", "features.4"],
                                    ["features.0"], ["features.5", "features.6"]])
def test_maps_are_those_of_the_network(model, layers):
    x = mc.tensor(picture(0)[None])
    maps = FeatureMaps(model, layers)(x)
    assert list(maps) == layers
    with model.frozen():
        for layer in layers:
            place = int(layer.rsplit(".", 1)[1])
            expected = mc.Sequential(*list(model.features)[:place + 1])
            with expected.frozen():
                np.testing.assert_allclose(maps[layer].data, expected(x).data, atol=2e-5)


def test_nothing_is_computed_beyond_the_last_layer_and_the_network_stays_as_it_was(model):
    maps, operations = FeatureMaps(model, ["features.3"]), []
    model.train()
    x = mc.tensor(picture(0)[None], requires_grad=True)
    with timing(lambda name, *_: operations.append(name)):
        y = maps(x)["features.3"]
    assert operations.count("conv2d") == sum(isinstance(layer, mc.Conv2d) for layer in list(model.features)[:4])
    y.sum().backward()
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert x.grad is not None and np.abs(x.grad).max() > 0


def test_with_and_without_kept_filters_it_is_the_same():
    x, found, model = picture(0)[None], [], mc.models.build("vgg11", rng=0, features_only=True)
    for keep_filters in (False, True):
        maps, leaf = FeatureMaps(model, ["features.7"], keep_filters=keep_filters), mc.tensor(x, requires_grad=True)
        y = maps(leaf)["features.7"]
        (y * y).sum().backward()
        found.append((y.data, leaf.grad))
    for plain, kept in zip(*found):
        np.testing.assert_allclose(plain, kept, atol=1e-4 * np.abs(plain).max())
    assert all(conv.weight.data.flags.writeable for conv in model.features if isinstance(conv, mc.Conv2d))


@pytest.mark.parametrize("pooling, of_two", [("max", max), ("average", lambda a, b: (a + b) / 2),
                                             ("l2", lambda a, b: ((a * a + b * b) / 2) ** .5)])
def test_other_poolings(pooling, of_two):
    model, x = mc.Sequential(mc.MaxPool2d((1, 2))), np.array([[.1, .7]]).reshape(1, 1, 2, 1)
    found = FeatureMaps(model, ["0"], pooling)(mc.tensor(x))["0"]
    assert found.item() == pytest.approx(of_two(.1, .7), abs=1e-6)


def test_layers_that_are_not_there_are_named(model):
    with pytest.raises(ValueError, match="no layer 'features.99'"):
        FeatureMaps(model, ["features.99"])
    with pytest.raises(ValueError, match=r"classifier.1 makes no feature maps, with rows and columns, but \(1, 2\)"):
        FeatureMaps(model, ["classifier.1"])(mc.tensor(picture(0)[None]))
    parts = mc.Sequential(mc.ReLU())
    parts.spare = mc.ReLU()
    with pytest.raises(ValueError, match="layer spare of this network is not used by it"):
        feature_maps(parts, mc.tensor(picture(0)[None]), {"spare": parts.spare})
    with pytest.raises(ValueError, match="pooling must be one of max, average, l2, not 'mean'"):
        FeatureMaps(model, ["features.3"], "mean")


# ---- Recipes -----------------------------------------------------------------------------------------

def test_sizes_grow_by_the_root_of_two_and_end_in_the_size():
    assert recipe(smallest=128).sides(256) == [128, 181, 256]
    assert recipe(smallest=128).sides(512) == [128, 181, 256, 362, 512]
    assert recipe(smallest=128).sides(100) == [100]
    assert recipe(growth=np.inf).sides(512) == [512]


def test_recipes_that_make_no_sense_are_refused():
    for changes, words in [({"loss": "l1"}, "loss must be one of gram, w2, relative, mean-std, sliced, histogram, not 'l1'"),
                           ({"start": "black"}, "start must be one of"), ({"dtype": "float16"}, "dtype must be one of"),
                           ({"optimizer": "sgd"}, "optimizer must be one of"),
                           ({"style": {"a": 0.}}, "at least one layer"), ({"style": {"a": -1.}}, "between 0 and"),
                           ({"content": {"a": np.nan}}, "between 0 and"), ({"style_weight": 1e13}, "between 0 and")]:
        with pytest.raises(ValueError, match=words):
            recipe(**changes)


# ---- What is made small --------------------------------------------------------------------------------

def transfer(model, **changes):
    return Transfer(picture(1), [Style(picture(2, 20, 20))], model, recipe(**changes), size=24)


@pytest.mark.parametrize("loss", ["w2", "relative", "gram", "mean-std", "sliced", "histogram"])
def test_gradient_of_the_whole_loss(model, loss):
    """In float64, through padding, network, statistics: against differences in 30 random directions."""
    run = transfer(model, loss=loss, smoothness=2., smallest=24)
    run.pixels = mc.tensor(run.pixels.data.astype(np.float64), requires_grad=True)
    rng, x = np.random.default_rng(0), run.pixels.data.copy()
    x += .01 * rng.standard_normal(x.shape)                      # away from the content, where its loss has no slope
    run.pixels.data[...] = x
    run.objective.loss(run.pixels).backward()
    gradient, h, rough = run.pixels.grad, 1e-6, 5e-3 if loss == "histogram" else 2e-3      # whose equal values have kinks
    for _ in range(30):
        direction = rng.standard_normal(x.shape)
        values = []
        for side in (h, -h):
            run.pixels.data[...] = x + side * direction
            values.append(run.objective.loss(run.pixels).item())
        assert (values[0] - values[1]) / (2 * h) == pytest.approx((gradient * direction).sum(), rel=rough, abs=1e-6)


def test_the_content_s_own_loss_is_only_that_of_the_style(model):
    with_content, without = (transfer(model, content_weight=weight) for weight in (5., 0.))
    assert with_content.objective.loss(with_content.pixels).item() == pytest.approx(without.objective.loss(without.pixels).item(), rel=1e-5)
    moved = mc.tensor(with_content.pixels.data * .9)
    assert with_content.objective.loss(moved).item() > 1.01 * without.objective.loss(moved).item()


def test_roughness():
    assert roughness(mc.tensor(np.array([0., 1, 1, 0]).reshape(1, 2, 2, 1))).item() == pytest.approx(2)
    assert roughness(mc.tensor(np.ones((1, 1, 5, 3)))).item() == 0
    mc.gradcheck(roughness, np.random.default_rng(0).random((2, 3, 4, 3)))
    mc.gradcheck(roughness, np.random.default_rng(0).random((2, 1, 4, 3)))


# ---- The run -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", ["w2", "relative", "gram", "mean-std", "sliced", "histogram"])
def test_the_loss_falls_and_the_picture_stays_a_picture(model, loss, optimizer):
    run = transfer(model, loss=loss, optimizer=optimizer, first_steps=15, smallest=24, average=0.)
    result = run.run()
    assert run.losses[-1] < .9 * run.losses[0]
    assert result.shape == (18, 24, 3) and result.dtype == np.float32 and result.min() >= 0 and result.max() <= 1


def test_it_grows_from_size_to_size(model):
    seen = []
    run = Transfer(picture(1, 30, 40), [Style(picture(2))], model, recipe(), size=32)
    result = run.run(lambda run: seen.append((run.pixels.shape[1:3], run.progress())))
    assert run.sides == [16, 23, 32] and result.shape == (24, 32, 3)
    assert [size for size, _ in seen] == 6 * [(12, 16)] + 3 * [(17, 23)] + 3 * [(24, 32)]
    assert [progress for _, progress in seen] == [(i, 12) for i in range(1, 13)]


def test_without_style_the_content_comes_out_of_noise(model):
    style = dict(style_weight=0., start="noise", first_steps=150, smallest=24, lr=.05, pooling="max",
                 content={"features.1": 1.}, margin=0)
    result = Transfer(picture(1), [Style(picture(2))], model, recipe(**style), size=24).run()
    expected = mc.resize(picture(1), 24, "lanczos")
    assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > .9


def test_same_seed_same_picture_and_noise_depends_on_it(model):
    one, same, other = (stylize(picture(1), picture(2), model, recipe(start="noise"), 24, seed) for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes() != other.tobytes()


def test_the_average_is_smoother_than_the_last_step(model):
    rough, smooth = (transfer(model, average=average, lr=.3, smallest=24).run() for average in (0., .9))
    assert np.square(np.diff(smooth, axis=0)).mean() < np.square(np.diff(rough, axis=0)).mean()


# ---- Several styles, regions ----------------------------------------------------------------------------

def test_weights_of_styles(model):
    """All weight on one of two is that one alone; equal weights are neither."""
    def result(*weights):
        styles = [Style(picture(seed, 20, 20), weight) for seed, weight in zip((2, 5), weights)]
        return Transfer(picture(1), styles, model, recipe(), 24).run()
    alone = Transfer(picture(1), [Style(picture(2, 20, 20))], model, recipe(), 24).run()
    np.testing.assert_allclose(result(1, 1e-9), alone, atol=1e-3)
    assert np.abs(result(1, 1) - alone).max() > 1e-2


def test_a_mask_keeps_a_style_in_its_region(model):
    """Two flat styles, a dark and a bright one, each wanted in one half."""
    left = np.zeros((10, 10), np.float32)
    left[:, :5] = 1
    styles = [Style(np.full((16, 16, 3), value, np.float32), mask=mask) for value, mask in ((.05, left), (.95, 1 - left))]
    grey = np.full((24, 24, 3), .5, np.float32) + .1 * picture(0, 24, 24)
    result = Transfer(grey, styles, model, recipe(content_weight=0., first_steps=40, style={"features.1": 1.}), 24).run()
    assert result[:, :10].mean() + .15 < result[:, -10:].mean()


def test_weights_weigh_the_regions(model):
    """The gradient is the mean of those of the regions, as their weights say; a region without a weight is none."""
    left = np.zeros((10, 10), np.float32)
    left[:, :5] = 1
    pictures = np.full((16, 16, 3), .05, np.float32), np.full((16, 16, 3), .95, np.float32)

    def gradient(*weights):
        styles = [Style(*parts) for parts in zip(pictures, weights, (left, 1 - left))]
        run = Transfer(picture(0), styles, model, recipe(content_weight=0.), 24)
        run.objective.loss(run.pixels).backward()
        return run.pixels.grad
    one, other = gradient(1, 0), gradient(0, 1)
    tolerance = 1e-5 * np.abs(one).max()
    for weights, share in (((2, 2), .5), ((3, 1), .75), ((1, 9), .1)):
        np.testing.assert_allclose(gradient(*weights), share * one + (1 - share) * other, atol=tolerance)
    assert np.abs(one - other).max() > 100 * tolerance


def test_a_black_mask_is_refused_and_a_dark_spot_is_only_a_spot(model):
    with pytest.raises(ValueError, match="mask of a style is black everywhere"):
        Style(picture(2), mask=np.zeros((8, 8)))
    spot = np.zeros((1000, 1000), np.float32)
    spot[0, 0] = 1 / 255
    share = Region(spot, {}).share((50, 50))
    assert share[0, 0] > .9 and share.sum() == pytest.approx(1) and (share[5:] == 0).all()


def test_each_region_is_nearer_to_its_own_style_than_to_the_other():
    """Stripes for the left half, blots for the right one; judged by a network that they were not drawn through."""
    blots, content = (np.clip(mc.resize(picture(seed, 8, 8), 64, "bicubic"), 0, 1) for seed in (5, 6))
    ramp = np.arange(64) % 8 / 7
    stripes = np.stack([np.tile(ramp, (64, 1)), np.full((64, 64), .3), np.tile(1 - ramp, (64, 1))], axis=2).astype(np.float32)
    left = np.zeros((64, 64), np.float32)
    left[:, :32] = 1
    robust, judge = mc.models.load("robust"), mc.models.load("standard")
    drawn = Transfer(content, [Style(stripes, mask=left), Style(blots, mask=1 - left)], robust,
                     recipe_for(robust, first_steps=40, content_weight=.01), 64).run()
    maps_of = FeatureMaps(judge, ["relu1_2", "relu2_2", "relu3_1"])
    make, distance = LOSSES["relative"]

    def far(part, style):
        seen, goal = maps_of(mc.tensor(part[None])), maps_of(mc.tensor(style[None]))
        return sum(distance(moments(seen[name]), make(moments(goal[name]).arrays())).item() for name in seen)
    for half, own, other in ((drawn[:, :28], stripes, blots), (drawn[:, 36:], blots, stripes)):
        assert far(half, own) < .8 * far(half, other)


def test_it_may_begin_with_any_picture(model):
    begun = np.full((10, 40, 3), .25, np.float32)
    run = Transfer(picture(1), [Style(picture(2, 20, 20))], model, recipe(), 24, start=begun)
    np.testing.assert_allclose(run.picture(), .25, atol=1e-6)
    run.run()
    assert np.abs(run.picture() - transfer(model).run()).max() > .05


def test_in_float64_nothing_is_narrower_and_the_picture_is_nearly_the_same(model):
    """A few steps: later, rounding decides where a maximum lies, and the two go ways of their own."""
    runs = [transfer(model, dtype=dtype, first_steps=3, smallest=24) for dtype in ("float32", "float64")]
    pictures = [run.run() for run in runs]
    assert [run.pixels.dtype.name for run in runs] == ["float32", "float64"]
    assert runs[1].pixels.grad.dtype == np.float64 and pictures[1].dtype == np.float32
    np.testing.assert_allclose(pictures[1], pictures[0], atol=2e-3)
    assert not np.array_equal(runs[0].losses, runs[1].losses)


# ---- Tiles ---------------------------------------------------------------------------------------------

def in_tiles(tile, content, styles, model, recipe):
    """A Transfer with tiles of this side, which `memory` could not ask for: they would be too small."""
    run = Transfer(content, styles, model, recipe)
    run.tiling = Tiling(run.tiling.feature_maps, recipe.margin, tile)
    run._begin_scale(None)
    return run


@pytest.mark.parametrize("size", [(80, 112), (85, 99), (64, 250)])
@pytest.mark.parametrize("loss", ["w2", "gram", "mean-std"])
def test_tiles_give_the_loss_and_the_gradient_of_the_whole(model, loss, size):
    """The rim is wider than what these layers see, so that only rounding is different."""
    mask = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    styles = [Style(picture(2, 70, 90)), Style(picture(3, 90, 40), 2.), Style(picture(4, 60, 60), mask=mask)]
    found = []
    for tile in (None, 48, 30):
        run = in_tiles(tile, picture(1, *size), styles, model, recipe(loss=loss, smoothness=1., smallest=250, margin=8))
        run.pixels.data[...] = picture(5, *size)[None]
        found.append((run.objective.loss_and_gradient(run.pixels).item(), run.pixels.grad))
    whole, *tiled = found
    for value, gradient in tiled:
        assert value == pytest.approx(whole[0], rel=1e-4)
        np.testing.assert_allclose(gradient, whole[1], atol=1e-3 * np.abs(whole[1]).max())


def test_a_picture_made_in_tiles_is_the_one_made_as_a_whole(model):
    whole, tiled = (in_tiles(tile, picture(1, 70, 100), [Style(picture(2))], model, recipe()).run() for tile in (None, 32))
    assert np.abs(whole - tiled).max() < 1 / 255


def test_what_tiles_cannot_do_is_said(model):
    with pytest.raises(ValueError, match="no tiles and no masks"):
        in_tiles(16, picture(1), [Style(picture(2))], model, recipe(loss="sliced"))
    odd = mc.models.build("small", NAMES, rng=0, widths=((4,),))
    odd.features = mc.Sequential(*list(odd.features)[:2], mc.MaxPool2d(3, 3), mc.ReLU())
    with pytest.raises(ValueError, match="tiles need maps that fit together"):
        in_tiles(16, picture(1), [Style(picture(2))], odd, recipe(style={"features.3": 1.}, content={"features.3": 1.}))


def plan(model, memory, height=200, width=300, size=None, style_scale=1., mask=None, **changes):
    maps = FeatureMaps(model, [*STYLE, *CONTENT])
    return planned(memory, maps, recipe(**changes), picture(1, height, width), [Style(picture(2), mask=mask)],
                   size or max(height, width), style_scale)


def least(model, **options):
    """MB that are asked for."""
    with pytest.raises(ValueError, match="1 MB are too little memory: .* needs at least .* MB; give it more") as error:
        plan(model, 1e6, **options)
    return int(str(error.value).split("at least ")[1].split()[0])


def test_memory_decides_the_tiles(model):
    assert plan(model, None) == Plan(None, MOST_PAIRS)
    small, large = (plan(model, memory).tile for memory in (1.5e8, 2e9))
    assert 64 <= small < large and small % 16 == large % 16 == 0


def test_the_least_memory_is_named_and_is_enough(model):
    options = [{}, {"dtype": "float64"}, {"optimizer": "lbfgs"}, {"size": 900}, {"style_scale": 8.}, {"height": 300},
               {"mask": np.ones((3, 3))}]
    needed = [least(model, **{"height": 200, **more}) for more in options]
    assert all(more > needed[0] for more in needed[1:])
    for more, memory in zip(options, needed):
        assert plan(model, memory * 1e6, **more).tile >= 64


def test_l_bfgs_keeps_as_much_of_its_past_as_there_is_room_for(model):
    pairs = [plan(model, memory, 1000, 1500, optimizer="lbfgs").pairs for memory in (6e8, 2e9, 2e10)]
    assert 3 <= pairs[0] < pairs[1] < pairs[2] == MOST_PAIRS
    run = Transfer(picture(1, 400, 600), [Style(picture(2))], model, recipe(optimizer="lbfgs", smallest=600), memory=2.6e8)
    assert run.optimizer.history == run.pairs < MOST_PAIRS


# ---- Odd pictures ----------------------------------------------------------------------------------------

ODD = {"grey": np.full((20, 20, 3), .5, np.float32), "black": np.zeros((20, 20, 3), np.float32),
       "one pixel wide": picture(0, 40, 1), "one pixel high": picture(0, 1, 40), "one pixel": picture(0, 1, 1)}


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", ["w2", "relative", "gram", "mean-std", "sliced", "histogram"])
@pytest.mark.parametrize("odd", ODD)
def test_odd_pictures_give_numbers(model, odd, loss, optimizer):
    for content, style in ((ODD[odd], picture(1)), (picture(1), ODD[odd]), (ODD[odd], ODD[odd])):
        run = Transfer(content, [Style(style)], model, recipe(loss=loss, smoothness=1., optimizer=optimizer), size=20)
        result = run.run()
        assert np.isfinite(result).all() and np.isfinite(run.losses).all()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", ["w2", "relative"])
def test_content_and_style_may_be_one_picture(model, loss, optimizer):
    run = Transfer(picture(1), [Style(picture(1))], model, recipe(loss=loss, optimizer=optimizer), size=32)
    assert np.isfinite(run.run()).all() and np.isfinite(run.losses).all()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", ["w2", "relative"])
def test_enormous_weights_work_or_are_refused(model, loss, optimizer):
    run = transfer(model, style_weight=1e12, content_weight=1e12, smoothness=1e12, start="noise", loss=loss,
                   optimizer=optimizer, smallest=24)
    assert np.isfinite(run.run()).all() and run.losses[-1] < run.losses[0]
    with pytest.raises(ValueError, match="weights must be between 0 and 1e.12"):
        transfer(model, style_weight=1e30)


def test_nan_stops_the_run_with_the_operation_that_made_it(model):
    run = transfer(model)
    run.pixels.data[0, 3, 3] = np.nan
    with pytest.raises(FloatingPointError, match="NaN or infinity"):
        run.step()


def test_nan_is_told_in_tiles_too(model):
    """Also one that only the style's loss makes, of features that are finite."""
    run = in_tiles(32, picture(1, 70, 100), [Style(picture(2))], model, recipe())
    run.pixels.data[0, 3, 3] = np.nan
    with np.errstate(invalid="ignore"), pytest.raises(FloatingPointError, match="pad: NaN or infinity"):
        run.step()
    run = in_tiles(32, picture(1, 70, 100), [Style(picture(2))], model, recipe(loss="gram"))
    run.objective.targets.regions[0].targets["features.3"][0, 0] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(FloatingPointError, match="mse_loss: NaN or infinity"):
        run.step()


# ---- Kept on disk ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("changes", [{}, {"average": 0.}, {"optimizer": "lbfgs", "smallest": 24, "first_steps": 8},
                                     {"start": "noise", "loss": "sliced"}, {"dtype": "float64"},
                                     {"dtype": "float64", "optimizer": "lbfgs", "start": "noise"}])
@pytest.mark.parametrize("stop", [2, 7, 9])
def test_a_resumed_run_ends_in_the_same_picture(model, tmp_path, changes, stop):
    """Stopped within the first size, after it, within the second."""
    def begin():
        return Transfer(picture(1), [Style(picture(2))], model, recipe(**changes), size=32)
    whole, run = begin(), begin()
    expected = whole.run()
    for _ in range(min(stop, whole.progress()[1] - 1)):
        run.step()
    Run(run, tmp_path / "run.ckpt").save()
    later = begin()
    Run(later, tmp_path / "run.ckpt").resume()
    assert later.progress() == run.progress() and later.picture().tobytes() == run.picture().tobytes()
    assert later.run().tobytes() == expected.tobytes()
    assert later.losses == whole.losses


def test_a_checkpoint_of_another_transfer_is_refused(model, tmp_path):
    path = tmp_path / "run.ckpt"
    Run(transfer(model), path).save()
    another = mc.models.build("small", NAMES, rng=4, widths=((6,), (8,)))
    for other, said in (
            (Transfer(picture(3), [Style(picture(2, 20, 20))], model, recipe(), 24), r"content was \w{16}, now \w{16}"),
            (Transfer(picture(1), [Style(picture(2, 20, 20), 2.)], model, recipe(), 24), r"styles was .* 1.0, None.*, now .* 2.0"),
            (transfer(model, lr=.5), "recipe.lr was 0.02, now 0.5"), (transfer(another), r"network was \w{12}, now \w{12}")):
        with pytest.raises(ValueError, match=rf"run.ckpt is a style transfer run with other settings \({said}.*\): resume with"):
            Run(other, path).resume()
    with pytest.raises(FileNotFoundError):
        Run(transfer(model), tmp_path / "none.ckpt").resume()


@pytest.mark.parametrize("loss", ["sliced", "histogram", "w2"])
def test_several_styles_count_by_their_weights(model, loss):
    """The heavier one is nearer, in a picture that has its pixels, whatever the size of the pictures."""
    one, two = picture(5), np.clip(picture(6, 40, 20) * .3 + .6, 0, 1)

    def away(weights):
        styles = [Style(style, weight) for style, weight in zip((one, two), weights)]
        transfer = Transfer(one, styles, model, recipe(loss=loss, content_weight=0., growth=np.inf))
        return transfer.objective.loss(mc.tensor(one[None])).item()
    assert away((9, 1)) < .8 * away((1, 1)) < .8 ** 2 * away((1, 9))


# ---- Two cores ---------------------------------------------------------------------------------------

@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's account of threads")
@pytest.mark.parametrize("loss", ["w2", "sliced"])
def test_the_threads_of_blas_stay_asleep(loss):
    """One product on them keeps a processor busy for a while, waiting for the next, and ours have to share what is left."""
    program = f"""
import glob, threading
import numpy as np
import minicnn as mc
from minicnn.generate.style import Style, StyleRecipe, Transfer
mc.threads(2)
layers = {{name: 1. for name in ("relu1_1", "relu2_1", "relu3_1", "relu4_1")}}
model = mc.models.build("vgg11", rng=0, features_only=True)
recipe = StyleRecipe(layers, {{"relu4_1": 1.}}, loss="{loss}", pooling="max", growth=np.inf, first_steps=100)
pictures = np.random.default_rng(0).random((2, 96, 96, 3), dtype=np.float32)
transfer = Transfer(pictures[0], [Style(pictures[1])], model, recipe)

def milliseconds(of_python):
    ids = {{str(thread.native_id) for thread in threading.enumerate()}}
    names = [name for name in glob.glob("/proc/self/task/*") if (name.rsplit("/")[-1] in ids) == of_python]
    return sum(int(open(name + "/schedstat").read().split()[0]) / 1e6 for name in names)

transfer.step()
before = milliseconds(True), milliseconds(False)
for _ in range(5):
    transfer.step()
print(milliseconds(True) - before[0], milliseconds(False) - before[1])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=300)
    ours, of_blas = map(float, done.stdout.split())
    assert of_blas < .05 * ours
