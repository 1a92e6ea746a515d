"""The style loss: its terms and their weights, and that a transfer, its tiles and the one-pass network have the same one."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.generate.style.loss import content_loss, content_scales, smoothness_loss, style_loss
from minicnn.generate.style.objective import Objective
from minicnn.generate.style.one_pass import StylizerSettings, StylizerTraining
from minicnn.generate.style.recipes import StyleRecipe
from minicnn.generate.style.regions import Region, gathered, masks_and_styles
from minicnn.generate.style.targets import as_batch, of_side, style_targets
from minicnn.generate.style.textures import LOSSES, Moments, axes, distance_of, moments, projected, sliced_loss
from minicnn.generate.style.tiles import Tiling
from minicnn.generate.style.transfer import Style
from minicnn.inside.feature_maps import FeatureMaps

LAYERS = {"relu1_1": 3., "relu2_1": 1.}


def recipe(**changes):
    return StyleRecipe(**{"style": LAYERS, "content": LAYERS, "content_weight": .5, "style_weight": 2., "margin": 4, **changes})


def features(seed, height=6, width=8, count=1):
    """{layer: an array (N, H, W, C)}, the second layer with more channels and larger numbers."""
    rng = np.random.default_rng(seed)
    return {"relu1_1": rng.random((count, height, width, 3)), "relu2_1": 5 * rng.random((count, height // 2, width // 2, 4))}


def tensors(arrays):
    return {layer: mc.tensor(y) for layer, y in arrays.items()}


# ---- Content -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("relative", [True, False])
def test_content_is_the_weighed_mean_of_squares(relative):
    drawn, target, settings = features(0), features(1), recipe(relative_content=relative)
    expected = sum(.5 * weight * np.square(drawn[layer] - target[layer]).mean()
                   / (np.square(target[layer]).mean() if relative else 1) for layer, weight in LAYERS.items())
    scales = content_scales(settings, [target])
    assert content_loss(tensors(drawn), target, scales).item() == pytest.approx(expected, rel=1e-6)
    assert content_loss(tensors(target), target, scales).item() == 0


def test_the_content_of_tiles_adds_up_to_that_of_the_whole():
    drawn, target, settings = features(0), features(1), recipe()
    parts = [[{layer: y[:, :, half * y.shape[2] // 2:(half + 1) * y.shape[2] // 2] for layer, y in arrays.items()}
              for half in (0, 1)] for arrays in (drawn, target)]
    scales = content_scales(settings, parts[1])
    assert scales == pytest.approx(content_scales(settings, [target]))
    total = sum(content_loss(tensors(here), there, scales).item() for here, there in zip(*parts))
    assert total == pytest.approx(content_loss(tensors(drawn), target, scales).item())


# ---- Style -------------------------------------------------------------------------------------------------------------

def of_regions(count, loss="gram"):
    """(statistics, [Region, ...]) of so many regions, of weights 1, 2, ..."""
    statistics = {(k, layer): moments(mc.tensor(y)) for k in range(count) for layer, y in features(k).items()}
    make = LOSSES[loss][0]
    return statistics, [Region(None, {layer: make(moments(y).arrays()) for layer, y in features(9 + k).items()}, 1. + k)
                        for k in range(count)]


@pytest.mark.parametrize("loss", LOSSES)
def test_style_is_the_mean_over_layers_and_regions_as_their_weights_say(loss):
    statistics, regions = of_regions(2, loss)
    expected = sum(2. * LAYERS[layer] / 4 * (1 + k) / 3 * LOSSES[loss][1](found, regions[k].targets[layer]).item()
                   for (k, layer), found in statistics.items())
    assert style_loss(recipe(loss=loss), statistics, regions).item() == pytest.approx(expected)


def test_only_the_proportions_of_the_weights_count():
    statistics, regions = of_regions(2)
    heavier = [Region(None, region.targets, 10 * region.weight) for region in regions]
    tenfold = recipe(loss="gram", style={layer: 10 * weight for layer, weight in LAYERS.items()})
    expected = style_loss(recipe(loss="gram"), statistics, regions).item()
    assert style_loss(tenfold, statistics, heavier).item() == pytest.approx(expected)


def test_a_loss_that_sorts_takes_the_features_themselves():
    x, style = features(0), features(1)
    regions = [Region(None, {layer: (axes(y.shape[-1]), projected(y, axes(y.shape[-1]))) for layer, y in style.items()})]
    found = style_loss(recipe(loss="histogram"), {(0, layer): y for layer, y in tensors(x).items()}, regions)
    expected = sum(2. * LAYERS[layer] / 4 * sliced_loss(mc.tensor(y), *regions[0].targets[layer]).item() for layer, y in x.items())
    assert found.item() == pytest.approx(expected)
    assert distance_of("gram") is LOSSES["gram"][1]


def test_gradients():
    """Of all terms, with respect to the features and to the pictures."""
    target, (_, regions) = features(1), of_regions(1, "w2")
    scales, settings = content_scales(recipe(), [target]), recipe(loss="w2", smoothness=3.)

    def all_terms(one, two):
        here = dict(zip(LAYERS, (one, two)))
        statistics = {(0, layer): moments(y) for layer, y in here.items()}
        return content_loss(here, target, scales) + style_loss(settings, statistics, regions)
    mc.gradcheck(all_terms, *features(0).values())
    mc.gradcheck(lambda x: smoothness_loss(settings, x), np.random.default_rng(0).random((2, 5, 4, 3)))
    x = np.arange(12.).reshape(1, 2, 2, 3)                       # 3 across and 6 down
    assert smoothness_loss(settings, mc.tensor(x)).item() == 3 * (9 + 36)


# ---- Pictures, tiles, batches -----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def model():
    return mc.models.build("small", ["cat", "dog"], rng=0, widths=((6,), (8,)))


def picture(seed, height=40, width=32):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_one_pass_network_learns_with_the_loss_of_a_transfer(model, loss, tmp_path):
    """Of a batch it is the mean of those of its pictures, each as a transfer would have it."""
    mc.write_image(picture(1), tmp_path / "photo.png")
    settings = recipe(loss=loss, relative_content=False, smoothness=1.)
    training = StylizerTraining(picture(2), [tmp_path / "photo.png"], model, settings,
                                StylizerSettings(side=32, width=4, blocks=1))
    x = training.crops.batch(0, 3)
    drawn = training.network(x).data
    alone = [Objective(training.tiling, settings, one, [Style(picture(2))], 3 * 32).loss(mc.tensor(y[None])).item()
             for one, y in zip(x, drawn)]
    assert training.loss(x).item() == pytest.approx(np.mean(alone), rel=1e-4)


def test_moments_are_gathered_tile_by_tile(model):
    maps, settings = FeatureMaps(model, list(LAYERS)), recipe(margin=4)
    mask = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    regions, x = [Region(), Region(mask)], as_batch(picture(3, 90, 70), Tiling(maps, 4), settings)
    whole, tiled = (gathered(Tiling(maps, 4, side), x, regions, settings) for side in (None, 32))
    assert whole.keys() == tiled.keys() == {(k, layer) for k in (0, 1) for layer in LAYERS}
    for key, expected in whole.items():
        assert isinstance(tiled[key], Moments)
        np.testing.assert_allclose(tiled[key].mean, expected.mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(tiled[key].products, expected.products, rtol=1e-3, atol=1e-5)


def test_the_target_of_several_styles_is_their_mean_as_their_weights_say(model):
    """For Gram matrices, which are means over pixels themselves."""
    settings = recipe(loss="gram")
    tiling = Tiling(FeatureMaps(model, list(LAYERS)), 4)
    one, other = (as_batch(picture(seed), tiling, settings) for seed in (4, 5))
    alone = [style_targets(tiling, settings, [x], [1.]) for x in (one, other)]
    together = style_targets(tiling, settings, iter([one, other]), [3., 1.])
    for layer in LAYERS:
        expected = .75 * alone[0][layer] + .25 * alone[1][layer]
        np.testing.assert_allclose(together[layer], expected, rtol=1e-5, atol=1e-7)
        assert np.abs(alone[0][layer] - alone[1][layer]).max() > 1e-3


def test_regions_by_their_masks():
    mask = np.ones((2, 2))
    everywhere, here, weightless = Style(picture(0)), Style(picture(1), 2., mask), Style(picture(2), 0.)
    assert masks_and_styles([here, everywhere, weightless, everywhere]) == [(None, [everywhere, everywhere]), (mask, [here])]
    assert masks_and_styles([here]) == [(mask, [here])]
    assert of_side(picture(0), 20).shape == (20, 16, 3) and of_side(picture(0), .2).shape == (1, 1, 3)
