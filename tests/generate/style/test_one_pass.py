"""The network that stylises in one pass: its shapes and gradients, its training, its files."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.files import weights
from minicnn.generate.style.one_pass import Crops, StylizerSettings, StylizerTraining
from minicnn.generate.style.recipes import StyleRecipe
from minicnn.models.stylizer import Stylizer, is_stylizer, load_stylizer, save_stylizer
from minicnn.training.run import Run

SMALL = StylizerSettings(steps=6, batch=2, side=32, width=4, blocks=1)
RECIPE = StyleRecipe({"relu1_1": 1., "relu2_1": 1.}, {"relu2_1": 1.}, content_weight=.5, smoothness=1., margin=4)


@pytest.fixture(scope="module")
def model():
    return mc.models.build("small", ["cat", "dog"], rng=0, widths=((6,), (8,)))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for i, size in enumerate([(40, 90), (33, 20), (100, 64)]):
        smooth = mc.resize(rng.random((4, 5, 3), dtype=np.float32), size, "bicubic")
        mc.write_image(np.clip(smooth, 0, 1), folder / f"{i}.png")
    return sorted(folder.glob("*.png"))


def style():
    return np.random.default_rng(9).random((30, 40, 3), dtype=np.float32)


@pytest.mark.parametrize("size", [(24, 24), (32, 48), (29, 35), (50, 31)])
def test_pictures_keep_their_size_and_their_range(size):
    y = Stylizer(4, 1, rng=0)(np.random.default_rng(0).random((2, *size, 3), dtype=np.float32))
    assert y.shape == (2, *size, 3) and y.data.min() >= 0 and y.data.max() <= 1 and y.dtype == np.float32


def test_gradients_through_the_whole_network():
    network = Stylizer(2, 1, rng=0)
    for parameter in network.parameters():
        parameter.data = parameter.data.astype(np.float64)
    x, rng = np.random.default_rng(1).random((1, 24, 25, 3)), np.random.default_rng(2)
    dy = rng.standard_normal(x.shape)
    leaf = mc.tensor(x, requires_grad=True)
    network(leaf).backward(dy)
    for tensors, gradient in ((leaf, leaf.grad), *((p, p.grad) for p in network.parameters())):
        direction, h = rng.standard_normal(tensors.shape), 1e-6
        before, values = tensors.data.copy(), []
        for side in (h, -h):
            tensors.data = before + side * direction
            values.append((network(leaf).data * dy).sum())
        tensors.data = before
        assert (values[0] - values[1]) / (2 * h) == pytest.approx((gradient * direction).sum(), rel=1e-4, abs=1e-6)


def test_contrast_plays_no_part():
    network, x = Stylizer(4, 1, rng=0), np.random.default_rng(0).random((1, 32, 32, 3), dtype=np.float32)
    inside = slice(8, -8)
    np.testing.assert_allclose(network(x).data[:, inside, inside], network(.5 * x + .25).data[:, inside, inside], atol=1e-2)


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="at least 24 x 24 pixels, not 30 x 20"):
        Stylizer(4, 1, rng=0)(np.zeros((1, 20, 30, 3), np.float32))


def test_a_file_gives_the_network_back(tmp_path):
    network, x = Stylizer(4, 2, rng=3).eval(), np.random.default_rng(0).random((1, 32, 32, 3), dtype=np.float32)
    save_stylizer(network, tmp_path / "net.safetensors", {"made_by": "a test"})
    loaded = load_stylizer(tmp_path / "net.safetensors")
    assert loaded.options == {"width": 4, "blocks": 2} and is_stylizer(tmp_path / "net.safetensors")
    np.testing.assert_allclose(loaded(x).data, network(x).data, atol=5e-3)       # float16
    weights.save({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    assert not is_stylizer(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no network that stylises"):
        load_stylizer(tmp_path / "other.safetensors")


@pytest.mark.parametrize("text", ['{"width": 4}', '{"width": 1e9, "blocks": 1}', "[]", "nonsense", '{"width": "x", "blocks": 1}',
                                  '{"width": 4, "blocks": 33}', '{"width": 1e999, "blocks": 1}', '{"width": 128, "blocks": 32}'])
def test_a_file_that_lies_about_its_network_is_refused(tmp_path, text):
    weights.save({"a": np.zeros(3)}, tmp_path / "net.safetensors", {"stylizer": text})
    with pytest.raises(ValueError, match="cannot build"):
        load_stylizer(tmp_path / "net.safetensors")


def test_a_file_of_another_stylizer_shows_what_differs(tmp_path):
    state = Stylizer(4, 1, rng=0).state_dict()
    del state["last.bias"]
    weights.save(state, tmp_path / "net.safetensors", {"stylizer": '{"width": 4, "blocks": 1}'})
    with pytest.raises(ValueError, match="net.safetensors does not fit this model"):
        load_stylizer(tmp_path / "net.safetensors")


@pytest.mark.parametrize("width, blocks", [(0, 1), (129, 1), (4, -1), (4, 33)])
def test_a_stylizer_that_no_file_could_give_back_is_not_built(width, blocks):
    with pytest.raises(ValueError, match="a width of 1 to 128 and 0 to 32 blocks"):
        Stylizer(width, blocks)


# ---- The training --------------------------------------------------------------------------------------

def test_crops_are_those_of_the_seed_and_the_step(photographs):
    crops = Crops(photographs, 32, seed=1)
    one, same, later = crops.batch(0, 3), Crops(photographs, 32, seed=1).batch(0, 3), crops.batch(1, 3)
    assert one.shape == (3, 32, 32, 3) and one.dtype == np.float32 and 0 <= one.min() and one.max() <= 1
    assert np.array_equal(one, same) and not np.array_equal(one, later)
    with pytest.raises(ValueError, match="no photographs"):
        Crops([], 32)


def test_the_loss_falls(model, photographs):
    training = StylizerTraining(style(), photographs, model, RECIPE, StylizerSettings(steps=40, batch=2, side=32, width=4, blocks=1))
    training.run()
    assert np.mean(training.losses[-5:]) < .8 * np.mean(training.losses[:5])


def test_a_resumed_training_ends_in_the_same_weights(model, photographs, tmp_path):
    def begin():
        return StylizerTraining(style(), photographs, model, RECIPE, SMALL)
    whole, run = begin(), begin()
    whole.run()
    for _ in range(3):
        run.step()
    Run(run, tmp_path / "run.ckpt").save()
    later = begin()
    Run(later, tmp_path / "run.ckpt").resume()
    later.run()
    assert later.losses == whole.losses
    for name, array in whole.network.state_dict().items():
        assert later.network.state_dict()[name].tobytes() == array.tobytes()
    with pytest.raises(ValueError, match=r"run.ckpt is a style training run with other settings \(style was \w{12}, now \w{12}\)"):
        Run(StylizerTraining(1 - style(), photographs, model, RECIPE, SMALL), tmp_path / "run.ckpt").resume()
    other = StylizerTraining(style(), photographs, model, RECIPE, StylizerSettings(steps=7, batch=2, side=32, width=4, blocks=1))
    with pytest.raises(ValueError, match=r"run.ckpt is a style training run with other settings \(steps was 6, now 7\)"):
        Run(other, tmp_path / "run.ckpt").resume()


def test_the_sliced_loss_is_refused(model, photographs):
    recipe = StyleRecipe({"relu1_1": 1.}, {"relu2_1": 1.}, loss="sliced")
    with pytest.raises(ValueError, match="learns with one of the losses gram, w2, relative, mean-std"):
        StylizerTraining(style(), photographs, model, recipe, SMALL)
