"""The command show-settings: how a picture of minicnn was made."""
import json

from .. import images
from .common import add_command


def add_show_settings(commands):
    """The command `show-settings` and its options."""
    parser = add_command(
        commands, "show-settings", run_show_settings, "how a picture of minicnn was made",
        "Print what stands in a picture that minicnn made: command, seed, version, network and hash of its weights.",
        ["minicnn show-settings cat.png"])
    parser.add_argument("picture", metavar="PICTURE", help="a .png, .jpg or .gif")


def run_show_settings(args):
    """Carry out `minicnn show-settings`."""
    settings = images.read_settings(args.picture)
    if settings is None:
        raise ValueError(f"{args.picture} holds no settings: minicnn did not make it, or another program saved it "
                         "again; take the original file")
    print(json.dumps(settings, indent=2, ensure_ascii=False))
    return 0
