"""Commands that look inside: gradcheck, summary, doctor, bench."""
import json

from .. import models
from ..checking.samples import check_operation
from ..core.backend import DEVICES, chosen_device
from ..data.cifar10 import CLASS_NAMES
from ..files.atomic import atomic_write
from ..inside.summary import summary
from ..layers import init
from .common import add_command, add_model, add_network, load_model, natural, positive, require_writable


def add_gradcheck(commands):
    """The command `gradcheck` and its options."""
    parser = add_command(
        commands, "gradcheck", run_gradcheck, "prove the gradient of an operation",
        "Compare the gradient rules of an operation with central differences of itself, on awkward inputs, and show a\n"
        "table.  An operation of your own is named as file.py:function.  Exit code 1 when a gradient is wrong.",
        ["minicnn gradcheck conv2d", "minicnn gradcheck my_layer.py:swish"])
    parser.add_argument("operation", metavar="NAME|FILE.py:FUNCTION", help="an operation, or a function in a file")
    parser.add_argument("--seed", type=natural, default=0, help="of the inputs and of the upstream gradients (0)")


def run_gradcheck(args):
    import minicnn                               # late: every operation by its name

    text, ok = check_operation(args.operation, vars(minicnn), args.seed)
    print(text)
    return 0 if ok else 1


def add_summary(commands):
    """The command `summary` and its options."""
    parser = add_command(
        commands, "summary", run_summary, "the layers of a network and their sizes",
        "One line a layer: its output, its weights, its multiplications for one picture, and how many pixels it sees.\n"
        "A network of your own is named as file.py:function.",
        ["minicnn summary", "minicnn summary --network resnet20", "minicnn summary --network lenet5 --channels 1 --size 28",
         "minicnn summary --network vgg19",
         "minicnn summary --network my_network.py:build", "minicnn summary --model my.safetensors"])
    which = parser.add_mutually_exclusive_group()
    add_model(which)
    add_network(which, "a kind of network, untrained")
    for name, text in [("channels", "of the pictures, with --network (3)"), ("size", "side of the pictures (32, or 224)")]:
        parser.add_argument(f"--{name}", type=positive, metavar="N", help=text)


def run_summary(args):
    """Carry out `minicnn summary`."""
    if args.network:
        options = {name: value for name in ("channels", "size") if (value := vars(args)[name])}
        print(summary(_untrained(args.network, options)))
        return 0
    if args.channels:
        args.usage_error("--channels is for a new network, with --network; the one of --model has its own")
    model, _ = load_model(args.model)
    print(summary(model, (args.size, args.size, model.input_shape[2]) if args.size else None))
    return 0


def _untrained(network, options):
    if network not in models.IMAGENET:
        return models.build(network, CLASS_NAMES, rng=0, **options)
    with init.skipped():                         # half a gigabyte of random numbers would take a while, and nobody sees them
        return models.build(network, **options)


def add_doctor(commands):
    add_command(commands, "doctor", run_doctor, "what this machine and this installation offer",
                "Versions, the linear algebra library and its threads, whether a GPU is used and why not, the\n"
                "networks that ship with minicnn, and how fast matrices are multiplied: send it along with a question.",
                ["minicnn doctor"])


def run_doctor(args):
    from .. import doctor                        # late: nobody else needs it
    for topic, finding in doctor.findings():
        print(f"{topic:<16}  {finding}", flush=True)
    return 0


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
            temporary.write_text(json.dumps(result, indent=1))
    return 0


def _print_now(text):
    print(text, flush=True)
