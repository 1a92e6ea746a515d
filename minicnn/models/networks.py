"""The networks by name, and building one."""
from ..files.userfile import is_place
from .alexnet import alexnet, alexnet_2012, alexnet_small
from .lenet import lenet5
from .own import bound, own_network
from .resnet import resnet20
from .small import small
from .squeezenet import squeezenet1_1
from .vgg import vgg11, vgg11_bn, vgg11_lrn, vgg11_small, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg16_c, vgg19, vgg19_bn

# builders: network(class_names, rng=None, channels=3, size=32, **options) -> Classifier
SMALL = {"small": small, "lenet5": lenet5, "alexnet-small": alexnet_small, "vgg11-small": vgg11_small, "resnet20": resnet20}
# the same with size=224, and class_names=None for a thousand numbers
IMAGENET = {"alexnet": alexnet, "alexnet-2012": alexnet_2012, "vgg11": vgg11, "vgg11-lrn": vgg11_lrn, "vgg11-bn": vgg11_bn,
            "vgg13": vgg13, "vgg13-bn": vgg13_bn, "vgg16-c": vgg16_c, "vgg16": vgg16, "vgg16-bn": vgg16_bn, "vgg19": vgg19,
            "vgg19-bn": vgg19_bn, "squeezenet1-1": squeezenet1_1}
NETWORKS = {**SMALL, **IMAGENET}


def network_name(text):
    """The name in NETWORKS that is meant: "vgg16_bn" and "VGG16-BN" are "vgg16-bn".  Another text comes back as it is."""
    name = text.lower().replace("_", "-")
    return name if name in NETWORKS else text


def build(network, class_names=None, rng=None, **options):
    """A new Classifier: a network by name, or "file.py:function", one of your own (see own.py), whose file is run.

    class_names   a string a class; of the networks in IMAGENET None stands for a thousand numbers
    rng           a Generator, a seed or None (see layers/init.py)
    options       channels and size of the pictures, and what else the network takes: see its function

    What it was built with is remembered as `model.architecture`, so that `save` can write it and `load` build it again.
    Within `init.skipped()` nothing is drawn, and a network of half a gigabyte takes no time.
    Raises ValueError for an unknown network, with the names of the known ones, and for an option that it does not take;
    FileNotFoundError for a missing file.
    """
    network = network_name(network)
    if class_names is None and (network in SMALL or is_place(network)):
        raise ValueError(f"network {network!r} needs class_names, a string for each class")
    if is_place(network):
        model = own_network(network, class_names, rng, **options)
    elif network in NETWORKS:
        call = bound(network, NETWORKS[network], class_names, rng=rng, **options)
        model = NETWORKS[network](*call.args, **call.kwargs)
    else:
        raise ValueError(f"there is no network {network!r}; there are {', '.join(NETWORKS)}, or name a function of your "
                         "own as file.py:function")
    model.architecture = {"network": network, "class_names": model.class_names, "options": options}
    return model
