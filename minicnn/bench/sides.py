"""What the works need on either side: random arrays, the device, and for PyTorch the setting that it runs in."""
import sys

import numpy as np

from ..core.backend import to_device

LAYOUTS = ("contiguous_format", "channels_last")
COMPILED = "compiled "                           # before the name of a layout: the same through torch.compile
TF32 = "tf32 "                                   # before one of them: a GPU's tensor cores may round products to 10 bits

_device = ["cpu"]                                # where our side works


def work_on(device):
    """From now on our side's arrays are placed on this device, 'cpu' or 'cuda'."""
    _device[:] = [device]


def placed(thing):
    """An array, or a Module, where our side works."""
    return to_device(thing, _device[0]) if hasattr(thing, "dtype") else thing.to(_device[0])


def settle():
    """Wait until our side's GPU, if it works on one, has done all that it was handed."""
    if _device[0] == "cuda":
        sys.modules["cupy"].cuda.Device().synchronize()


def random(*shape, seed=0):
    """Normally distributed float32.  (Made in float64 first, they would take the memory that is to be measured.)"""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


class TorchSide:
    """PyTorch in one of its settings: "contiguous_format", "channels_last", or one of these after "compiled " or "tf32 ".

    device   "cpu" or "cuda"; there products are rounded like ours, to float32, unless the setting says tf32
    """

    def __init__(self, torch, setting, device="cpu"):
        self.torch, self.functional, self.device = torch, torch.nn.functional, device
        self.compiled = setting.startswith(COMPILED)
        self.layout = getattr(torch, setting.removeprefix(COMPILED).removeprefix(TF32))
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = setting.startswith(TF32)
        torch.backends.cudnn.benchmark = True                    # it may try its algorithms first

    def array(self, x):
        """A NumPy array as a torch tensor."""
        return self.torch.from_numpy(x).to(self.device)

    def settle(self):
        """Wait until its GPU, if it works on one, has done all that it was handed."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def images(self, x):
        """(N, H, W, C), a NumPy array  ->  (N, C, H, W), a torch tensor."""
        return self.array(x).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)

    def filters(self, weight):
        """(kh, kw, C, K), a NumPy array  ->  (K, C, kh, kw), a torch tensor."""
        return self.array(weight).permute(3, 2, 0, 1).contiguous(memory_format=self.layout)

    def ready(self, function):
        """The function as this setting runs it."""
        return self.torch.compile(function) if self.compiled else function
