"""One layer, one room: what it computes, its gradient, and the Module that owns its weights."""
from .activation import (ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh, elu, gelu,
                         leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh)
from .conv import Conv2d, ConvTranspose2d, conv2d, conv_transpose2d, exact
from .dense import Dense, dense
from .dropout import Dropout, Dropout2d, Philox, dropout
from .gram import gram
from .loss import CrossEntropyLoss, L1Loss, MSELoss, cross_entropy, l1_loss, mse_loss
from .module import Flatten, Module, Sequential
from .norm import (BatchNorm2d, GroupNorm, LayerNorm, LocalResponseNorm, batch_norm, group_norm, layer_norm,
                   local_response_norm)
from .pool import (AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d, adaptive_avg_pool2d, avg_pool2d,
                   global_avg_pool2d, max_pool2d)
from .resample import Upsample, upsample
from .watching import watching
