"""The command gradcheck: prove the gradient of an operation."""
from ..checking.samples import check_operation
from .common import add_command, natural


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
