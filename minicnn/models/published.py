"""Weights that others trained on ImageNet and published: where they can be had, and where they are kept here.

The digits in the name of a file of torchvision, vgg11-8a719046.pth, are the beginning of its SHA-256; where no more of it
is known, that much is checked.  (torch.hub.load_state_dict_from_url, check_hash)
"""
from dataclasses import dataclass

from ..files.download import Remote, cache_folder

TORCHVISION = ("https://download.pytorch.org/models/", "https://s3.amazonaws.com/pytorch/models/")
JCJOHNSON = ("https://web.eecs.umich.edu/~justincj/models/", "https://s3-us-west-2.amazonaws.com/jcjohns-models/")
HUGGING_FACE = ("https://huggingface.co/", "https://hf-mirror.com/")
BSD, OXFORD = "BSD-3-Clause (torchvision)", "CC BY 4.0 (Oxford VGG group)"


@dataclass(frozen=True)
class Published:
    """Weights of a network here.

    network        its name in NETWORKS
    files          Remotes that hold these same weights, in the order in which they are tried
    parameters     how many numbers they are
    top1           how many of ImageNet's validation pictures it recognises by their middle, in %; None: nobody says
    preprocessing  what was done to the pixels that it learned from: see imagenet.PREPROCESSING
    licence        short, and whose
    """
    network: str
    files: tuple
    parameters: int
    top1: float | None
    licence: str = BSD
    preprocessing: str = "torchvision"


def _torchvision(name, size=None, sha256=None):
    digits = name.removesuffix(".pth").rpartition("-")[2]
    return Remote(name, size, sha256 or digits, TORCHVISION)


def _timm(network, sha256):
    """The same weights as torchvision's, with some names of timm's own.

    Its files promise no hash by their names, so only those are downloaded whose SHA-256 is known.  Another one that
    you have, of timm's VGG-19 for one, is read by `minicnn weights import FILE --network vgg19`.
    """
    return Remote(f"{network}-timm.safetensors", None, sha256,
                  tuple(f"{address}timm/{network}.tv_in1k/resolve/main/model.safetensors" for address in HUGGING_FACE))


def _jcjohnson(name):
    return Remote(name, None, name.removesuffix(".pth").rpartition("-")[2], JCJOHNSON)


PUBLISHED = {
    "alexnet": Published("alexnet", (_torchvision(
        "alexnet-owt-7be5be79.pth", 244_408_911, "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),),
        61_100_840, 56.522),
    "squeezenet1-1": Published("squeezenet1-1", (_torchvision(
        "squeezenet1_1-b8a52dc0.pth", 4_958_839, "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"),),
        1_235_496, 58.178),
    "vgg11": Published("vgg11", (
        _torchvision("vgg11-8a719046.pth"),
        _timm("vgg11", "682c023808812148d4e60c76d80ad83dbeaf5d50eb1a952a0b836895003151e5")), 132_863_336, 69.020),
    "vgg11-bn": Published("vgg11-bn", (_torchvision("vgg11_bn-6002323d.pth"),), 132_868_840, 70.370),
    "vgg13": Published("vgg13", (_torchvision("vgg13-19584684.pth"),), 133_047_848, 69.928),
    "vgg13-bn": Published("vgg13-bn", (_torchvision("vgg13_bn-abd245e5.pth"),), 133_053_736, 71.586),
    "vgg16": Published("vgg16", (
        _torchvision("vgg16-397923af.pth", 553_433_881, "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
        _timm("vgg16", "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8")), 138_357_544, 71.592),
    "vgg16-bn": Published("vgg16-bn", (_torchvision("vgg16_bn-6c64b313.pth"),), 138_365_992, 73.360),
    "vgg16-caffe": Published("vgg16", (_jcjohnson("vgg16-00b39a1b.pth"),), 138_357_544, None, OXFORD, "caffe"),
    "vgg19": Published("vgg19", (_torchvision(
        "vgg19-dcbb9e9d.pth", 574_673_361, "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"),),
        143_667_240, 72.376),
    "vgg19-bn": Published("vgg19-bn", (_torchvision("vgg19_bn-c79401a0.pth"),), 143_678_248, 74.218),
    "vgg19-caffe": Published("vgg19", (_jcjohnson("vgg19-d01eb7cb.pth"),), 143_667_240, None, OXFORD, "caffe"),
}


def known(name):
    """(name in PUBLISHED, Published) of what "vgg16_bn" or "VGG16-BN" means.  ValueError lists the known ones."""
    if not is_known(name):
        raise ValueError(f"nothing is known of published weights {name!r}; there are {', '.join(PUBLISHED)}")
    return _plain(name), PUBLISHED[_plain(name)]


def is_known(name):
    """Whether `known` knows it."""
    return _plain(name) in PUBLISHED


def folder():
    """Where downloaded weights are kept."""
    return cache_folder() / "weights"


def cached(name):
    """Where the weights of that name are kept when they are downloaded, whether they are there or not."""
    return folder() / f"{_plain(name)}.safetensors"


def downloads():
    """The folder for the files as they were published, until they are converted."""
    return folder() / "downloads"


def _plain(name):
    return str(name).lower().replace("_", "-")
