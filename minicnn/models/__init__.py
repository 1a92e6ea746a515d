"""Networks by name, and their weights: the ones that ship with the package, and files of your own.

    For small pictures                                                    For photographs (ImageNet)
    small.py     3x3 convolutions with batch norm: those that ship        alexnet.py     the paper's, and torchvision's
    lenet.py     the network that read cheques                            vgg.py         VGG-11 to VGG-19
    alexnet.py   large filters, overlapping pooling, dropout              squeezenet.py  as good as AlexNet, 5 MB
    vgg.py       the same idea as small, larger                           imagenet.py    what they share
    resnet.py    residual blocks                                          adapt.py        arrays of others to a network here
    own.py       one of your own, from a file

    networks.py   all of them by name        storing.py   saving and loading

    published.py   weights that others trained, and where they can be had      importing.py   downloading and converting them
"""
from ..inside.names import layer_path
from .classifier import Classifier, Standardize, numbered_classes, read_class_names
from .imagenet import PREPROCESSING, ImageNetClassifier, fully_convolutional
from .importing import convert, download
from .networks import (IMAGENET, NETWORKS, SMALL, alexnet, alexnet_2012, alexnet_small, build, lenet5, network_name,
                       resnet20, small, squeezenet1_1, vgg11, vgg11_bn, vgg11_lrn, vgg11_small, vgg13, vgg13_bn, vgg16,
                       vgg16_bn, vgg16_c, vgg19, vgg19_bn)
from .published import PUBLISHED, cached, is_known
from .small import SMALL_WIDTHS
from .start import ClassGaussian
from .storing import find, load, save, shipped_names
