"""Solutions to the exercises of lesson 02, "Convolution by hand".      python tutorials/solutions/02_convolution.py"""
from functools import partial

import numpy as np

import minicnn as mc

rng = np.random.default_rng(0)
x, weight = rng.normal(size=(2, 7, 8, 3)), rng.normal(size=(3, 2, 3, 4))


# ---- 1. Holes --------------------------------------------------------------------------------------------------------

def places(n, k, stride, dilation):
    return (n - dilation * (k - 1) - 1) // stride + 1       # k pixels with holes between them span dilation * (k-1) + 1


def pad(x, padding):
    return np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))


def patches_of(x, kh, kw, stride, dilation):
    """One pixel on within the window is now `dilation` pixels on in the picture."""
    N, H, W, C = x.shape
    OH, OW = places(H, kh, stride, dilation), places(W, kw, stride, dilation)
    n, h, w, c = x.strides
    return np.lib.stride_tricks.as_strided(x, (N, OH, OW, kh, kw, C),
                                           (n, stride * h, stride * w, dilation * h, dilation * w, c))


def col2im(d_windows, shape, stride, dilation):
    N, OH, OW, kh, kw, C = d_windows.shape
    dx = np.zeros(shape, d_windows.dtype)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation, j * dilation
            dx[:, top:top + stride * OH:stride, left:left + stride * OW:stride] += d_windows[:, :, :, i, j]
    return dx


def crop(dx, padding, shape):
    return dx[:, padding:padding + shape[1], padding:padding + shape[2]]


def turn_nothing(weight):
    return weight


def make_conv(crop=crop, turn=turn_nothing):
    """The convolution of the lesson, with dilation; `crop` and `turn` are where exercise 4 plants its bugs."""
    @mc.differentiable
    def my_conv(x, weight, stride=1, padding=0, dilation=1):
        kh, kw, C, K = weight.shape
        padded = pad(x, padding)
        windows = patches_of(padded, kh, kw, stride, dilation)
        patches = windows.reshape(-1, kh * kw * C)                      # (N*OH*OW, kh*kw*C)
        y = (patches @ weight.reshape(-1, K)).reshape(*windows.shape[:3], K)

        def grad_x(dy):
            d_patches = dy.reshape(-1, K) @ turn(weight).reshape(-1, K).T
            return crop(col2im(d_patches.reshape(windows.shape), padded.shape, stride, dilation), padding, x.shape)

        def grad_weight(dy):
            return (patches.T @ dy.reshape(-1, K)).reshape(weight.shape)
        return y, (grad_x, grad_weight)
    return my_conv


my_conv = make_conv()
for stride, padding, dilation in ((1, 0, 2), (2, 1, 2), (1, 2, 3)):
    settings = dict(stride=stride, padding=padding, dilation=dilation)
    assert np.allclose(my_conv(x, weight, **settings), mc.conv2d(x, weight, **settings))
    assert mc.gradcheck(partial(my_conv, **settings), x, weight).error < 1e-6


# ---- 2. Pooling ------------------------------------------------------------------------------------------------------

# Every number of the filter is 1/(kh*kw).  That channels do not mix takes as many groups as channels: each filter is
# then one channel deep, (2, 2, 1, C).
mean_of_four = np.full((2, 2, 1, 3), 1 / 4)
assert np.allclose(mc.conv2d(x, mean_of_four, stride=2, groups=3), mc.avg_pool2d(x, 2))


# ---- 3. Count --------------------------------------------------------------------------------------------------------

pixels = 224 * 224
direct = pixels * 3 * 3 * 64 * 64                           # every output number: 9 pixels of 64 channels
narrow = pixels * (64 * 16 + 3 * 3 * 16 * 16 + 16 * 64)
print(f"3x3 with 64 channels: {direct / 1e9:.2f} thousand million; through 16 channels: {narrow / 1e9:.2f}")
assert direct == 1_849_688_064 and round(direct / narrow, 1) == 8.5


# ---- 4. A bug to plant -----------------------------------------------------------------------------------------------

def complaint(conv, weight, padding):
    """What gradcheck has to say; nothing if all is well."""
    try:
        mc.gradcheck(partial(conv, padding=padding), x, weight)
        return ""
    except mc.GradientError as error:
        return str(error)


ones = np.ones_like(weight)

# No crop.  With padding the shape is wrong and backward() refuses it.  Without padding nothing is to be cropped.
uncropped = make_conv(crop=lambda dx, padding, shape: dx)
assert "returned shape (2, 9, 10, 3) for an input of shape (2, 7, 8, 3)" in complaint(uncropped, weight, padding=1)
assert complaint(uncropped, weight, padding=0) == ""

# A wrong crop has the right shape.  Only the numbers tell.  A filter of ones does not hide it.
shifted = make_conv(crop=lambda dx, padding, shape: dx[:, :shape[1], :shape[2]])
assert "the gradient of x (2, 7, 8, 3) is wrong" in complaint(shifted, weight, padding=1)
assert "the gradient of x (2, 7, 8, 3) is wrong" in complaint(shifted, ones, padding=1)
assert complaint(shifted, weight, padding=0) == ""

# A turned filter: right shape, right size of the numbers, wrong numbers.  But a filter of ones looks the same turned.
turned = make_conv(turn=lambda weight: weight[::-1, ::-1])
assert "the gradient of x (2, 7, 8, 3) is wrong" in complaint(turned, weight, padding=1)
assert complaint(turned, ones, padding=1) == ""
