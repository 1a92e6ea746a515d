"""A command about augmentation: augment."""
import shlex
from pathlib import Path

import numpy as np

from .. import __version__, images
from ..data.augment import AMOUNTS, mixup, parse
from ..data.dataset import Dataset
from ..files import weights
from .common import add_command, eight_bits, natural, percent, positive, require_writable

DRAWS = 6                                        # of each augmentation
TILE = 96                                        # pixels of a picture on the sheet, at least
STRONGER = {"rotate": 30, "scale": .3, "shear": 20, "pca": .5}    # than the defaults, which the eye hardly sees
SHOWN = str(parse(",".join(f"{name}={STRONGER[name]}" if name in STRONGER else name for name in AMOUNTS)))


def add_augment(commands):
    """The command `augment` and its options."""
    parser = add_command(
        commands, "augment", run_augment, "what augmentation does to a picture",
        "A sheet with a row for each augmentation: the picture, then several draws.  The last row does all of them at\n"
        "once.  Mixup mixes the picture with its mirror image, and below stands how much of the picture is left.\n\n"
        f"LIST is some of  {','.join(AMOUNTS)}\n"
        "with an amount or without, as in  crop,rotate=30.  Without --with a few are shown stronger than is usual:\n"
        f"{SHOWN}",
        ["minicnn augment tutorials/pictures/chelsea.jpg -o sheet.png",
         "minicnn augment photo.jpg -o sheet.png --with crop,flip,rotate=30 --seed 1",
         "minicnn augment photo.jpg -o sheet.png --size 128 --with rotate,cutout=32"])
    parser.add_argument("picture", metavar="PICTURE", help="a picture file; its middle square is taken")
    parser.add_argument("-o", "--output", default="augmented.png", metavar="FILE",
                        help="the sheet, a .png or .jpg (augmented.png)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="another seed, other draws (0)")
    parser.add_argument("--size", type=positive, default=32, metavar="PIXELS",
                        help="side to which the picture is shrunk first: amounts in pixels refer to it (32)")
    parser.add_argument("--with", dest="augmentations", default=SHOWN, metavar="LIST",
                        help="which augmentations, and how much (all of them)")


def run_augment(args):
    """Carry out `minicnn augment`."""
    chosen = parse(args.augmentations)
    require_writable(args.output, images.PICTURE_FORMATS, [args.picture])
    picture = images.square(images.read_image(args.picture))
    picture = np.clip(images.resize(picture, (args.size, args.size), "lanczos"), 0, 1)
    pictures, captions = _rows(picture, chosen, args.seed)
    sheet = images.contact_sheet(pictures, captions, columns=1 + DRAWS, scale=max(1, TILE / args.size))
    images.write_image(sheet, args.output, _settings(chosen, args))
    print(f"wrote {args.output}: {chosen}, {DRAWS} draws each")
    return 0


def _rows(picture, chosen, seed):
    """Pictures and captions of the sheet, row by row; each row starts a generator of its own from the seed."""
    words = str(chosen).split(",")
    pictures, captions = [], []
    for word in words + [str(chosen)] * (len(words) > 1):
        drawn, shares = _draws(picture, parse(word), np.random.default_rng(seed))
        name = word if word in words else "all of them"
        pictures += [picture, *drawn]
        captions += ["original", *(f"{name}\n{percent(share)}" if "mixup" in word else name for share in shares)]
    return pictures, captions


def _draws(picture, augmentation, rng):
    """DRAWS augmented pictures, and of each how much is left after mixup.

    Every second picture of the batch is the mirror image, for mixup to mix with; principal colours are the picture's own.
    """
    pair = np.stack([picture, picture[:, ::-1]])                            # (2, H, W, 3)
    labels = np.tile([0, 1], DRAWS)
    fitted = augmentation.fit(Dataset(eight_bits(pair), labels[:2], ["picture", "mirrored"]))
    x, shares = mixup(fitted(pair[labels], rng), labels, 2, rng, augmentation.mixup)
    return x[::2], shares[::2, 0]


def _settings(chosen, args):
    """What is kept in the sheet: enough to make it again.  Files by their names only, not where they lie."""
    command = ["minicnn", "augment", Path(args.picture).name, "--seed", str(args.seed), "--size", str(args.size),
               "--with", str(chosen)]
    return {"command": shlex.join(command), "seed": args.seed, "version": __version__,
            "picture": weights.hash_of(args.picture)}
