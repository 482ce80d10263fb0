"""PyTorch's autograd on any array library.

>>> import plugrad as torch
>>> x = torch.ones(2, 2, requires_grad=True)
>>> (x * x + 2).sum().backward()
>>> x.grad
tensor([[2., 2.],
        [2., 2.]])
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from . import (  # modules first: `tensor`, `device` and `op` are names of two things
    autograd,
    cuda,
    dtypes,
    functions,
    lowering,
)
from .creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    get_default_device,
    linspace,
    ones,
    ones_like,
    set_default_device,
    tensor,
    zeros,
    zeros_like,
)  # fmt: skip
from .declaration import op
from .device import device
from .dtypes import (
    bfloat16,
    bool_,
    can_cast,
    complex64,
    complex128,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)  # fmt: skip
from .functions import *  # noqa: F403
from .inference import is_inference
from .methods.numpy_protocols import from_dlpack
from .modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .printing import get_printoptions, printoptions, set_printoptions
from .random import (
    Generator,
    bernoulli,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)  # fmt: skip
from .size import Size
from .tensor import Tensor, is_tensor, result_type

if TYPE_CHECKING:
    from . import func as func
    from . import linalg as linalg
    from . import nn as nn
    from . import optim as optim
    from . import testing as testing
    from . import utils as utils
    from .elementwise_kernels import elementwise_kernel as elementwise_kernel
    from .explanation import explain as explain
    from .kernels import fallback as fallback
    from .vendors import use_kernels as use_kernels

__version__ = "0.1.0"

bool = bool_
float, double, half = float32, float64, float16
int, long, short = int32, int64, int16
cfloat, cdouble = complex64, complex128
strided = "torch.strided"
inf, nan, pi, e = math.inf, math.nan, math.pi, math.e


def __getattr__(name: str) -> Any:
    # Imported at first use: a program without a network need not pay for them.
    if name == "explain":
        return importlib.import_module(f"{__name__}.explanation").explain
    if name == "fallback":
        return importlib.import_module(f"{__name__}.kernels").fallback
    if name == "elementwise_kernel":
        return importlib.import_module(f"{__name__}.elementwise_kernels").elementwise_kernel
    if name == "use_kernels":
        return importlib.import_module(f"{__name__}.vendors").use_kernels
    if name in ("func", "linalg", "nn", "optim", "testing", "utils"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
