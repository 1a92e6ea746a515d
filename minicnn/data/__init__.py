"""Pictures to learn from: labelled data sets, augmentation and batches.

    train = load("cifar10", split="train")      # or "mnist", "fashion-mnist", "cifar100", "shapes", or a folder
    for x, labels in Batches(train, size=128, seed=0, augment=augment.parse("crop,flip,rotate=10")).epoch(0):
        ...                                     # x (128, 32, 32, 3) float32 in 0..1, labels (128,) int64
"""
from . import augment
from .augment import random_crop, random_flip, standard
from .batches import Batches
from .catalogue import NAMES, class_balance, load
from .cifar10 import load_cifar10
from .cifar100 import load_cifar100
from .dataset import Dataset
from .folder import load_folder
from .idx import load_fashion_mnist, load_mnist
from .shapes import load_shapes
