"""The command bench: how long the engine takes, beside PyTorch if you like."""
import json

from ..core.backend import DEVICES, chosen_device
from ..files.atomic import atomic_write
from .common import add_command, positive, require_writable


def add_bench(commands):
    """The command `bench` and its options."""
    parser = add_command(
        commands, "bench", run_bench, "how long the engine takes, beside PyTorch if you like",
        "Time layers, training steps and a step of style transfer; medians over rounds.  With --against torch the same\n"
        "work runs in PyTorch in turn, in processes of their own and on all processors: in both memory layouts, and\n"
        "compiled where that can help; the best of them counts.  MB: the most memory that was resident during a round,\n"
        "over that after the imports.  Everything against torch takes half an hour.",
        ["minicnn bench train-step", "minicnn bench style-step-256 conv --against torch --json bench.json",
         "minicnn bench style-step-256 --profile"])
    parser.add_argument("works", nargs="*", metavar="WORK", help="what to time, by name or its beginning (everything)")
    parser.add_argument("--against", choices=["torch"], help="time the same in PyTorch (pip install torch)")
    parser.add_argument("--device", choices=DEVICES[1:], default="cpu", help="where both work (cpu)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile: quicker, not quite as fair")
    parser.add_argument("--rounds", type=positive, default=15, metavar="N", help="how often each is timed (15)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    parser.add_argument("--profile", action="store_true",
                        help="instead, where the time of a WORK goes: operations, directions, shapes")


def run_bench(args):
    """Carry out `minicnn bench`."""
    from .. import bench                         # late: nobody else needs it
    bench.select(args.works)
    if args.json:
        require_writable(args.json, [".json"])
    if args.profile:
        if not args.works or args.against or args.device != "cpu":
            args.usage_error("--profile shows where the time of a WORK goes on the CPU: name one, without --against")
        result = bench.profile(args.works, args.rounds, tell=_print_now)
    else:
        result = bench.run(args.works, args.against == "torch", not args.no_compile, args.rounds, _print_now,
                           chosen_device(args.device))
    if args.json:
        with atomic_write(args.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0


def _print_now(text):
    print(text, flush=True)
