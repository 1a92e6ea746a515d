"""Dropout, and the published numbers of its random generator."""
import numpy as np
import pytest

from minicnn.checking.gradcheck import gradcheck
from minicnn.core import tuning
from minicnn.core.tensor import tensor
from minicnn.layers.dropout import Dropout, Dropout2d, Philox, dropout, philox4x32

# The known answers for philox4x32-10 of Random123 (kat_vectors), by the authors of the generator: counter, key, output
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def hexadecimal(words):
    return [int(word, 16) for word in words.split()]


@pytest.mark.parametrize("counter, key, output", KNOWN_ANSWERS)
def test_philox_gives_the_published_numbers(counter, key, output):
    counter = [np.array([word], np.uint64) for word in hexadecimal(counter)]
    assert [int(word[0]) for word in philox4x32(counter, hexadecimal(key))] == hexadecimal(output)


def test_all_known_answers_in_one_call():
    counters = np.array([hexadecimal(counter) for counter, _, _ in KNOWN_ANSWERS], np.uint64).T
    for i, (_, key, output) in enumerate(KNOWN_ANSWERS):
        words = philox4x32(counters, hexadecimal(key))
        assert [int(word[i]) for word in words] == hexadecimal(output)


def test_the_stream_counts_up_in_the_lowest_word():
    words = Philox(seed=0).words(8)
    assert words.dtype == np.uint32
    assert words[:4].tolist() == hexadecimal(KNOWN_ANSWERS[0][2])
    counter = [np.array([word], np.uint64) for word in (1, 0, 0, 0)]
    assert words[4:].tolist() == [int(word[0]) for word in philox4x32(counter, (0, 0))]


def test_the_seed_is_the_key_and_the_offset_the_counter_in_64_bits():
    counter = [np.array([word], np.uint64) for word in (0x55667788, 0x11223344, 0, 0)]
    expected = [int(word[0]) for word in philox4x32(counter, (0xDDEEFF00, 0x99AABBCC))]
    assert Philox(0x99AABBCCDDEEFF00, 0x1122334455667788).words(4).tolist() == expected


def test_a_stream_goes_on_where_it_stopped():
    count = 4 * tuning.DROPOUT_BLOCKS + 6
    whole = Philox(7).words(count + 6)
    stream = Philox(7)
    np.testing.assert_array_equal(stream.words(count), whole[:count])
    assert stream.offset == tuning.DROPOUT_BLOCKS + 2
    restored = Philox(stream.seed, stream.offset)
    np.testing.assert_array_equal(restored.words(4), whole[count + 2:])    # 2 words of the last block were left unused


@pytest.mark.parametrize("seed", [-1, 2 ** 64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match="2\\^64"):
        Philox(seed)


def test_dropout_keeps_the_words_from_p_on():
    x = np.ones((3, 7))
    words = Philox(5).words(21).reshape(3, 7)
    expected = np.where(words >= .3 * 2 ** 32, 1 / .7, 0)
    np.testing.assert_allclose(dropout(x, .3, Philox(5)).data, expected, rtol=1e-15)


@pytest.mark.parametrize("p", [.1, .5, .9])
def test_dropout_drops_a_share_of_p_and_keeps_the_mean(p):
    y = dropout(np.ones(100_000), p, Philox(1)).data
    deviation = np.sqrt(p * (1 - p) / y.size)
    assert abs((y == 0).mean() - p) < 4 * deviation
    assert abs(y.mean() - 1) < 4 * deviation / (1 - p)


@pytest.mark.parametrize("channels", [False, True])
def test_dropout_gradient(channels):
    x = np.random.default_rng(0).standard_normal((3, 4, 2, 5))
    gradcheck(lambda x: dropout(x, .4, 3, channels), x)


def test_gradient_and_output_share_the_mask():
    x = tensor(np.ones((50, 3)), requires_grad=True)
    y = dropout(x, .5, Philox(2))
    y.backward(np.ones((50, 3)))
    np.testing.assert_array_equal(x.grad, y.data)
    assert 0 < (y.data == 0).sum() < 150


def test_whole_channels_are_dropped():
    y = dropout(np.ones((20, 3, 4, 6)), .5, Philox(0), channels=True).data
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    assert 30 < (y[:, 0, 0] == 0).sum() < 90                   # of 120


def test_nothing_everything_and_evaluation():
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    np.testing.assert_array_equal(dropout(x, 0, Philox(0)).data, x)
    np.testing.assert_array_equal(dropout(x, .5, Philox(0), training=False).data, x)
    leaf = tensor(x, requires_grad=True)
    y = dropout(leaf, 1, Philox(0))
    y.backward(np.ones_like(x))
    assert not y.data.any() and not leaf.grad.any()


@pytest.mark.parametrize("p", [-.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        dropout(np.ones(3), p, Philox(0))


def test_generator_seed_and_stream():
    x = np.ones(64)
    a, b = (dropout(x, .5, np.random.default_rng(4)).data for _ in range(2))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(dropout(x, .5, 9).data, dropout(x, .5, Philox(9)).data)
    stream = Philox(9)
    assert (dropout(x, .5, stream).data != dropout(x, .5, stream).data).any()


def test_a_forgotten_seed_is_refused():
    with pytest.raises(TypeError):
        dropout(np.ones(3), .5, None)


@pytest.mark.parametrize("p", [.25, np.float64(.25), 0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(dtype, p):
    x = tensor(np.ones((4, 5), dtype), requires_grad=True)
    y = dropout(x, p, Philox(0))
    y.backward(np.ones((4, 5), dtype))
    assert y.dtype == x.grad.dtype == dtype


def test_module_drops_in_training_only():
    x, layer = np.ones((4, 4, 4, 8), np.float32), Dropout(.5, seed=1)
    first, second = layer(x).data, layer(x).data
    assert (first != second).any()
    np.testing.assert_array_equal(first, dropout(x, .5, Philox(1)).data)
    np.testing.assert_array_equal(layer.eval()(x).data, x)
    assert not layer.state_dict()


def test_dropout2d_drops_whole_channels():
    x = np.ones((4, 2, 2, 8))
    np.testing.assert_array_equal(Dropout2d(.5, seed=1)(x).data, dropout(x, .5, 1, channels=True).data)


def test_two_layers_without_a_seed_have_different_masks():
    x = np.ones(64)
    assert (Dropout()(x).data != Dropout()(x).data).any()
