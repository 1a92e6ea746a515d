"""The networks for photographs against PyTorch: every activation, and the gradient with respect to the picture.

The networks of PyTorch are written down here, layer by layer as torchvision has them, and ours take over their weights.
"""
import numpy as np
import pytest
from conftest import data_folder

import minicnn as mc
from minicnn.generate import observe
from minicnn.models.classifier import WORDNET_ID

torch = pytest.importorskip("torch")
nn = torch.nn
CLOSE = {np.float32: 1e-4, np.float64: 1e-9}      # of the largest value
MEAN, STD = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in ([.485, .456, .406], [.229, .224, .225]))
CLASSES = 7


# ---- the networks in PyTorch ---------------------------------------------------------------------------------------

class Net(nn.Module):
    def __init__(self, features, grid=None, classifier=None):
        super().__init__()
        self.features, self.grid, self.classifier = nn.Sequential(*features), grid, classifier and nn.Sequential(*classifier)

    def forward(self, x):
        x = self.features((x - MEAN.to(x.dtype)) / STD.to(x.dtype))
        if self.grid:
            x = torch.flatten(nn.functional.adaptive_avg_pool2d(x, self.grid), 1)
        return torch.flatten(self.classifier(x), 1) if self.classifier else x


VGG = {"vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
       "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
       "vgg16": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
       "vgg19": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
       "vgg16-c": [64, 64, "M", 128, 128, "M", 256, 256, -256, "M", 512, 512, -512, "M", 512, 512, -512, "M"],
       "vgg11-lrn": [64, "L", "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]}


def vgg_features(name, divisor=1):
    layers, channels = [], 3
    for entry in VGG[name.removesuffix("-bn")]:
        if entry == "M":
            layers.append(nn.MaxPool2d(2, 2))
        elif entry == "L":
            layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=.75, k=2))
        else:
            kernel, filters = (1, -entry // divisor) if entry < 0 else (3, entry // divisor)
            layers.append(nn.Conv2d(channels, filters, kernel, padding=kernel // 2))
            layers += [nn.BatchNorm2d(filters)] if name.endswith("-bn") else []
            layers.append(nn.ReLU())
            channels = filters
    return layers


def vgg(name):
    """With an eighth of the filters."""
    return Net(vgg_features(name, 8), 7, [nn.Linear(64 * 49, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 20), nn.ReLU(),
                                          nn.Dropout(), nn.Linear(20, CLASSES)])


def alexnet():
    features = [nn.Conv2d(3, 16, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(16, 48, 5, padding=2), nn.ReLU(),
                nn.MaxPool2d(3, 2), nn.Conv2d(48, 96, 3, padding=1), nn.ReLU(), nn.Conv2d(96, 64, 3, padding=1), nn.ReLU(),
                nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)]
    return Net(features, 6, [nn.Dropout(), nn.Linear(64 * 36, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 20), nn.ReLU(),
                             nn.Linear(20, CLASSES)])


def alexnet_2012():
    def norm():
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=.75, k=2)
    features = [nn.Conv2d(3, 12, 11, 4, 2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
                nn.Conv2d(12, 32, 5, padding=2, groups=2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
                nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, 48, 3, padding=1, groups=2), nn.ReLU(),
                nn.Conv2d(48, 32, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    return Net(features, 6, [nn.Linear(32 * 36, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 20), nn.ReLU(), nn.Dropout(),
                             nn.Linear(20, CLASSES)])


class Fire(nn.Module):
    def __init__(self, channels, squeezed, expanded):
        super().__init__()
        self.squeeze, self.squeeze_activation = nn.Conv2d(channels, squeezed, 1), nn.ReLU()
        self.expand1x1, self.expand1x1_activation = nn.Conv2d(squeezed, expanded, 1), nn.ReLU()
        self.expand3x3, self.expand3x3_activation = nn.Conv2d(squeezed, expanded, 3, padding=1), nn.ReLU()

    def forward(self, x):
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat([self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1)


def squeezenet(width=16, classes=CLASSES):
    def pool():
        return nn.MaxPool2d(3, 2, ceil_mode=True)
    s, e = width // 4, width
    features = [nn.Conv2d(3, width, 3, 2), nn.ReLU(), pool(), Fire(width, s, e), Fire(2 * e, s, e), pool(),
                Fire(2 * e, 2 * s, 2 * e), Fire(4 * e, 2 * s, 2 * e), pool(), Fire(4 * e, 3 * s, 3 * e),
                Fire(6 * e, 3 * s, 3 * e), Fire(6 * e, 4 * s, 4 * e), Fire(8 * e, 4 * s, 4 * e)]
    return Net(features, None, [nn.Dropout(), nn.Conv2d(8 * e, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)])


# ---- ours with their weights ---------------------------------------------------------------------------------------

def taken_over(state, model):
    """Our network with the weights of {name: array in PyTorch's axes}, and the names the same."""
    arrays = {}
    for name, array in state.items():
        if array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)                  # (out, in, kh, kw) -> (kh, kw, in, out)
        elif array.ndim == 2:
            out, inputs = array.shape
            first = model.flattened and inputs == np.prod(model.flattened)       # its inputs are in another order
            array = array.reshape(out, *model.flattened).transpose(2, 3, 1, 0).reshape(-1, out) if first else array.T
        arrays[name] = array.astype(np.float32)
    model.load_state_dict(arrays)
    return model.eval()


def state_of(theirs):
    return {name: array.numpy() for name, array in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}


def drawn(network, seed=0):
    """A network of PyTorch with weights as large as keep activations their size, and statistics that are not the first."""
    torch.manual_seed(seed)
    network = network()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, std=.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, .5, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, .5, 2)
    return network.eval().requires_grad_(False)


def compare(ours, theirs, x):
    """Every layer's output in float32, and in float64 also the gradient of the picture x (N, H, W, 3).

    In float32 rounding decides which of two nearly equal pixels is the maximum, and so where a gradient goes.
    """
    _compare_activations(ours, theirs, x)
    for parameter in ours.parameters():
        parameter.data = parameter.data.astype(np.float64)
    for _, module in ours.named_modules():
        for name in module.buffer_names:
            setattr(module, name, getattr(module, name).astype(np.float64))
    (y, mine), (y_theirs, picture) = _compare_activations(ours, theirs.double(), x.astype(np.float64))
    dy = np.random.default_rng(0).standard_normal(y.shape)
    y.backward(dy)
    y_theirs.backward(torch.from_numpy(dy.transpose(0, 3, 1, 2).copy() if dy.ndim == 4 else dy))
    same(mine.grad, picture.grad, "gradient of the picture")


def _compare_activations(ours, theirs, x):
    """((output, picture) of ours, and of theirs)"""
    seen, hooks, picture = {}, [], torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    for path, layer in theirs.named_modules():
        if path and not list(layer.children()):
            hooks.append(layer.register_forward_hook(lambda _, inputs, y, path=path: seen.update({path: y.detach()})))
    y_theirs = theirs(picture)
    for hook in hooks:
        hook.remove()
    mine, paths = mc.tensor(x, requires_grad=True), {id(module): path for path, module in ours.named_modules()}
    wanted = [module for path, module in ours.named_modules() if path in seen]
    with ours.frozen():
        y, calls = observe(ours, mine, wanted)
    assert len(calls) == len(wanted) == len(seen) and y.dtype == x.dtype
    for module, _, output in calls:
        expected = seen[paths[id(module)]]
        if ours.flattened and expected.ndim == 2 and expected.shape[1] == np.prod(ours.flattened):
            expected = expected.reshape(-1, *ours.flattened)     # the dropout before torchvision's first dense layer
        same(output.numpy(), expected, paths[id(module)])
    same(y.numpy(), y_theirs.detach(), "output")
    return (y, mine), (y_theirs, picture)


def same(ours, theirs, name):
    theirs = theirs.numpy()
    if theirs.ndim == 4:
        theirs = theirs.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ours, theirs.reshape(ours.shape), rtol=0, err_msg=name,
                               atol=CLOSE[ours.dtype.type] * np.abs(theirs).max())


def picture(*shape):
    return np.random.default_rng(1).random(shape, dtype=np.float32)


NETWORKS = {**{name: (lambda name=name: vgg(name), dict(width=8, hidden=20)) for name in
               ("vgg11", "vgg11-bn", "vgg11-lrn", "vgg13", "vgg13-bn", "vgg16", "vgg16-bn", "vgg16-c", "vgg19", "vgg19-bn")},
            "alexnet": (alexnet, dict(width=16, hidden=20)), "squeezenet1-1": (squeezenet, dict(width=16)),
            "alexnet-2012": (alexnet_2012, dict(width=12, hidden=20, preprocessing="torchvision"))}


def test_every_network_has_a_counterpart():
    assert NETWORKS.keys() == mc.models.IMAGENET.keys()


@pytest.mark.parametrize("name, pictures, height, width", [
    *[(name, 2, 64, 83) for name in NETWORKS],
    *[(name, 1, 224, 224) for name in ("vgg16", "alexnet", "alexnet-2012", "squeezenet1-1")]])
def test_activations_and_the_gradient_of_the_picture(name, pictures, height, width):
    network, options = NETWORKS[name]
    theirs = drawn(network)
    ours = mc.models.build(name, list("abcdefg"), rng=0, **options)
    assert ours.state_dict().keys() == state_of(theirs).keys()
    compare(taken_over(state_of(theirs), ours), theirs, picture(pictures, height, width, 3))


# ---- with the weights that are in use ------------------------------------------------------------------------------

def weights_file(name):
    path = data_folder("weights") / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    return np.load(path)


def squeezenet_arrays():
    file = weights_file("squeezenet1_1_torchvision.npz")
    return {name: file[name] for name in file.files}


@pytest.mark.parametrize("size", [(224, 224), (97, 131), (48, 37)])
def test_vgg16_of_the_oxford_group(size):
    file = weights_file("vgg16_features_lpips_fp16.npz")
    with mc.init.skipped():
        ours = mc.models.build("vgg16", features_only=True)
    named = {name: file[name] for name in file.files if name.startswith("conv")}                 # "conv1_1/w"
    state = {f"{mc.models.layer_path(ours, name[:-2])}.{'weight' if name.endswith('w') else 'bias'}":
             array.astype(np.float32) for name, array in named.items()}
    theirs = Net(vgg_features("vgg16")).eval().requires_grad_(False)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    photograph = mc.read_image(data_folder("images") / "content" / "chelsea.png", size=size)
    compare(taken_over(state, ours), theirs, photograph[None])


def test_squeezenet_in_full_size():
    state = squeezenet_arrays()
    theirs = squeezenet(64, 1000).eval().requires_grad_(False)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    with mc.init.skipped():
        ours = taken_over(state, mc.models.build("squeezenet1_1"))
    photograph = mc.read_image(data_folder("images") / "content" / "coffee.png", size=(97, 130))
    compare(ours, theirs, photograph[None])


@pytest.mark.parametrize("photograph, sensible", [
    ("chelsea.png", ["Egyptian cat", "tabby, tabby cat", "tiger cat"]), ("coffee.png", ["espresso"]),
    ("china.jpg", ["monastery", "palace"]), ("golden_gate.jpg", ["suspension bridge", "pier"])])
@pytest.mark.parametrize("seen", [dict(crops=1), dict(crops=10), dict(scales=[224, 288])])
def test_squeezenet_sees_what_is_in_photographs(photograph, sensible, seen):
    names = mc.models.read_class_names(data_folder("weights") / "imagenet_synset_words.txt", 1000)
    with mc.init.skipped():
        model = taken_over(squeezenet_arrays(), mc.models.build("squeezenet1_1", names))
    shares = mc.classify(model, mc.read_image(data_folder("images") / "content" / photograph), **seen)
    assert shares.sum() == pytest.approx(1, abs=1e-4) and names[shares.argmax()] in sensible
    assert not any(WORDNET_ID.match(name) for name in names)
