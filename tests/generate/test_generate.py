"""A picture as the parameter: transforms, objectives, and the loop that runs a classifier in reverse."""
import numpy as np
import pytest

import minicnn as mc
from conftest import data_folder
from minicnn.generate import (Box, InversionRecipe, Views, batch_norm_prior, batch_norms, channel_moments, excite, invert,
                              jitter, layer_named, observe, roll, total_variation, unit_activation, view)
from minicnn.generate.features import activations
from minicnn.generate.inversion import NO_PRIOR, PictureDescent

NAMES = ["cat", "dog", "ship"]


@pytest.fixture(scope="module")
def model():
    """A small untrained network with statistics of pictures to start from."""
    network = mc.models.build("small", NAMES, rng=3, widths=((8,), (8,)))
    rng = np.random.default_rng(0)
    pictures = mc.data.Dataset(rng.integers(0, 256, (120, 32, 32, 3), dtype=np.uint8), np.arange(120) % 3, NAMES)
    network.start = mc.models.ClassGaussian(3, rank=20).fit(pictures)
    return network


def quick(**changes):
    return InversionRecipe(**{"steps": 10, **changes})


# ------------------------------------------------------------------------------------------------------------ the parts

def test_total_variation_of_known_pictures():
    steps = np.zeros((1, 2, 3, 1), np.float32)
    steps[0, :, 1:] = 1.                                         # one jump of 1 in each of two rows, of 2 x 2 neighbours
    assert total_variation(mc.tensor(steps)).item() == pytest.approx(.5)
    assert total_variation(mc.tensor(np.full((2, 5, 5, 3), .3, np.float32))).item() == 0


def test_gradients_of_total_variation_and_roll():
    x = np.random.default_rng(1).standard_normal((2, 4, 5, 3))
    mc.gradcheck(total_variation, x)
    mc.gradcheck(lambda x: roll(x, 3, -2), x)


def test_roll_moves_down_and_right():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 1, 1] = 1
    assert roll(x, 1, 2).data[0, 2, 3, 0] == 1


def test_jitter_reaches_every_offset_and_no_other():
    x, rng = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1), np.random.default_rng(0)
    corners = {float(jitter(x, 1, rng).data[0, 0, 0, 0]) for _ in range(200)}
    assert corners == {float(x[0, r, c, 0]) for r in (-1, 0, 1) for c in (-1, 0, 1)}


def test_picture_descent_keeps_length_ball_and_range():
    rng = np.random.default_rng(2)
    picture = mc.tensor(rng.uniform(.4, .6, (3, 8, 8, 3)).astype(np.float32), requires_grad=True)
    start = picture.data.copy()
    optimizer = PictureDescent([picture], lr=.2, radius=.5)
    picture.grad = rng.standard_normal(picture.shape).astype(np.float32) * np.array([1e-6, 1, 1e6], "f")[:, None, None, None]
    optimizer.step()
    lengths = np.linalg.norm((picture.data - start).reshape(3, -1), axis=1)
    assert lengths == pytest.approx(.2, rel=1e-4)                # whatever the length of the gradient
    for _ in range(5):
        optimizer.step()
    lengths = np.linalg.norm((picture.data - start).reshape(3, -1), axis=1)
    assert lengths == pytest.approx(.5, rel=1e-4)                # and then held by the ball
    for _ in range(200):
        optimizer.radius = 1e3
        optimizer.step()
    assert picture.data.min() == 0 and picture.data.max() == 1


# ------------------------------------------------------------------------------------------------------------- the loop

def test_the_network_is_more_and_more_convinced(model):
    """The sign of the step is wrong in more than one public repository."""
    labels, seen = np.array([0, 1, 2]), []

    def callback(step, pictures):
        seen.append(mc.log_softmax(mc.predict(model, pictures)).data[np.arange(3), labels].mean())
    invert(model, labels, recipe=quick(steps=20, smoothness=0., jitter=0), start="noise", callback=callback)
    assert len(seen) == 20 and seen[-1] > seen[10] > seen[0]


def test_shape_dtype_range_and_ball(model):
    start = np.full((32, 32, 3), .5, np.float32)
    pictures = invert(model, "dog", count=2, start=start, recipe=quick(radius=1.))
    assert pictures.shape == (2, 32, 32, 3) and pictures.dtype == np.float32
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert np.linalg.norm((pictures - start).reshape(2, -1), axis=1).max() <= 1 + 1e-4


def test_same_seed_same_pictures_and_another_seed_others(model):
    one, same, other = (invert(model, "cat", count=2, seed=seed, recipe=quick()) for seed in (5, 5, 6))
    assert one.tobytes() == same.tobytes()
    assert np.abs(one - other).max() > .05
    assert np.abs(one[0] - one[1]).max() > .05                   # pictures of one call differ, too


def test_weights_and_modes_stay_and_no_weight_gradient_is_computed(model):
    before = {name: array.copy() for name, array in model.state_dict().items()}
    model.train()
    invert(model, "cat", count=1, recipe=quick(steps=2))
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_no_prior_is_the_plain_gradient(model):
    assert NO_PRIOR.smoothness == 0 and NO_PRIOR.jitter == 0
    drawn = invert(model, "cat", count=1, seed=1, recipe=InversionRecipe(steps=3, smoothness=0., jitter=0), start="noise")
    picture = mc.tensor(np.random.default_rng(1).random((1, 32, 32, 3), dtype=np.float32), requires_grad=True)
    with model.frozen():
        for step in range(3):
            picture.zero_grad()
            mc.cross_entropy(model(picture), np.array([0])).backward()
            length = .3 + (.03 - .3) * step / 3
            picture.data[...] = np.clip(picture.data - length * picture.grad / np.linalg.norm(picture.grad), 0, 1)
    np.testing.assert_allclose(drawn, picture.data, atol=1e-5)


def test_what_cannot_be_done_is_said(model):
    with pytest.raises(ValueError, match="knows no 'unicorn'; it knows cat, dog, ship"):
        invert(model, "unicorn")
    with pytest.raises(ValueError, match="start must be 'gaussian', 'noise' or a picture, not 'blur'"):
        invert(model, "cat", start="blur")
    bare = mc.models.build("small", NAMES, rng=0, widths=((4,),))
    with pytest.raises(ValueError, match="use start='noise'"):
        invert(bare, "cat")


def test_nan_stops_the_run_with_the_operation_that_made_it():
    network = mc.models.build("small", NAMES, rng=0, widths=((4,), (4,)))
    network.features[5].weight.data[0] = np.nan                  # the second convolution
    with pytest.raises(FloatingPointError, match="conv2d: NaN or infinity"):
        invert(network, "cat", count=1, start="noise", recipe=quick())


# ------------------------------------------------------------------------------------------------------- larger pictures

BOXES = [Box(0, 0, 1), Box(.1, .3, .6), Box(-.05, .2, .9), Box(.4, .4, .7), Box(-.2, -.1, 1.3), Box(.5, .5, .1)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("shape, size", [((2, 9, 9, 3), (4, 4)), ((1, 7, 12, 2), (5, 3)), ((1, 4, 5, 1), (8, 8)),
                                         ((2, 6, 6, 1), (1, 1)), ((1, 1, 3, 2), (2, 2))])
def test_gradient_of_a_view(box, shape, size):
    x = np.random.default_rng(0).standard_normal(shape)
    mc.gradcheck(lambda x: view(x, box, size), x)
    mc.gradcheck(lambda x: view(x, box, size), np.random.default_rng(1).standard_normal(shape[::-1]).transpose(3, 2, 1, 0))


def test_a_view_shows_what_the_box_holds():
    x = np.random.default_rng(0).random((1, 8, 8, 1))
    assert np.array_equal(view(x, Box(0, 0, 1), (8, 8)).data, x)
    np.testing.assert_allclose(view(x, Box(.25, .5, .5), (4, 4)).data, x[:, 2:6, 4:], atol=1e-12)
    np.testing.assert_allclose(view(x, Box(-.25, 0, 1), (8, 8)).data[0, :, :, 0],
                               np.pad(x[0, :6, :, 0], ((2, 0), (0, 0)), mode="reflect"), atol=1e-12)
    flat = view(np.full((1, 9, 11, 2), .3), Box(-.1, .2, .83), (5, 4)).data
    np.testing.assert_allclose(flat, .3, atol=1e-12)             # the weights of a pixel add up to one


def test_boxes_are_nearly_the_whole_and_some_closer_and_reach_over_the_edge_a_little():
    views, rng = Views(closer=3), np.random.default_rng(0)
    drawn = [views.boxes(rng) for _ in range(300)]
    assert all(len(boxes) == 4 for boxes in drawn)
    assert all(.85 <= boxes[0].side <= 1 and all(.55 <= box.side <= .85 for box in boxes[1:]) for boxes in drawn)
    corners = np.array([[box.top, box.left] for boxes in drawn for box in boxes])
    ends = corners + np.array([[box.side] for boxes in drawn for box in boxes])
    assert -.06 <= corners.min() < 0 and 1 < ends.max() <= 1.06
    assert len({box for boxes in drawn for box in boxes}) == 1200


def test_all_pictures_are_seen_through_the_same_boxes_one_after_the_other():
    x = np.random.default_rng(0).random((3, 12, 12, 2))
    seen = Views(closer=1).of(mc.tensor(x), (4, 5), np.random.default_rng(7)).data
    first, second = Views(closer=1).boxes(np.random.default_rng(7))
    assert seen.shape == (6, 4, 5, 2)
    assert np.array_equal(seen[:3], view(x, first, (4, 5)).data) and np.array_equal(seen[3:], view(x, second, (4, 5)).data)


def test_a_larger_picture_begins_as_the_small_one_ended(model):
    labels, stages = np.array([0, 2]), []
    small = invert(model, labels, seed=3, recipe=quick(steps=4))
    large = invert(model, labels, seed=3, recipe=quick(steps=4), size=(64, 48), callback=lambda _, x: stages.append(x.copy()))
    assert large.shape == (2, 64, 48, 3) and large.dtype == np.float32 and large.min() >= 0 and large.max() <= 1
    assert [x.shape[1] for x in stages] == 4 * [32] + 4 * [64]
    np.testing.assert_allclose(stages[4], mc.upsample(small, size=(64, 48), mode="bilinear").data, atol=1e-6)
    again, other = (invert(model, labels, seed=seed, recipe=quick(steps=4), size=(64, 48)) for seed in (3, 4))
    assert large.tobytes() == again.tobytes() != other.tobytes()


def test_the_views_of_a_larger_picture_convince_more_and_more(model):
    labels, seen = np.array([0, 1, 2]), []

    def callback(step, pictures):
        if pictures.shape[1] == 64:
            shown = Views().of(mc.tensor(pictures), (32, 32), np.random.default_rng(0)).data
            seen.append(mc.cross_entropy(mc.predict(model, shown), np.tile(labels, 3)).item())
    invert(model, labels, recipe=quick(steps=20, smoothness=0.), start="noise", size=64, callback=callback)
    assert len(seen) == 20 and seen[-1] < seen[10] < seen[0]


def test_a_picture_to_start_from_may_have_the_larger_size(model):
    start, seen = np.random.default_rng(0).random((48, 48, 3), dtype=np.float32), []
    drawn = invert(model, "dog", 1, start=start, recipe=quick(steps=3), size=48, callback=lambda _, x: seen.append(x.copy()))
    assert drawn.shape == (1, 48, 48, 3) and len(seen) == 3 and np.array_equal(seen[0][0], start)
    unit = excite(model, "features.2", 1, 2, recipe=quick(steps=3), size=48, start=start)
    assert unit.shape == (2, 48, 48, 3)
    assert excite(model, "features.2", 1, 2, recipe=quick(steps=3), size=48).shape == (2, 48, 48, 3)
    with pytest.raises(ValueError, match=r"start is an array of shape \(48, 48, 3\).* as \(32, 32, 3\)"):
        invert(model, "dog", 1, start=start)


def test_a_size_below_the_network_s_own_is_refused(model):
    with pytest.raises(ValueError, match=r"size \(64, 16\) is below that of the pictures this network sees, \(32, 32\)"):
        invert(model, "dog", 1, size=(64, 16))
    with pytest.raises(ValueError, match="size must be a whole number or a pair"):
        invert(model, "dog", 1, size=48.5)


# --------------------------------------------------------------------------------------- pictures of the network's own shape

def started(network, seed=0):
    """A network with statistics of random pictures of its own shape."""
    size, channels = network.input_shape[1:]
    images = np.random.default_rng(seed).integers(0, 256, (60, size, size, channels), dtype=np.uint8)
    pictures = mc.data.Dataset(images, np.arange(60) % 3, NAMES)
    network.start = mc.models.ClassGaussian(3, rank=10, channels=channels).fit(pictures)
    return network


def as_it_was(network, labels, seed, recipe):
    """The loop as it stood when all pictures were 32x32x3, from the same parts."""
    rng = np.random.default_rng(seed)
    picture = mc.tensor(network.start.sample(labels, 32, rng), requires_grad=True)
    optimizer = PictureDescent([picture], recipe.first, recipe.radius)
    with network.frozen():
        for step in range(recipe.steps):
            loss = mc.cross_entropy(network(jitter(picture, recipe.jitter, rng)), labels)
            loss = loss + recipe.smoothness * total_variation(picture)
            optimizer.zero_grad()
            loss.backward()
            optimizer.lr = recipe.first + (recipe.last - recipe.first) * step / recipe.steps
            optimizer.step()
    return picture.data


def test_pictures_of_32x32x3_are_bit_for_bit_what_they_were(model):
    labels = np.array([1, 2, 0])
    for recipe in (quick(), quick(radius=.5), NO_PRIOR):         # no hash: other machines round otherwise
        expected = as_it_was(model, labels, 9, recipe)
        assert invert(model, labels, seed=9, recipe=recipe).tobytes() == expected.tobytes()


@pytest.mark.parametrize("network, size, channels", [("lenet5", 28, 1), ("small", 48, 3), ("small", 64, 1)])
def test_pictures_have_the_shape_of_the_network_and_lengths_grow_with_it(network, size, channels):
    options = {"widths": ((4,), (8,))} if network == "small" else {}
    network = started(mc.models.build(network, NAMES, rng=0, size=size, channels=channels, **options))
    pictures = []
    invert(network, "ship", count=2, recipe=quick(steps=2, first=.1, smoothness=0., jitter=0),
           start=np.full((size, size, channels), .5, np.float32), callback=lambda step, x: pictures.append(x.copy()))
    moved = np.linalg.norm((pictures[1] - pictures[0]).reshape(2, -1), axis=1)
    assert pictures[0].shape == (2, size, size, channels)
    assert moved == pytest.approx(.1 * np.sqrt(size * size * channels / 3072), rel=1e-4)
    drawn = invert(network, "ship", count=2, recipe=quick())
    assert drawn.shape == (2, size, size, channels) and drawn.dtype == np.float32
    assert drawn.min() >= 0 and drawn.max() <= 1


def test_pictures_need_not_be_square():
    network = started(mc.models.build("small", NAMES, rng=0, widths=((4,), (4,))))
    network.input_shape = 24, 40, 3
    assert invert(network, "cat", count=2, recipe=quick(steps=2)).shape == (2, 24, 40, 3)


def test_a_recipe_is_scaled_in_its_lengths_only():
    assert InversionRecipe().scaled_to((32, 32, 3)) == InversionRecipe()
    scaled = InversionRecipe(bn_prior=.1).scaled_to((64, 64, 3))
    assert scaled == InversionRecipe(first=.6, last=.06, radius=24., bn_prior=.1)


def test_a_start_of_another_shape_is_refused():
    network = mc.models.build("lenet5", NAMES, rng=0, size=28, channels=1)
    with pytest.raises(ValueError, match=r"start is an array of shape \(32, 32, 3\), but pictures are drawn as \(28, 28, 1\)"):
        invert(network, "cat", start=np.zeros((32, 32, 3), np.float32))


def test_a_trained_network_sees_the_digits_that_it_drew():
    """A few hundred digits are enough for a network that draws its own, and a picture of one class is no other's."""
    train = mc.data.load(str(data_folder("mnist")), "train", 1500)
    network = mc.models.build("lenet5", train.class_names, rng=0, size=28, channels=1)
    network.start = mc.models.ClassGaussian(10, channels=1).fit(train)
    settings = mc.training.TrainingSettings(epochs=2, batch=50, lr=.05, average=0., augment="none")
    mc.training.Training(network, train, settings).run(quiet=True)
    labels = np.arange(10)
    drawn = invert(network, labels, recipe=InversionRecipe(steps=30))
    assert (mc.predict(network, drawn).argmax(axis=1) == labels).mean() >= .9
    border = np.concatenate([drawn[:, :2].ravel(), drawn[:, -2:].ravel()])
    assert border.mean() < .2 < drawn[:, 8:20, 8:20].mean()      # light on black, as digits are


# ------------------------------------------------------------------------------------------------------- units of a layer

def test_unit_activation_is_the_mean_of_one_channel_and_has_its_gradient():
    y = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    assert unit_activation(mc.tensor(y), 3).item() == pytest.approx(y[:, :, :, 3].mean())
    mc.gradcheck(lambda y: unit_activation(y, 3), y)
    mc.gradcheck(lambda y: unit_activation(y, 0), y[:, 0, 0])


def test_observing_gives_what_went_in_and_came_out(model):
    x = mc.tensor(np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32))
    with model.frozen():
        output, calls = observe(model, x, [model.features[1], model.features[3]], inputs=True)
        assert [module for module, _, _ in calls] == [model.features[1], model.features[3]]
        np.testing.assert_allclose(output.data, model(x).data, atol=1e-5)
        first, second = calls
        assert np.array_equal(first[2].data, model.features[1](first[1]).data)
        assert second[2].data.min() >= 0 and second[2].shape == first[2].shape
        assert observe(model, x, [])[1] == []
        nothing, (third,) = observe(model, x, [model.features[3]], whole=False)
        assert nothing is None and third.layer is model.features[3] and third.x is None
        np.testing.assert_allclose(third.y.data, second[2].data, atol=1e-5)


@pytest.mark.parametrize("layer", ["features.1", "features.6", "features", "classifier.1"])
@pytest.mark.parametrize("start", ["gaussian", "noise"])
def test_a_unit_is_excited_more_and_more(model, layer, start):
    seen = []

    def callback(step, pictures):
        seen.append(activations(model, layer, 2, pictures).mean())
    drawn = excite(model, layer, 2, count=2, recipe=quick(steps=12, smoothness=0., jitter=0), start=start, callback=callback)
    assert drawn.shape == (2, 32, 32, 3) and drawn.min() >= 0 and drawn.max() <= 1
    assert activations(model, layer, 2, drawn).mean() > seen[6] > seen[0]


def test_the_first_step_goes_along_the_gradient_of_the_unit(model):
    start = np.random.default_rng(3).uniform(.4, .6, (32, 32, 3)).astype(np.float32)
    drawn = excite(model, "features.5", 4, 1, recipe=quick(steps=1, smoothness=0., jitter=0), start=start)
    picture = mc.tensor(start[None], requires_grad=True)
    with model.frozen():
        model.features[:6](picture)[..., 4].mean().backward()
    expected = np.clip(start + .3 * picture.grad[0] / np.linalg.norm(picture.grad), 0, 1)
    np.testing.assert_allclose(drawn[0], expected, atol=1e-6)


def test_the_starts_of_a_unit_are_means_over_the_classes_and_depend_on_the_seed(model):
    none = InversionRecipe(steps=0)
    starts = excite(model, "features.1", 0, count=2, seed=4, recipe=none)
    draws = model.start.sample(np.array([0, 1, 2, 0, 1, 2]), 32, np.random.default_rng(4))
    np.testing.assert_allclose(starts, [draws[:3].mean(axis=0), draws[3:].mean(axis=0)], atol=1e-6)
    again, other = (excite(model, "features.1", 0, count=2, seed=seed, recipe=none) for seed in (4, 5))
    assert starts.tobytes() == again.tobytes() != other.tobytes()


def test_unknown_layers_and_units_are_named_with_what_there_is(model):
    with pytest.raises(ValueError, match=r"no layer 'conv9'; it has conv1_1, conv2_1, .* features.1, .*, \.\.\. \(minicnn"):
        excite(model, "conv9", 0)
    with pytest.raises(ValueError, match="no layer ''"):
        layer_named(model, "")
    for unit in (8, -1):
        with pytest.raises(ValueError, match=f"layer features.1 of this network has no unit {unit}; it has 0 to 7"):
            excite(model, "features.1", unit)
    unused = mc.models.build("small", NAMES, rng=0, widths=((4,),))
    unused.spare = mc.ReLU()
    with pytest.raises(ValueError, match="layer spare of this network is not called"):
        excite(unused, "spare", 0, start="noise")


def test_a_silent_unit_stays_silent_and_its_picture_stays():
    network = mc.models.build("small", NAMES, rng=0, widths=((4,),))
    network.features[2].bias.data[1] = -1e3                      # after the ReLU nothing of channel 1 is left
    start = np.full((32, 32, 3), .5, np.float32)
    drawn = excite(network, "features.3", 1, 1, recipe=quick(smoothness=0.), start=start)
    assert np.array_equal(drawn[0], start) and activations(network, "features.3", 1, drawn) == 0
    louder = excite(network, "features.2", 1, 1, recipe=quick(), start=start)
    assert activations(network, "features.2", 1, louder) > activations(network, "features.2", 1, start[None])


# --------------------------------------------------------------------------------------------------- the batch-norm prior

def test_channel_moments_are_mean_and_variance():
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 6, 3))
    mean, variance = channel_moments(mc.tensor(x))
    np.testing.assert_allclose(mean.data, x.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(variance.data, x.var(axis=(0, 1, 2)))
    mc.gradcheck(lambda x: channel_moments(x)[1], x[:2, :3, :2])
    mc.gradcheck(lambda x: channel_moments(x)[0], x[:, 0, 0])


def in_float64(network):
    for parameter in network.parameters():
        parameter.data = parameter.data.astype(np.float64)
    for module in batch_norms(network):
        rng = np.random.default_rng(len(module.weight))
        module.running_mean, module.running_var = rng.normal(0, 1, (2, len(module.weight))) ** 2
    return network


def test_the_prior_is_the_sum_of_squared_distances_and_its_gradient_holds_through_a_network():
    network = in_float64(mc.models.build("small", NAMES, rng=0, widths=((3,), (4,))))
    x = np.random.default_rng(1).random((2, 6, 6, 3))

    def prior(x):
        _, calls = observe(network, x, batch_norms(network), inputs=True)
        return batch_norm_prior([(layer, x) for layer, x, _ in calls])
    with network.frozen():
        _, calls = observe(network, mc.tensor(x), batch_norms(network), inputs=True)
        expected = sum(((inputs.data.mean(axis=(0, 1, 2)) - layer.running_mean) ** 2).sum()
                       + ((inputs.data.var(axis=(0, 1, 2)) - layer.running_var) ** 2).sum() for layer, inputs, _ in calls)
        assert len(calls) == 2 and prior(mc.tensor(x)).item() == pytest.approx(expected)
        mc.gradcheck(prior, x)


def test_the_prior_is_zero_for_the_batch_that_the_statistics_are_of():
    layer, x = mc.BatchNorm2d(3), np.random.default_rng(0).normal(2, 3, (4, 5, 5, 3))
    layer.running_mean, layer.running_var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    assert batch_norm_prior([(layer, mc.tensor(x))]).item() == pytest.approx(0, abs=1e-20)
    assert batch_norm_prior([(layer, mc.tensor(x + 1))]).item() == pytest.approx(3)


def test_a_weight_of_the_prior_brings_the_statistics_nearer_and_none_changes_nothing(model):
    def distance(pictures):
        with model.frozen():
            _, calls = observe(model, mc.tensor(pictures), batch_norms(model), inputs=True)
            return batch_norm_prior([(layer, x) for layer, x, _ in calls]).item()
    labels = np.array([0, 1, 2, 0])
    without, zero, some = (invert(model, labels, seed=2, recipe=quick(steps=15, **prior))
                           for prior in ({}, {"bn_prior": 0.}, {"bn_prior": 10.}))
    assert without.tobytes() == zero.tobytes()
    assert distance(some) < .9 * distance(without)
    loud, tame = (excite(model, "features.2", 1, 4, recipe=quick(steps=15, bn_prior=weight)) for weight in (0., 10.))
    assert distance(tame) < distance(loud)       # a batch norm may be the layer that is excited, too


def test_the_prior_without_batch_norm_is_refused():
    network = mc.models.build("lenet5", NAMES, rng=0, size=28, channels=1)
    with pytest.raises(ValueError, match="no BatchNorm2d.*leave the batch-norm prior at 0"):
        invert(network, "cat", start="noise", recipe=quick(bn_prior=.1))
