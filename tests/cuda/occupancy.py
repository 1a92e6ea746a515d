"""How many warps a multiprocessor holds at once, by CUDA's published rules.

A multiprocessor hides the time that memory takes by going on with another warp.  How many it holds is limited by four
things, each of which a block takes in whole portions: places for blocks, places for warps, registers and shared memory.

The numbers are those of NVIDIA's CUDA C++ Programming Guide, "Compute Capabilities" (technical specifications), and of its
Occupancy Calculator (portions).
"""
from dataclasses import dataclass

WARP, REGISTERS = 32, 65536                      # threads of a warp; registers of a multiprocessor
REGISTER_PORTION, WARP_PORTION = 256, 4          # registers are given to a warp, and to four warps at once, in such numbers


@dataclass(frozen=True)
class Limits:
    """Of a multiprocessor.   reserved: bytes of shared memory that the system takes of each block"""
    warps: int
    blocks: int
    shared: int
    shared_portion: int
    reserved: int


LIMITS = {
    "75": Limits(32, 16, 64 << 10, 256, 0),
    "80": Limits(64, 32, 164 << 10, 128, 1024),
    "86": Limits(48, 16, 100 << 10, 128, 1024),
    "89": Limits(48, 24, 100 << 10, 128, 1024),
    "90": Limits(64, 32, 228 << 10, 128, 1024),
    "100": Limits(64, 32, 228 << 10, 128, 1024),
    "120": Limits(48, 24, 100 << 10, 128, 1024),
}


def upwards(number, portion):
    """The next multiple of the portion."""
    return -(-number // portion) * portion


def blocks_at_once(architecture, registers, shared, threads):
    """{what limits it: how many blocks of a kernel it leaves room for}."""
    limits, warps = LIMITS[architecture], -(-threads // WARP)
    warps_with_registers = REGISTERS // upwards(max(registers, 1) * WARP, REGISTER_PORTION)
    block_shared = upwards(shared + limits.reserved, limits.shared_portion)
    return {"blocks": limits.blocks, "warps": limits.warps // warps,
            "registers": warps_with_registers // WARP_PORTION * WARP_PORTION // warps,
            "shared memory": limits.shared // block_shared if block_shared else limits.blocks}


def occupancy(architecture, registers, shared, threads):
    """(share of a multiprocessor's warps that are there, what limits it)."""
    room = blocks_at_once(architecture, registers, shared, threads)
    least = min(room, key=room.get)
    return room[least] * -(-threads // WARP) / LIMITS[architecture].warps, least
