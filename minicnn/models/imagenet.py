"""What the networks for photographs share: their Module, what they do to pixels first, and how they see a whole photograph.

Their layers stand where torchvision has them, and weights are called as there, features.0.weight and classifier.6.bias, so
that weights from elsewhere need no table of names, only other axes: convolutions (out, in, kh, kw) become (kh, kw, in, out),
dense layers (out, in) become (in, out).  One thing more: here feature maps are flattened row by row, (H, W, C), elsewhere
channel by channel, (C, H, W), and so the inputs of the first dense layer come in another order.  Whoever brings weights from
elsewhere puts their rows into ours, once, when they are read; `flattened` says of what shape they were:

    weight.reshape(out, *model.flattened).transpose(2, 3, 1, 0).reshape(-1, out)        # (out, C H W)  ->  (H W C, out)
"""
from ..layers.conv import conv2d
from ..layers.dense import Dense
from ..layers.module import Flatten, Module, Sequential
from ..layers.pool import AdaptiveAvgPool2d, global_avg_pool2d
from .classifier import Classifier, Standardize

# What is done to pixels, 0..1 in red, green and blue, before a network sees them: what it was trained with, nothing else.
RED, GREEN, BLUE = 123.68 / 255, 116.779 / 255, 103.939 / 255    # means over ImageNet, as the models of Caffe have them
PREPROCESSING = {
    "torchvision": dict(mean=(.485, .456, .406), std=(.229, .224, .225)),
    "caffe": dict(mean=(BLUE, GREEN, RED), std=1 / 255, bgr=True),           # 0..255, blue first
    "caffe-rgb": dict(mean=(RED, GREEN, BLUE), std=1 / 255),                 # the same for weights turned to red first
}
RESIZED = 256 / 224                              # a photograph's shorter side, in sides of what is cut out of its middle


class ImageNetClassifier(Classifier):
    """preprocess, features, flatten, classifier:  pictures (N, H, W, 3) in 0..1  ->  logits (N, classes)

    preprocessing   a name in PREPROCESSING
    classifier      None for the features alone: then the network's answers are feature maps, and it knows no classes
    layer_names     {what people call a layer: its path}, see names.py
    flattened       (C, H, W) of the feature maps for which the dense layers were made: from others of another size
                    rectangles are averaged to H x W.  None where the classifier takes feature maps as they are
    """

    def __init__(self, preprocessing, features, classifier, class_names, input_shape, layer_names, flattened=None):
        Module.__init__(self)
        self.preprocess = _preprocess(preprocessing, input_shape)
        self.features, self.classifier, self.layer_names = features, classifier, layer_names
        self.flattened = flattened if classifier else None
        self.flatten = Sequential(AdaptiveAvgPool2d(flattened[1:]), Flatten()) if self.flattened else None
        self.class_names, self.start, self.input_shape = list(class_names) if classifier else [], None, input_shape
        self.shorter_side = round(RESIZED * input_shape[0])

    def forward(self, x):
        for stage in (self.preprocess, self.features, self.flatten, self.classifier):
            x = x if stage is None else stage(x)
        return x


def _preprocess(name, input_shape):
    if name not in PREPROCESSING:
        raise ValueError(f"there is no preprocessing {name!r}; there are {', '.join(PREPROCESSING)}")
    if input_shape[2] != 3:
        raise ValueError(f"preprocessing {name!r} is of red, green and blue, and pictures of {input_shape[2]} channels have "
                         "none: use pictures of 3 channels, or a network for small pictures")
    return Standardize(**PREPROCESSING[name])


# ---- Dense evaluation: every place of a photograph at once -------------------------------------------------------------

def fully_convolutional(model):
    """The same network, with the same weights, that sees all of a photograph: a Module for pictures of any size.

    A dense layer that takes feature maps of 7x7 is a convolution with kernels of 7x7, and so can be moved over larger maps:
    a score for each class at each place, of which the mean is the answer.  A picture of the size that the network was
    built for has one place.  (Simonyan and Zisserman 2014, section 3.2; Sermanet et al. 2013, OverFeat)

    A network without dense layers after its feature maps comes back as it is: it averages itself.
    """
    return FullyConvolutional(model) if getattr(model, "flattened", None) else model


class FullyConvolutional(Module):
    """Pictures (N, H, W, 3) in 0..1  ->  logits (N, classes), the mean of `score_map`.

    Raises ValueError for pictures that are smaller than those that the network was built for.
    """

    def __init__(self, model):
        super().__init__()
        self.preprocess, self.features = model.preprocess, model.features
        self.scores = Sequential(*_everywhere(model.classifier, model.flattened[1:]))

    def score_map(self, x):
        """(N, rows, columns, classes): the logits at each place."""
        return self.scores(self.features(self.preprocess(x)))

    def forward(self, x):
        return global_avg_pool2d(self.score_map(x))


class Everywhere(Module):
    """A dense layer as a convolution:   (N, H, W, C)  ->  (N, H - rows + 1, W - columns + 1, out)

    Its weight (rows columns C, out) needs no new order, only its axes back: (rows, columns, C, out) is a filter.
    """

    def __init__(self, dense, kernel):
        super().__init__()
        self.dense, self.kernel = dense, tuple(kernel)

    def forward(self, x):
        weight = self.dense.weight
        return conv2d(x, weight.reshape(*self.kernel, -1, weight.shape[1]), self.dense.bias)

    def __repr__(self):
        return f"Everywhere({self.dense!r}, {self.kernel[0]}x{self.kernel[1]})"


def _everywhere(classifier, kernel):
    """The layers, the dense ones as convolutions: the first with that kernel, the others of 1x1."""
    for layer in classifier:
        if isinstance(layer, Dense):
            layer, kernel = Everywhere(layer, kernel), (1, 1)
        yield layer
