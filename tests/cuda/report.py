"""What NVIDIA's compiler makes of each kernel:   python tests/cuda/report.py [86 90 ...] [--write PAGE.md]

A table of registers, and bytes that spill, for every architecture; and for those that are named (else sm_86) a table with
all else: shared memory, warps on a multiprocessor, and what the instructions of the hot loop do.  --write puts both into a
page between its lines <!-- report --> and <!-- end of report -->.
"""
import argparse
from pathlib import Path

import nvrtc
import sass
import sources
from occupancy import occupancy

HEAD = ("| kernel | registers | spills | shared memory | threads | occupancy (limit) | hot loop: instructions | FFMA | "
        "shared | spills |", "| --- |" + " ---: |" * 9)
BEGIN, END = "<!-- report -->\n", "<!-- end of report -->"


def row(kernel, architecture, resources, instructions):
    """One line of the table."""
    share, limit = occupancy(architecture, resources.registers, resources.shared, resources.threads)
    loop = sass.hot_loop(instructions)
    kinds = sass.mix(loop)
    cells = [f"`{kernel}`", resources.registers, resources.spills, resources.shared, resources.threads,
             f"{share:.0%} ({limit})", len(loop) or "-"]
    cells += [f"{kinds[kind] / len(loop):.0%}" if kinds[kind] else "-" for kind in ("FFMA", "shared", "spills")]
    return "| " + " | ".join(map(str, cells)) + " |"


def rows_of(path, architecture):
    """The lines of a file's kernels, in the order of the text."""
    text, name = path.read_text(encoding="utf-8"), sources.name_of(path)
    resources = nvrtc.compiled(text, architecture, name)
    code = sass.disassembled(nvrtc.binary(text, architecture, name))
    return [row(kernel, architecture, resources[kernel], code[kernel]) for kernel in sources.kernels_in(text)]


def details(architecture):
    """The table of one architecture."""
    title = f"**sm_{architecture}** ({nvrtc.ARCHITECTURES[architecture]}): bytes, threads of a block, and the hot loop"
    return [title, "", *HEAD] + [line for path in sources.FILES for line in rows_of(path, architecture)]


def summary(architectures):
    """The table of all architectures: registers, and in brackets the bytes that spill."""
    lines = ["**Registers of a thread**, and in brackets the bytes that spill", "",
             f"| kernel | threads | {' | '.join(f'sm_{name}' for name in architectures)} |",
             "| --- |" + " ---: |" * (1 + len(architectures))]
    for path in sources.FILES:
        text, name = path.read_text(encoding="utf-8"), sources.name_of(path)
        found = [nvrtc.compiled(text, architecture, name) for architecture in architectures]
        for kernel in sources.kernels_in(text):
            cells = [f"{f[kernel].registers}" + (f" ({f[kernel].spills})" if f[kernel].spills else "") for f in found]
            lines.append(f"| `{kernel}` | {found[0][kernel].threads} | {' | '.join(cells)} |")
    return lines


def report_of(architectures):
    """The report as markdown."""
    tables = [summary(nvrtc.architectures()), *map(details, architectures)]
    head = f"NVRTC {nvrtc.version()}, options `{' '.join(nvrtc.OPTIONS)}`."
    return "\n\n".join([head, *("\n".join(table) for table in tables)]) + "\n"


def inserted(page, report):
    """The page with the report in its place."""
    before, _, rest = page.partition(BEGIN)
    if END not in rest:
        raise ValueError(f"the page has no lines {BEGIN.strip()} and {END}")
    return before + BEGIN + "\n" + report + "\n" + END + rest.partition(END)[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="*", default=["86"], help=" ".join(nvrtc.ARCHITECTURES))
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="put the tables into this page")
    arguments = parser.parse_args()
    if nvrtc.missing():
        raise SystemExit(nvrtc.missing())
    wrong = set(arguments.architectures) - set(nvrtc.architectures())
    if wrong:
        parser.error(f"NVRTC {nvrtc.version()} does not know {', '.join(sorted(wrong))}")
    report = report_of(arguments.architectures)
    print(report)
    if arguments.write:
        arguments.write.write_text(inserted(arguments.write.read_text(encoding="utf-8"), report), encoding="utf-8")


if __name__ == "__main__":
    main()
