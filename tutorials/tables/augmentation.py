"""What each augmentation buys: the same small network, trained from the same weights, once for each row of a table.

    python tutorials/tables/augmentation.py --data cifar10

trains on the first 5,000 pictures of CIFAR-10 and asks about all 10,000 test pictures; `--data` is a name or a folder, as
for `minicnn train`.  A line is written to stderr for each network, and at the end the table, in Markdown, to stdout.
The same command gives the same table, whatever else the machine is doing.
"""
import argparse
import sys
import time

import minicnn as mc

ROWS = ["none", "crop", "flip", "crop,flip"] + [
    f"crop,flip,{one}" for one in ("rotate=15", "scale=.2", "shear=10", "colour=.3", "pca=.1", "cutout=8", "mixup=.2")]
WIDTHS = ((16,), (32,), (64,), (128,))


def train(row, seed, data, test, epochs):
    """Train one network and return what it recognises: (of the training pictures, unchanged; of the test pictures)."""
    size, channels = data.images.shape[2:]
    model = mc.models.build("small", data.class_names, widths=WIDTHS, rng=seed, channels=channels, size=size)
    training = mc.Training(model, data, mc.TrainingSettings(epochs=epochs, augment=row, average=.98, seed=seed))
    training.run(quiet=True)
    averaged = training.averaged_model()
    return mc.accuracy(averaged, data), mc.accuracy(averaged, test)


def measure(rows, again, seeds, data, test, epochs):
    """{row: [(training, test), one for each seed]}: all rows with the first seed, those in `again` with the others too."""
    found = {row: [] for row in rows}
    for row, seed in [(row, seeds[0]) for row in rows] + [(row, seed) for seed in seeds[1:] for row in again]:
        started = time.perf_counter()
        found[row].append(train(row, seed, data, test, epochs))
        print(f"seed {seed}  {row:20} training {found[row][-1][0]:.2%}  test {found[row][-1][1]:.2%}  "
              f"{time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return found


def table(found):
    """Markdown: a line for each row, what came with the first seed, and in brackets with the others."""
    lines = ["| augmentation | training pictures | test pictures | against `none` | against `crop,flip` |",
             "|---|---:|---:|---:|---:|"]
    for row, results in found.items():
        cells = [f"`{row}`", *map(_cell, zip(*results))]
        cells += [_points(results, found.get(other)) if row != other else "" for other in ("none", "crop,flip")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(shares):
    first, *others = (f"{100 * share:.1f} %" for share in shares)
    return f"{first} ({', '.join(others)})" if others else first


def _points(results, others):
    """How many points of test accuracy more than the others, both with the first seed."""
    return f"{100 * (results[0][1] - others[0][1]):+.1f}" if others else ""


def main():
    parser = argparse.ArgumentParser(description="Train the same network with one augmentation after the other.")
    parser.add_argument("--data", default="cifar10", help="a data set's name, or a folder (cifar10)")
    parser.add_argument("--train", type=int, default=5000, metavar="N", help="how many training pictures (5000)")
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="passes over them (20)")
    parser.add_argument("--rows", nargs="+", default=ROWS, metavar="LIST", help="as `minicnn train --augment` takes them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], metavar="N",
                        help="the first for all rows, the others to see how far chance goes (0 1)")
    parser.add_argument("--again", nargs="+", default=["none", "crop,flip"], metavar="LIST",
                        help="the rows for the other seeds (none crop,flip)")
    options = parser.parse_args()
    data, test = mc.data.load(options.data, limit=options.train), mc.data.load(options.data, split="test")
    print(f"{len(data):,} training pictures, {len(test):,} test pictures, {options.epochs} epochs", file=sys.stderr)
    again = [row for row in options.rows if row in options.again]
    print(table(measure(options.rows, again, options.seeds, data, test, options.epochs)))


if __name__ == "__main__":
    main()
