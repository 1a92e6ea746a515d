"""The judge: a ResNet-20 (He et al. 2016, section 4.2) in PyTorch.

It shares nothing with the generator: another architecture, another library, another seed, and it has only ever seen
photographs.  minicnn never imports it.
"""
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).parent / "judge.safetensors"


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        self.skip = nn.Sequential() if stride == 1 and c_in == c_out else nn.Sequential(
            nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.skip(x))


class ResNet20(nn.Module):
    """Pictures (N, 3, 32, 32) in 0..1  ->  logits (N, 10); `features` are the 64 numbers before the last layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        blocks, c = [], 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for i in range(3):
                blocks.append(Block(c, width, stride if i == 0 else 1))
                c = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(64, 10)

    def features(self, x):
        return self.blocks(self.stem((x - .47) / .25)).mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))


def load():
    """The judge with its committed weights, in evaluation mode."""
    network = ResNet20()
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in load_file(WEIGHTS).items()})
    return network.eval()


@torch.no_grad()
def opinion(network, pictures):
    """uint8 pictures (N, 32, 32, 3)  ->  (classes (N,), features (N, 64)) as NumPy arrays."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    features = torch.cat([network.features(part) for part in x.split(500)])
    return network.head(features).argmax(1).numpy(), features.numpy()
