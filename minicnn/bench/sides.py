"""What the works need on either side: random arrays, and for PyTorch the setting that it runs in."""
import numpy as np

LAYOUTS = ("contiguous_format", "channels_last")
COMPILED = "compiled "                           # before the name of a layout: the same through torch.compile


def random(*shape, seed=0):
    """Normally distributed float32.  (Made in float64 first, they would take the memory that is to be measured.)"""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


class TorchSide:
    """PyTorch in one of its settings: "contiguous_format", "channels_last", or one of these after "compiled "."""

    def __init__(self, torch, setting):
        self.torch, self.functional = torch, torch.nn.functional
        self.compiled, self.layout = setting.startswith(COMPILED), getattr(torch, setting.removeprefix(COMPILED))

    def images(self, x):
        """(N, H, W, C), a NumPy array  ->  (N, C, H, W), a torch tensor."""
        return self.torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)

    def filters(self, weight):
        """(kh, kw, C, K), a NumPy array  ->  (K, C, kh, kw), a torch tensor."""
        return self.torch.from_numpy(weight).permute(3, 2, 0, 1).contiguous(memory_format=self.layout)

    def ready(self, function):
        """The function as this setting runs it."""
        return self.torch.compile(function) if self.compiled else function
