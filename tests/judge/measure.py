"""How good are pictures that a network drew?   python tests/judge/measure.py PICTURES DATA

PICTURES is a folder of PNGs named class-000.png, as `minicnn invert --all --native PICTURES` writes them; DATA a folder with
CIFAR-10.  Only the saved files are looked at, by a network that took no part in making them; larger ones shrunk to 32x32.

Written down before the first measurement of these networks:
    accuracy    mean over the classes at least 97 %, in the worst class at least 85 %; of pictures drawn larger, 90 % in the mean
    diversity   mean distance between two pictures of one class, in the judge's features, at least .3 of real photographs'
Controls that must fail: noise and the plain gradient (accuracy, at most half), the class's mean picture (diversity).
"""
import sys
from pathlib import Path

import network
import numpy as np

from minicnn.data import load_cifar10
from minicnn.images import read_image, resize

MEAN_ACCURACY, WORST_ACCURACY, DIVERSITY = .97, .85, .3
MEAN_ACCURACY_OF_LARGER = .90


def read_pictures(folder, class_names):
    """(pictures (N, 32, 32, 3) uint8, labels (N,)) of a folder's files class-*.png."""
    paths = [(path, k) for k, name in enumerate(class_names) for path in sorted(Path(folder).glob(f"{name}-*.png"))]
    if not paths:
        raise SystemExit(f"{folder} holds no files like {class_names[0]}-000.png")
    pictures = [np.clip(resize(read_image(path), (32, 32), "lanczos"), 0, 1) for path, _ in paths]
    return np.stack([np.rint(picture * 255).astype(np.uint8) for picture in pictures]), np.array([k for _, k in paths])


def measure(judge, pictures, labels, real):
    """{"mean": accuracy, "worst": accuracy of the worst class, "classes": {...}, "diversity": share of real pictures'}."""
    seen, features = network.opinion(judge, pictures)
    by_class = {k: float((seen[labels == k] == k).mean()) for k in np.unique(labels)}
    _, real_features = network.opinion(judge, real.images)
    ours = np.mean([spread(features[labels == k]) for k in by_class])
    theirs = np.mean([spread(real_features[real.labels == k][:100]) for k in by_class])
    return {"mean": float(np.mean(list(by_class.values()))), "worst": min(by_class.values()),
            "classes": {real.class_names[k]: share for k, share in by_class.items()}, "diversity": float(ours / theirs)}


def spread(features):
    """Mean distance between two different rows."""
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    n = len(features)
    return distances.sum() / (n * (n - 1))


def passes(result):
    return (result["mean"] >= MEAN_ACCURACY and result["worst"] >= WORST_ACCURACY and result["diversity"] >= DIVERSITY)


def controls(real, n=10, seed=0):
    """{name: (pictures, labels)}: what no measure may let pass, and real photographs, which must fare well."""
    labels = np.repeat(np.arange(10), n)
    rng = np.random.default_rng(seed)
    means = np.rint(real.class_means() * 255).astype(np.uint8)
    photographs = np.concatenate([real.images[real.labels == k][:n] for k in range(10)])
    return {"noise": (rng.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8), labels),
            "class mean": (means[labels], labels), "photographs": (photographs, labels)}


def line(name, result):
    classes = "  ".join(f"{name} {share:.0%}" for name, share in result["classes"].items())
    return (f"{name:14s} mean {result['mean']:6.1%}   worst {result['worst']:6.1%}   diversity {result['diversity']:.2f}   "
            f"{'passes' if passes(result) else 'fails '}   {classes}")


def main(folder, data):
    judge, real = network.load(), load_cifar10(data, "test")
    print(line("pictures", measure(judge, *read_pictures(folder, real.class_names), real)))
    for name, (pictures, labels) in controls(real).items():
        print(line(name, measure(judge, pictures, labels, real)))


if __name__ == "__main__":
    main(*sys.argv[1:])
