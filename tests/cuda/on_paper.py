"""How fast the convolution's kernel can be, on paper:   python tests/cuda/on_paper.py

For layers and GPUs it prints what limits the kernel, the bound that follows, and what was measured where there was a GPU.
ON-PAPER.md says how.
"""
import math
from dataclasses import dataclass

FFMA, SHARED_LOADS, STORES = 1024, 64, 16               # of a thread and a slice of 16; stores counted in wavefronts
SCHEDULERS = 4                                           # of a multiprocessor: each starts one instruction a cycle
INSTRUCTIONS = {"wide": 1255, "medium": 1318}            # of a slice, sm_90: see report.py
TILES = {"wide": (128, 128), "medium": (64, 64)}         # pixels, filters
WARPS = {"wide": 8, "medium": 2}                         # of a block
BLOCKS = {"wide": 2, "medium": 4}                        # that fit on a multiprocessor: 128 registers x 256, 203 x 64
LAYERS = ((64, 32, 32, 128, 256), (1, 128, 128, 128, 128), (32, 28, 28, 128, 128), (32, 56, 56, 64, 64),
          (1, 64, 64, 256, 256), (1, 32, 32, 512, 512))  # images, height, width, channels, filters; 3x3, stride 1
MEASURED = {"H200": (41.8, 35.0, 31.3, 35.4, 29.4, 15.3)}        # TFLOP/s of these layers


@dataclass(frozen=True)
class GPU:
    """multiprocessors; clock in GHz; bandwidth of its memory in GB/s: as NVIDIA publishes them"""
    name: str
    multiprocessors: int
    clock: float
    bandwidth: float

    def peak(self):
        """TFLOP/s: 128 multiply-adds a multiprocessor and cycle."""
        return self.multiprocessors * 128 * 2 * self.clock / 1e3


GPUS = GPU("H200", 132, 1.98, 4800), GPU("RTX 4090", 128, 2.52, 1008)


def tile_of(layer):
    """The rule of implicit.py."""
    N, H, W, _, K = layer
    wide = K > 64 and math.ceil(N * H * W / 128) * math.ceil(K / 128) >= 128
    return "wide" if wide else "medium"


def shares(layer, gpu):
    """{limit: share of the peak} of one layer."""
    N, H, W, C, K = layer
    size = tile_of(layer)
    tall, broad = TILES[size]
    blocks = math.ceil(N * H * W / tall) * math.ceil(K / broad)
    rounds = math.ceil(blocks / gpu.multiprocessors)
    at_once = min(BLOCKS[size], rounds)
    flops, moved = 2 * 9 * N * H * W * C * K, 4 * (N * H * W * (C + K) + 9 * C * K)
    return {"instructions": FFMA / INSTRUCTIONS[size],
            "shared memory": FFMA / (SCHEDULERS * (4 * SHARED_LOADS + STORES)),
            "memory": min(1, flops / moved * gpu.bandwidth / gpu.peak() / 1e3),
            "blocks": blocks / (rounds * gpu.multiprocessors),
            "warps": min(1, at_once * WARPS[size] / SCHEDULERS)}


def bound(layer, gpu):
    """The share of the peak: the narrowest of what works side by side, as far as all multiprocessors have work."""
    found = shares(layer, gpu)
    return min(found["instructions"], found["shared memory"], found["memory"]) * found["blocks"] * found["warps"]


def main():
    for gpu in GPUS:
        print(f"{gpu.name}: {gpu.peak():.1f} TFLOP/s in float32, {gpu.bandwidth} GB/s")
        for layer, measured in zip(LAYERS, MEASURED.get(gpu.name, [None] * len(LAYERS))):
            limits = "  ".join(f"{name} {share:.0%}" for name, share in shares(layer, gpu).items())
            most = bound(layer, gpu) * gpu.peak()
            seen = f"; measured {measured} ({measured / most:.0%} of that)" if measured else ""
            print(f"  {'x'.join(map(str, layer[:4])):>14} -> {layer[4]:<4}{tile_of(layer):<7} {limits}  "
                  f"=> at most {most:.1f} TFLOP/s{seen}")


if __name__ == "__main__":
    main()
