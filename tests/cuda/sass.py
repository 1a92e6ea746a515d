"""The machine code that NVIDIA's compiler made of a kernel, and the mix of instructions in its hot loop."""
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass

import nvrtc

_INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,6})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);")
_TARGET = re.compile(r"0x([0-9a-f]+)")
KINDS = {"FFMA": "FFMA", "FADD": "other arithmetic", "FMUL": "other arithmetic", "MUFU": "other arithmetic",
         "LDG": "global", "STG": "global", "LDS": "shared", "STS": "shared", "LDL": "spills", "STL": "spills",
         "BAR": "barrier"}


@dataclass(frozen=True)
class Instruction:
    """jump: the address that a branch goes to, or None"""
    address: int
    name: str
    jump: int | None


def disassembled(path):
    """{kernel: [Instruction, ...]} of a file of machine code."""
    tools = nvrtc.folder() / "bin"
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    said = subprocess.run([tools / "cuobjdump", "-sass", path], capture_output=True, text=True, check=True, env=environment)
    return parsed(said.stdout)


def parsed(text):
    """The same from what cuobjdump prints."""
    found = {}
    for part in re.split(r"\n\s+Function : ", text)[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = [_instruction(*match) for match in _INSTRUCTION.findall(body)]
    return found


def _instruction(address, name, operands):
    target = _TARGET.search(operands) if name.startswith("BRA") else None
    return Instruction(int(address, 16), name.partition(".")[0], int(target.group(1), 16) if target else None)


def hot_loop(instructions):
    """The loop (what lies between a branch backwards and where it goes) with most multiply-adds, the shortest of such; [] if
    there is none.  It is where the time goes in a kernel that multiplies."""
    loops = [[other for other in instructions if branch.jump <= other.address <= branch.address]
             for branch in instructions if branch.jump is not None and branch.jump < branch.address]
    return max(loops, default=[], key=lambda loop: (mix(loop)["FFMA"], -len(loop)))


def mix(instructions):
    """Counter of kinds of instructions; "index and control" are all that no other kind has."""
    return Counter(KINDS.get(instruction.name, "index and control") for instruction in instructions)
