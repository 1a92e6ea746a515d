"""What NVIDIA's compiler makes of each kernel:   python tests/cuda/report.py [--all] [--write PAGE.md]

A table per architecture: registers, bytes that spill, shared memory, warps on a multiprocessor, and of the instructions in
the hot loop the share that multiplies and adds.  --all: of every architecture, else of three.  --write puts the table into a
page between its lines <!-- report --> and <!-- end of report -->.
"""
import argparse
from pathlib import Path

import nvrtc
import sass
import sources
from occupancy import occupancy

COMMON = ["75", "86", "90"]                      # an old card, one that many have, and one of a data centre
HEAD = ("| kernel | registers | spills | shared memory | threads | occupancy (limit) | hot loop: instructions | FFMA | shared | "
        "spills |", "| --- |" + " ---: |" * 9)
BEGIN, END = "<!-- report -->\n", "<!-- end of report -->"


def row(kernel, architecture, resources, instructions):
    """One line of the table."""
    share, limit = occupancy(architecture, resources.registers, resources.shared, resources.threads)
    loop = sass.hot_loop(instructions)
    kinds = sass.mix(loop)
    cells = [f"`{kernel}`", resources.registers, resources.spills, resources.shared, resources.threads,
             f"{share:.0%} ({limit})", len(loop) or "-"]
    cells += [f"{kinds[kind] / len(loop):.0%}" if loop else "-" for kind in ("FFMA", "shared", "spills")]
    return "| " + " | ".join(map(str, cells)) + " |"


def rows_of(path, architecture):
    """The lines of a file's kernels, in the order of the text."""
    text, name = path.read_text(encoding="utf-8"), sources.name_of(path)
    resources = nvrtc.compiled(text, architecture, name)
    code = sass.disassembled(nvrtc.binary(text, architecture, name))
    return [row(kernel, architecture, resources[kernel], code[kernel]) for kernel in sources.kernels_in(text)]


def tables(architectures):
    """The report as markdown."""
    lines = [f"NVRTC {nvrtc.version()}, options `{' '.join(nvrtc.OPTIONS)}`.", ""]
    for architecture in architectures:
        lines += [f"**sm_{architecture}** ({nvrtc.ARCHITECTURES[architecture]})", "", *HEAD]
        for path in sources.FILES:
            lines += rows_of(path, architecture)
        lines.append("")
    return "\n".join(lines)


def inserted(page, report):
    """The page with the report in its place."""
    before, _, rest = page.partition(BEGIN)
    if END not in rest:
        raise ValueError(f"the page has no lines {BEGIN.strip()} and {END}")
    return before + BEGIN + "\n" + report + "\n" + END + rest.partition(END)[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every architecture")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="put the tables into this page")
    arguments = parser.parse_args()
    if nvrtc.missing():
        raise SystemExit(nvrtc.missing())
    known = nvrtc.architectures()
    report = tables(known if arguments.all else [name for name in COMMON if name in known])
    print(report)
    if arguments.write:
        arguments.write.write_text(inserted(arguments.write.read_text(encoding="utf-8"), report), encoding="utf-8")


if __name__ == "__main__":
    main()
