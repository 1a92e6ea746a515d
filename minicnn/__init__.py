"""minicnn: convolutional networks from scratch, run forwards to recognise pictures and backwards to draw them.

    import minicnn as mc
    model = mc.models.load("robust")
    pictures = mc.generate.invert(model, "cat", count=8, seed=0)
    mc.write_image(mc.contact_sheet(pictures, scale=4), "cats.png")
"""
from . import interrupt

interrupt.while_starting()                       # before all that takes its time

from . import data, generate, images, models
from .checking.gradcheck import GradientError, gradcheck
from .core.arithmetic import (abs, add, argmax, argmin, broadcast_to, clip, concatenate, cos, divide, einsum, exp,
                              expand_dims, flatten, getitem, log, matmul, max, maximum, mean, min, minimum, multiply,
                              negative, outer, pad, power, repeat, reshape, sin, split, sqrt, squeeze, stack, std, subtract,
                              sum, swapaxes, tile, transpose, var, where)
from .core.backend import array_library, gpu_status
from .core.tensor import Tensor, check_finite, differentiable, no_grad, tensor
from .core.threads import threads
from .files.weights import load_into
from .images import contact_sheet, read_image, read_settings, resize, square, write_animation, write_image
from .inside.summary import summary
from .layers import (ELU, GELU, AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Conv2d, ConvTranspose2d, CrossEntropyLoss,
                     Dense, Dropout, Dropout2d, Flatten, GlobalAvgPool2d, GroupNorm, L1Loss, LayerNorm, LeakyReLU,
                     LocalResponseNorm, LogSoftmax, MaxPool2d, Module, MSELoss, Philox, ReLU, Sequential, Sigmoid, SiLU,
                     Softmax, Softplus, Tanh, Upsample, adaptive_avg_pool2d, avg_pool2d, batch_norm, conv2d,
                     conv_transpose2d, cross_entropy, dense, dropout, elu, exact, gelu, global_avg_pool2d, gram, group_norm,
                     init, l1_loss, layer_norm, leaky_relu, local_response_norm, log_softmax, max_pool2d, mse_loss, relu,
                     sigmoid, silu, softmax, softplus, tanh, upsample, watching)
from .models.storing import save
from .optim import (LBFGS, SGD, Adam, AdamW, Cosine, OneCycle, Optimizer, StepDecay, WeightAverage, clip_grad_norm,
                    clip_grad_value)
from .training import evaluation
from .training.attack import l2_attack, linf_attack
from .training.classification import classify
from .training.classifier import Training, TrainingSettings
from .training.prediction import accuracy, predict
from .training.run import Run

__version__ = "0.1.0"
