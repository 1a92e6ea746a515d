"""The command about weights of others: weights list, download, import, show."""
import contextlib
import functools
import sys

from .. import models
from ..files import foreign
from ..models.importing import are_features_only, is_here
from ..models.published import PUBLISHED, cached, folder
from .common import add_command, add_network, positive, require_writable

LONGEST_REMARK, MOST_REMARKS = 200, 20           # characters and lines of what else a file says


def add_weights(commands):
    """The command `weights` and its options."""
    parser = add_command(
        commands, "weights", None, "networks that others trained: list, download, import, show",
        "Weights that were trained on ImageNet's photographs by others, or by you with PyTorch, for the networks here.\n"
        "Files of PyTorch, safetensors and NumPy are read without those libraries, and nothing in them is ever run.",
        ["minicnn weights list", "minicnn weights download vgg19 --features", "minicnn weights show vgg19-dcbb9e9d.pth",
         "minicnn weights import my.pth --network resnet20 -o my.safetensors"])
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for declare in (_add_list, _add_download, _add_import, _add_show):
        declare(actions)


# ---- list ----------------------------------------------------------------------------------------------------------

def _add_list(actions):
    add_command(actions, "list", run_list, "published weights: how large, how good, whether they are here",
                "What can be downloaded.  top-1: how many of ImageNet's validation pictures are recognised by their middle.",
                ["minicnn weights list"])


def run_list(args):
    """Carry out `minicnn weights list`."""
    rows = [("name", "numbers", "download", "top-1", "licence", "here")]
    rows += [(name, f"{weights.parameters / 1e6:.1f} million", f"{_download_size(weights) / 1e6:.0f} MB",
              f"{weights.top1:.1f} %" if weights.top1 else "-", weights.licence, _here(name))
             for name, weights in PUBLISHED.items()]
    _print_table(rows, right=(1, 2, 3))
    print(f"\ndownloaded ones lie in {folder()}")
    return 0


def _download_size(weights):
    """In bytes: of the first file, or four a number."""
    return weights.files[0].size or 4 * weights.parameters


def _here(name):
    path = cached(name)
    if not path.is_file():
        return "no"
    return f"{'features, ' if are_features_only(path) else ''}{path.stat().st_size / 1e6:.0f} MB"


def _print_table(rows, right=()):
    """Rows of strings below each other, some columns with their right sides."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [cell.rjust(width) if i in right else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


# ---- download and import -------------------------------------------------------------------------------------------

def _add_download(actions):
    parser = add_command(
        actions, "download", run_download, "download published weights",
        "Download weights, check them, and keep them as a safetensors file, so that --model NAME finds them.  A download\n"
        "that was cut off goes on where it stopped.  Without a network connection, the error says where to put the file.",
        ["minicnn weights download squeezenet1-1", "minicnn weights download vgg19 --features --dtype float16"])
    parser.add_argument("name", metavar="NAME", help="as `minicnn weights list` shows it")
    _add_form(parser)


def _add_import(actions):
    parser = add_command(
        actions, "import", run_import, "convert a file with weights",
        "Write the weights in a .safetensors, .pth, .pt or .npz file as weights of a network here.  Names are those of\n"
        "torchvision, timm or Caffe; whatever does not fit is shown, the file's beside the network's.",
        ["minicnn weights import vgg19-dcbb9e9d.pth",
         "minicnn weights import vgg_conv.pth --network vgg19 --features --preprocessing caffe -o gatys.safetensors",
         "minicnn weights import mine.pth --network lenet5 --channels 1 --size 28 --classes names.txt -o mine.safetensors"])
    parser.add_argument("file", metavar="FILE", help="a .safetensors, .pth, .pt or .npz file")
    add_network(parser, "what network it is of, if it is none that `minicnn weights list` shows")
    parser.add_argument("-o", "--output", metavar="FILE", help="a .safetensors file (where --model NAME finds it)")
    parser.add_argument("--preprocessing", choices=list(models.PREPROCESSING),
                        help="what was done to the pixels that the network learned from (what is known of it)")
    for name, text in [("channels", "of the pictures (3)"), ("size", "side of the pictures (32, or 224)")]:
        parser.add_argument(f"--{name}", type=positive, metavar="N", help=text)
    _add_form(parser)


def _add_form(parser):
    """What is kept, and how."""
    parser.add_argument("--features", action="store_true",
                        help="only the layers that see, not those that know classes: of VGG-19 80 MB instead of 575")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float32",
                        help="float16 halves the file and keeps about three digits (float32)")
    parser.add_argument("--classes", metavar="FILE", help="the names of the classes: a text file, a line each (numbers)")


def run_download(args):
    """Carry out `minicnn weights download`."""
    was_here = is_here(args.name, args.features)
    with _table_apart():
        path = models.download(args.name, args.features, args.dtype, _class_names(args))
    if was_here:
        print(f"{path} is here already: remove it to download it again")
        return 0
    return _written(path, args.name)


def run_import(args):
    """Carry out `minicnn weights import`."""
    if args.output:
        require_writable(args.output, [".safetensors"])
    options = {name: value for name in ("channels", "size") if (value := vars(args)[name])}
    with _table_apart():
        path = models.convert(args.file, args.network, args.output, args.features, args.dtype, _class_names(args),
                              args.preprocessing, **options)
    return _written(path, path if args.output else path.stem)


def _class_names(args):
    return functools.partial(models.read_class_names, args.classes) if args.classes else None


@contextlib.contextmanager
def _table_apart():
    """An error of several lines, what differs between a file and a network, is shown as the table that it is."""
    try:
        yield
    except ValueError as error:
        first, *table = str(error).splitlines()
        if not table:
            raise
        print("\n".join(table), file=sys.stderr)
        raise ValueError(first) from error


def _written(path, name):
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB): use it with --model {name}")
    return 0


# ---- show ----------------------------------------------------------------------------------------------------------

def _add_show(actions):
    parser = add_command(actions, "show", run_show, "what is in a file with weights",
                         "Names, kinds, shapes and bytes of the arrays in a .safetensors, .pth, .pt or .npz file, and what\n"
                         "else it says.  No network is built, and none of the numbers is read.",
                         ["minicnn weights show vgg19-dcbb9e9d.pth"])
    parser.add_argument("file", metavar="FILE", help="a .safetensors, .pth, .pt or .npz file")


def run_show(args):
    """Carry out `minicnn weights show`."""
    contents = foreign.opened(args.file)
    _print_table([("name", "kind", "shape", "bytes"), *(
        (name, array.kind, " x ".join(map(str, array.shape)) or "one number", f"{array.nbytes:,}")
        for name, array in contents.arrays.items())], right=(3,))
    numbers, size = (sum(sizes) for sizes in zip(*((array.size, array.nbytes) for array in contents.arrays.values())))
    print(f"\n{contents.form}: {len(contents.arrays)} arrays, {numbers:,} numbers, {size / 1e6:.1f} MB")
    for key, value in sorted(contents.metadata.items())[:MOST_REMARKS]:
        print(_remark(f"{key}: {value}"))
    if len(contents.metadata) > MOST_REMARKS:
        print(f"and {len(contents.metadata) - MOST_REMARKS} more remarks")
    return 0


def _remark(text):
    """In one line that can do nothing to a terminal."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text[:LONGEST_REMARK])
    return printable + " ..." * (len(text) > LONGEST_REMARK)
