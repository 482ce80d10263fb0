"""Convolutions by NVIDIA's cuDNN, through the package `nvidia-cudnn-frontend`, where that is installed.

A convolution, its gradient by the image and that by the weight are each a graph of one operation. `asked` says whether cuDNN
is to be asked for it at all, `describe` makes the graph, and a `Cudnn`, which belongs to a GPU, plans it once and
keeps the plan, or the reason for which cuDNN has none.

Plans are left out whose result differs from run to run, that round float32 first (unless PLUGRAD_TF32=1), that sum
less than float32, or that transform their input (FFT, Winograd), by which one infinity makes NaN of its neighbours.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from plugrad.errors import DeviceError

__all__ = [
    "ALIGNMENT",
    "REFUSED",
    "Convolution",
    "Cudnn",
    "Plan",
    "asked",
    "describe",
    "find",
    "switched_off",
]

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

#: cuDNN's name of a dtype; what is not here, plugrad's own kernels compute.
DTYPES = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT"}
#: How many graphs are kept, refused ones included.
GRAPHS = 512
#: The most bytes that a plan may need beside its operands.
WORKSPACE = 1 << 30
#: Where cuDNN takes arrays to begin: at multiples of so many bytes.
ALIGNMENT = 16

_NEVER = (
    "NONDETERMINISTIC", "DOWN_CONVERT_INPUTS", "REDUCED_PRECISION_REDUCTION", "FFT", "WINOGRAD", "WINOGRAD_TILE_4x4",
    "WINOGRAD_TILE_6x6", "WINOGRAD_TILE_13x13",
)  # fmt: skip
#: The op of plugrad's, cuDNN's operation, and which of (image, weight, result) are its operands and its result.
_OPERATIONS = {
    "convolution": ("conv_fprop", (0, 1), 2),
    "convolution_transposed": ("conv_dgrad", (2, 1), 0),
    "convolution_weight": ("conv_wgrad", (0, 2), 1),
}


class Convolution(NamedTuple):
    """All that a graph depends on; arrays are dense."""

    op: str
    dtype: str
    image: Ints
    weight: Ints
    result: Ints
    stride: Ints
    padding: Pads
    dilation: Ints
    tf32: bool

    @property
    def made(self) -> Ints:
        """The shape of what is computed."""
        return (self.image, self.weight, self.result)[_OPERATIONS[self.op][2]]

    def __str__(self) -> str:
        return (
            f"{self.op} of {self.dtype}, image {list(self.image)}, weight {list(self.weight)}, result {list(self.result)}, "
            f"stride {self.stride}, padding {self.padding}, dilation {self.dilation}"
        )


def asked(
    op: str, dtype: str, image: Ints, weight: Ints, result: Ints | None, stride: Ints, padding: Pads, dilation: Ints,
    groups: int,
) -> Convolution | None:  # fmt: skip
    """What cuDNN is asked for; None for what it never computes, and for shapes that do not fit.

    >>> asked("convolution", "float32", (2, 4, 9, 9), (6, 2, 3, 3), None, (2, 2), ((1, 1), (1, 1)), (1, 1), 2).result
    (2, 6, 5, 5)
    """
    if dtype not in DTYPES or not 1 <= len(stride) <= 3 or min(map(min, padding)) < 0:
        return None
    if not len(image) == len(weight) == len(stride) + 2:
        return None
    counts = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(image[2:], weight[2:], stride, padding, dilation)
    ]
    expected = (image[0], weight[0], *counts)
    if image[1] != weight[1] * groups or weight[0] % groups or result not in (None, expected):
        return None
    if min(*image, *weight, *expected) < 1:
        return None
    tf32 = dtype == "float32" and os.environ.get("PLUGRAD_TF32") == "1"
    return Convolution(op, dtype, image, weight, expected, stride, padding, dilation, tf32)


def describe(library: Any, handle: Any, c: Convolution) -> Any:
    """The graph of a convolution; the uids of its two operands and its result are 1, 2 and 3.

    A signal is an image of one row: cuDNN's engines know 2 and 3 dimensions.
    """
    data_type = library.data_type
    kind = getattr(data_type, DTYPES[c.dtype])
    graph = library.pygraph(
        name=c.op, io_data_type=kind, intermediate_data_type=data_type.FLOAT, compute_data_type=data_type.FLOAT,
        handle=handle,
    )  # fmt: skip
    row = len(c.stride) == 1
    shapes = [[*s[:2], 1, *s[2:]] if row else list(s) for s in (c.image, c.weight, c.result)]
    padding = [(0, 0), *c.padding] if row else c.padding
    operation, operands, made = _OPERATIONS[c.op]
    tensors = [
        graph.tensor(dim=shapes[i], stride=_dense(shapes[i]), data_type=kind, name="xwy"[i], uid=uid)
        for uid, i in enumerate(operands, 1)
    ]
    y = getattr(graph, operation)(
        *tensors, pre_padding=[before for before, _ in padding], post_padding=[after for _, after in padding],
        stride=[1, *c.stride] if row else list(c.stride), dilation=[1, *c.dilation] if row else list(c.dilation),
        compute_data_type=data_type.FLOAT, name=operation,
    )  # fmt: skip
    y.set_output(True).set_data_type(kind).set_uid(3)
    y.set_dim(shapes[made]).set_stride(_dense(shapes[made]))
    return graph


def _dense(shape: list[int]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


#: The latest convolutions for which cuDNN had no plan, and what it said: they are computed by plugrad's own kernels.
REFUSED: deque[tuple[Convolution, str]] = deque(maxlen=GRAPHS)


class Plan(NamedTuple):
    """A graph that can be executed, and the bytes it needs beside its operands."""

    asked: Convolution
    graph: Any
    workspace: int


class Cudnn:
    """cuDNN on the current GPU: its plans, and their execution on the current stream.

    `stream()` is the address of the current stream, `allocate(bytes)` memory with an address `ptr`, in the order of that stream.
    """

    def __init__(self, library: Any, stream: Callable[[], int], allocate: Callable[[int], Any]) -> None:
        self._library, self._stream, self._allocate = library, stream, allocate
        self._handle = library.create_handle()
        self._lock = threading.RLock()  # a handle serves one thread at a time
        #: The plan of a convolution, or the reason for which there is none: each is found out once.
        self.look_up: Callable[[Convolution], Plan | str] = lru_cache(GRAPHS)(self._look_up)

    def plan(self, c: Convolution) -> Plan | None:
        """How a convolution is computed; None where cuDNN refuses it."""
        with self._lock:
            found = self.look_up(c)
        return found if isinstance(found, Plan) else None

    def _look_up(self, c: Convolution) -> Plan | str:
        library = self._library
        note, mode = library.numerical_note, library.heur_mode
        names = _NEVER if c.dtype != "float32" or c.tf32 else (*_NEVER, "TENSOR_CORE")
        graph = describe(library, self._handle, c)
        try:
            graph.validate()
            graph.build_operation_graph()
            graph.create_execution_plans([mode.A, mode.FALLBACK])
            graph.deselect_numeric_notes([getattr(note, name) for name in names])
            graph.deselect_workspace_greater_than(WORKSPACE)
            graph.check_support()
            graph.build_plans()
            return Plan(c, graph, graph.get_workspace_size())
        except library.cudnnGraphNotSupportedError as error:
            refusal = str(error)
        except (RuntimeError, ValueError) as error:  # a description that it refuses, or trouble
            refusal = str(error)
            warnings.warn(
                f"cuDNN has no plan for {c}, which plugrad's own kernels compute from now on: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
        REFUSED.append((c, refusal))
        return refusal

    def run(self, plan: Plan, a: int, b: int, y: int) -> None:
        """Execute a plan on the arrays at three addresses. Errors: DeviceError with what cuDNN says."""
        with self._lock:
            workspace = self._allocate(plan.workspace) if plan.workspace else None
            try:
                self._library.set_stream(self._handle, self._stream())
                plan.graph.execute({1: a, 2: b, 3: y}, workspace and int(workspace.ptr), handle=self._handle)
            except Exception as error:  # its own class, RuntimeError or ValueError
                raise DeviceError(
                    f"cuDNN failed in {plan.asked}: {error}: set PLUGRAD_CUDNN=0 to compute without it"
                ) from error


def switched_off() -> bool:
    """Whether the environment says not to use it."""
    return os.environ.get("PLUGRAD_CUDNN") == "0"


def find() -> Cudnn | None:
    """cuDNN on the current GPU; None where its package is not installed, and where it does not start, which is told."""
    if importlib.util.find_spec("cudnn") is None:
        return None
    import cupy

    try:
        library = importlib.import_module("cudnn")
        return Cudnn(library, lambda: cupy.cuda.get_current_stream().ptr, cupy.cuda.alloc)
    except Exception as error:  # a part of it that is missing, or of another version
        warnings.warn(
            f"cuDNN is installed but does not start, so that plugrad's own kernels compute convolutions: {error}: "
            'pip install "plugrad[cudnn]", or set PLUGRAD_CUDNN=0',
            RuntimeWarning,
            stacklevel=2,
        )
        return None
