"""The backend's members that are kernels of plugrad's own, named like the ops; they take the places of CuPy's.

`install(backend)` gives them to a backend whose arrays are CuPy's. The environment variable `PLUGRAD_CUDA_KERNELS=cupy`
leaves CuPy's in place. What is not here, CuPy computes.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from functools import cache, lru_cache
from types import MethodType
from typing import Any

import numpy as np

from plugrad import composites, dtypes
from plugrad.op import OPS

from ...expressions import Functions as f
from ...expressions.statements import function_of
from .. import sync
from . import cudnn, gemm, rows
from . import index as indexing
from . import reduce as reductions
from .derivatives import Derivatives
from .elementwise import Elementwise
from .images import Images
from .launch import CudaDriver, Kernels
from .losses import Losses
from .many import Many
from .scatter import Scatter
from .source import FLOATS, NUMBERS
from .stream import PhiloxStream

__all__ = ["Device", "Members", "install"]

Axes = tuple[int, ...]

#: Functions of expressions that are members as they are.
_PLAIN = (
    "add", "subtract", "multiply", "divide", "negative", "reciprocal", "square", "sqrt", "rsqrt", "hypot", "exp", "exp2",
    "expm1", "log", "log2", "log10", "log1p", "sigmoid", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "floor", "ceil", "trunc", "round", "sign", "sgn", "copysign", "conj", "abs",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
    "logical_xor", "logical_not", "isnan", "isinf", "isfinite", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert",
    "bitwise_left_shift", "bitwise_right_shift", "maximum", "minimum", "clamp_min", "clamp_max", "clip",
)  # fmt: skip


class Device:
    """What kernels need beside arrays: those of each GPU, cuBLAS, and new arrays."""

    def __init__(self, xp: Any) -> None:
        self.empty: Callable[..., Any] = xp.ndarray  # `empty`, without a function of Python's around it
        self.array_type: Any = xp.ndarray
        self._sort: Callable[..., Any] = xp.argsort
        self._number: Callable[[], int] = xp.cuda.runtime.getDevice
        self._kernels: dict[int, Kernels] = {}
        self._blas: dict[int, Any] = {}
        self._cudnn: dict[int, cudnn.Cudnn | None] = {}

    def kernels(self) -> Kernels:
        """Those of the current GPU."""
        number = self._number()
        found = self._kernels.get(number)
        return found if found is not None else self._kernels.setdefault(number, Kernels(CudaDriver()))

    def argsort(self, indices: Any) -> Any:
        """What sorts indices, stably; int64."""
        return self._sort(indices, kind="stable")

    def truth(self, x: Any) -> bool:
        """The value of an array of one bool; the host waits for it."""
        sync.note("a check of probabilities")
        return bool(x.get())

    def blas(self) -> Any:
        """cuBLAS on the current GPU."""
        number = self._number()
        found = self._blas.get(number)
        return found if found is not None else self._blas.setdefault(number, gemm.Cublas())

    def cudnn(self) -> cudnn.Cudnn | None:
        """cuDNN on the current GPU; None where it is not installed, or switched off."""
        if cudnn.switched_off():
            return None
        number = self._number()
        if number not in self._cudnn:
            self._cudnn[number] = cudnn.find()
        return self._cudnn[number]


class Members:
    """The members; `others` has those that these fall back to."""

    def __init__(self, device: Any, others: Any) -> None:
        self.device, self.others = device, others
        for name in _PLAIN:
            setattr(self, name, self._elementwise(name, getattr(f, name)))
        self.where: Elementwise = self._elementwise("where", f.where, free=(0,))
        self.zeros_like = self._elementwise("zeros_like", lambda x: 0)
        self.positive = self._elementwise("positive", lambda x: x)
        self.copy = self._elementwise("copy", lambda x: x)
        self._cast = self._elementwise("astype", f.cast)
        self._add = self._elementwise("add", f.add)
        self._power = self._elementwise("pow", f.pow)
        self._powers = {n: self._elementwise("pow", lambda x, n=n: f.pow(x, n)) for n in (1, 2, 3, 0.5, -1)}
        self._nonzero = self._elementwise("is_nonzero", lambda x: f.not_equal(x, 0))
        self._filled = self._elementwise(
            "masked_fill", lambda mask, value, x: f.cast(f.where(mask, value, x), x.dtype), free=(0,)
        )
        self._scaled = self._elementwise("scaled", lambda x, n: x * n)
        self._weighted = self._elementwise("weighted_sum", lambda x, y, beta, alpha: beta * x + alpha * y)
        self._quotient = self._elementwise("mean_of_complex", lambda x, n: x / n)

    def _elementwise(self, name: str, function: Any, make: Any = Elementwise, **options: Any) -> Any:
        return make(self.device.kernels, self.device.empty, self.device.array_type, name, function, **options)

    # --- any function of elementwise kernels -----------------------------------------------------------------------------

    def fused(self, name: str, function: Any, inputs: int) -> Many:
        """One kernel of a function that computes in several steps; of many calls, too."""
        found: Many = self._elementwise(name, function, Many, op_by_op=True, inputs=inputs)
        return found

    def elementwise_kernel(self, name: str, source: str, inputs: Any, params: Any) -> Any:
        """The kernel of an operator that is declared by C statements."""
        return self._elementwise(name, function_of(name, source, (*inputs, *params)))

    def writer(self, kernel: Any) -> Any:
        """The kernel with one more argument, the array to write into: where it is ours, it needs no copy."""
        if isinstance(kernel, Elementwise):
            return lambda *args: kernel(*args[:-1], out=args[-1])
        return self.others.writer(kernel)

    def stream(self, algorithm: str, seed: int) -> PhiloxStream | None:
        """Random numbers that are drawn on the GPU."""
        return PhiloxStream(self, seed) if algorithm == "philox" else None

    def pow(self, a: Any, b: Any) -> Any:
        """Powers by small whole numbers are products."""
        if type(b) is int and a.dtype.kind in "iu" and b < 0:
            return self.others.pow(a, b)
        if type(b) in (int, float) and b in self._powers and (a.dtype.kind not in "biu" or b in (1, 2, 3)):
            return self._powers[b](a)
        return self._power(a, b)

    def masked_fill(self, x: Any, mask: Any, value: Any) -> Any:
        """`value` where the mask says so."""
        return self._filled(mask, value, x)

    def astype(self, x: Any, dtype: dtypes.dtype) -> Any:
        """`x` in another dtype."""
        return self._cast(x, self.others._raw(dtype))

    # --- arrays as kernels want them --------------------------------------------------------------------------------------

    def dense(self, x: Any) -> Any:
        """`x`, copied unless its elements follow each other; a transposed matrix goes by way of tiles."""
        if x.flags.c_contiguous:
            return x
        if x.ndim in (2, 3) and x.size and x.swapaxes(-1, -2).flags.c_contiguous:
            y = self.device.empty(x.shape, x.dtype)
            batch = math.prod(x.shape[:-2])
            kernels, (m, n) = self.device.kernels(), x.shape[-2:]
            indexing.transpose(kernels, x.dtype.itemsize, x.data.ptr, y.data.ptr, batch, n, m)
            return y
        return self.copy(x)

    def _last(self, x: Any, axis: Axes) -> tuple[Any, Axes]:
        """`x`, dense, with `axis` moved behind the other axes, and how the axes went."""
        wanted = tuple(a % x.ndim for a in axis)
        order = (*[i for i in range(x.ndim) if i not in wanted], *wanted)
        return self.dense(x.transpose(order) if order != tuple(range(x.ndim)) else x), order

    # --- reductions -------------------------------------------------------------------------------------------------------

    def _reduced(self, op: str, x: Any, axis: Axes, keepdims: bool) -> Any:
        """A reduction over axes: over neighbouring ones where they lie, else after they were moved to the end."""
        kept, moved, outer, n, inner = _geometry(x.shape, tuple(axis), keepdims)
        name = name_of(x.dtype)
        if op in ("any", "all"):
            dtype: Any = bool
        elif op in ("max", "min"):
            dtype = x.dtype
        else:
            dtype = x.dtype if name in FLOATS and not op.startswith("arg") else np.int64
        y = self.device.empty(kept, dtype)
        x = self.dense(x) if moved is None else self._last(x, moved)[0]
        if not y.size:
            return y
        held: list[Any] = []

        def scratch(bytes_: int) -> int:
            held.append(self.device.empty((bytes_,), np.uint8))
            return int(held[0].data.ptr)

        reductions.reduce(self.device.kernels(), op, name, x.data.ptr, y.data.ptr, outer, n, inner, scratch)
        return y

    def _of_parts(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """A sum of complex numbers: of their parts, side by side."""
        x = self.dense(x)
        real = x.dtype.char.lower()
        axes = tuple(a % x.ndim for a in axis)
        y = self._reduced("sum", x.reshape(x.shape + (1,)).view(real), axes, keepdims)
        return y.view(x.dtype).reshape(y.shape[:-1])

    def sum(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """The sum; of integers int64."""
        if x.dtype.kind == "c":
            return self._of_parts(x, axis, keepdims) if axis else self.copy(x)
        if not self._known(x):
            return self.others.sum(x, axis, keepdims)
        return self._reduced("sum", x, axis, keepdims)

    def sum_all(self, x: Any) -> Any:
        """The sum of all elements."""
        return self.sum(x, tuple(range(x.ndim)), False)

    def mean(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """The mean; of nothing it is NaN."""
        if x.dtype.kind == "c":
            n = math.prod([x.shape[a] for a in axis])
            return (
                self._quotient(self.sum(x, axis, keepdims), n) if n else self.others.mean(x, axis, keepdims)
            )
        if name_of(x.dtype) not in FLOATS:
            return self.others.mean(x, axis, keepdims)
        return self._reduced("mean", x, axis, keepdims)

    def mean_all(self, x: Any) -> Any:
        """The mean of all elements."""
        return self.mean(x, tuple(range(x.ndim)), False)

    def prod(self, x: Any, axis: int, keepdims: bool) -> Any:
        """The product along an axis."""
        if not self._known(x):
            return self.others.prod(x, axis, keepdims)
        return self._reduced("prod", x, (axis,) if x.ndim else (), keepdims)

    def prod_all(self, x: Any) -> Any:
        """The product of all elements."""
        return (
            self._reduced("prod", x, tuple(range(x.ndim)), False)
            if self._known(x)
            else self.others.prod_all(x)
        )

    def _extremum(self, op: str, x: Any, axis: Any, keepdims: bool) -> Any:
        axes = (
            tuple(range(x.ndim))
            if axis is None
            else axis
            if isinstance(axis, tuple)
            else (axis,)
            if x.ndim
            else ()
        )
        if not self._known(x) or not math.prod(
            [x.shape[a] for a in axes]
        ):  # of nothing there is none: who says so
            return getattr(self.others, op)(x, axis, keepdims)
        return self._reduced(op, x, axes, keepdims)

    def max(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """The greatest element, NaN being that."""
        return self._extremum("max", x, axis, keepdims)

    def min(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """The least element, or NaN."""
        return self._extremum("min", x, axis, keepdims)

    def max_all(self, x: Any) -> Any:
        """The greatest of all."""
        return self._extremum("max", x, tuple(range(x.ndim)), False) if x.size else self.others.max_all(x)

    def min_all(self, x: Any) -> Any:
        """The least of all."""
        return self._extremum("min", x, tuple(range(x.ndim)), False) if x.size else self.others.min_all(x)

    def argmax(self, x: Any, axis: int | None, keepdims: bool) -> Any:
        """Where the first greatest element is."""
        return self._extremum("argmax", x, axis, keepdims)

    def argmin(self, x: Any, axis: int | None, keepdims: bool) -> Any:
        """Where the first least element is."""
        return self._extremum("argmin", x, axis, keepdims)

    def any(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """Whether an element is not 0."""
        return self._reduced("any", x if x.dtype.kind == "b" else self._nonzero(x), axis, keepdims)

    def all(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """Whether no element is 0."""
        return self._reduced("all", x if x.dtype.kind == "b" else self._nonzero(x), axis, keepdims)

    def count_nonzero(self, x: Any, axis: Axes, keepdims: bool) -> Any:
        """How many elements are not 0."""
        return self._reduced("sum", x if x.dtype.kind == "b" else self._nonzero(x), axis, keepdims)

    @staticmethod
    def _known(x: Any) -> bool:
        return name_of(x.dtype) in NUMBERS

    # --- rows -------------------------------------------------------------------------------------------------------------

    def _of_rows(self, x: Any, axis: Axes, kernel: Callable[..., None]) -> Any:
        """What a kernel of rows makes of `x`, the axes of a row last in memory; the result is dense."""
        moved, order = self._last(x, axis or (0,)[: x.ndim]) if x.ndim else (self.dense(x), ())
        cols = math.prod([x.shape[a % x.ndim] for a in axis]) if x.ndim else 1
        y = self.device.empty(moved.shape, x.dtype)
        if y.size:
            kernel(moved.data.ptr, y.data.ptr, moved.size // cols, cols)
        return y if order == tuple(range(x.ndim)) else self.dense(y.transpose(np.argsort(order).tolist()))

    def softmax(self, x: Any, axis: Axes) -> Any:
        """exp(x) over its sum."""
        return self._softmax("softmax", False, x, axis)

    def log_softmax(self, x: Any, axis: Axes) -> Any:
        """The logarithm of `softmax`."""
        return self._softmax("log_softmax", True, x, axis)

    def _softmax(self, op: str, log: bool, x: Any, axis: Axes) -> Any:
        name = name_of(x.dtype)
        if name not in FLOATS or (x.ndim and not axis):
            return getattr(self.others, op)(x, axis)
        kernels = self.device.kernels()
        return self._of_rows(x, axis, lambda a, b, n, cols: rows.softmax(kernels, name, log, a, b, n, cols))

    def layer_norm(self, x: Any, axis: Axes, eps: float) -> Any:
        """(x - mean) / √(variance + eps)."""
        return self._normalized(x, None, None, axis, eps)

    def layer_norm_affine(self, x: Any, weight: Any, bias: Any, axis: Axes, eps: float) -> Any:
        """`layer_norm`, times a weight, plus a bias."""
        return self._normalized(x, self.dense(weight), self.dense(bias), axis, eps)

    def _normalized(self, x: Any, weight: Any, bias: Any, axis: Axes, eps: float) -> Any:
        name, kernels = name_of(x.dtype), self.device.kernels()
        w, b = (0 if a is None else a.data.ptr for a in (weight, bias))

        def normalize(at: int, to: int, n: int, cols: int) -> None:
            rows.layer_norm(kernels, name, at, w, b, to, eps, n, cols)

        return self._of_rows(x, axis, normalize)

    # --- products of matrices -----------------------------------------------------------------------------------------------

    def matmul(self, a: Any, b: Any) -> Any:
        """Stacks of matrices, or vectors at either end."""
        if name_of(a.dtype) not in gemm.DTYPES:
            return self.others.matmul(a, b)
        x = a.reshape(1, -1) if a.ndim == 1 else a
        y = b.reshape(-1, 1) if b.ndim == 1 else b
        x, y = (self.copy(m) if gemm.needs_copy(m.shape, _steps(m)) else m for m in (x, y))
        plan = gemm.plan(x.shape, _steps(x), y.shape, _steps(y))
        made = self.device.empty(plan.shape, a.dtype)
        if plan.zeros:
            made = self.zeros_like(made)
        elif plan.calls:
            tf32 = a.dtype.itemsize == 4 and _allow_tf32()
            name, size = name_of(a.dtype), a.dtype.itemsize
            gemm.run(self.device.blas(), plan, name, size, x.data.ptr, y.data.ptr, made.data.ptr, tf32)
        shape = plan.shape[:-2] + plan.shape[-2:-1] * (a.ndim > 1) + plan.shape[-1:] * (b.ndim > 1)
        return made if shape == plan.shape else made.reshape(shape)

    mm = bmm = mv = vm = dot = matmul

    def _plus(self, op: str, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        """beta x + alpha a b, written over the product."""
        default: Any = OPS[op].default  # type: ignore[union-attr]
        if name_of(a.dtype) not in gemm.DTYPES or not {type(beta), type(alpha)} <= {int, float}:
            return default(x, a, b, beta, alpha)
        y = self.matmul(a, b)
        if x.ndim > y.ndim or any(n not in (1, m) for n, m in zip(reversed(x.shape), reversed(y.shape))):
            return default(x, a, b, beta, alpha)  # which says what is wrong, or does not look at x
        if beta == 0:  # whatever x holds, NaN too
            return y if alpha == 1 else self._scaled(y, float(alpha), out=y)
        if beta == alpha == 1:
            return self._add(x, y, out=y)
        return self._weighted(x, y, float(beta), float(alpha), out=y)

    def addmm(self, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        """A product of matrices, plus something that expands to it."""
        return self._plus("addmm", x, a, b, beta, alpha)

    def addmv(self, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        """The same of a matrix and a vector."""
        return self._plus("addmv", x, a, b, beta, alpha)

    def baddbmm(self, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        """The same of stacks of matrices."""
        return self._plus("baddbmm", x, a, b, beta, alpha)

    # --- indices --------------------------------------------------------------------------------------------------------------

    def take(self, x: Any, indices: Any, axis: int) -> Any:
        """The slices along an axis at indices."""
        x, indices = self.dense(x), self.dense(indices)
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        y = self.device.empty(shape, x.dtype)
        outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        if y.size:
            indexing.take(
                self.device.kernels(), x.dtype.itemsize, x.data.ptr, self._int64(indices).data.ptr, y.data.ptr, outer,
                x.shape[axis] if x.ndim else 1, indices.size, inner,
            )  # fmt: skip
        return y

    def gather(self, x: Any, indices: Any, axis: int) -> Any:
        """For each index the element of `x` there along the axis, in its own place along the others."""
        if not x.ndim:
            return self.take(x.reshape(1), indices, 0)
        inside = tuple(slice(None) if i == axis else slice(m) for i, m in enumerate(indices.shape))
        x, indices = self.dense(x[inside]), self._int64(self.dense(indices))
        y = self.device.empty(indices.shape, x.dtype)
        if y.size:
            indexing.gather(
                self.device.kernels(), x.dtype.itemsize, x.data.ptr, indices.data.ptr, y.data.ptr,
                math.prod(x.shape[:axis]), x.shape[axis], indices.shape[axis], math.prod(x.shape[axis + 1 :]),
            )  # fmt: skip
        return y

    take_sorted = take_topk = take_kth = gather

    def embedding(self, x: Any, indices: Any, padding_idx: int | None) -> Any:
        """The rows of a table."""
        return self.take(x, indices, 0)

    def _int64(self, indices: Any) -> Any:
        return indices if indices.dtype == np.int64 else self._cast(indices, np.dtype(np.int64))


@cache
def name_of(dtype: Any) -> str:
    """The name of a dtype, which NumPy composes anew each time."""
    return str(dtype.name)


@lru_cache(4096)
def _geometry(shape: tuple[int, ...], axis: Axes, keepdims: bool) -> tuple[Any, Axes | None, int, int, int]:
    """The shape of a reduction's result, the axes to move to the end first, if they are not neighbours, and (outer, n, inner)."""
    ndim = len(shape)
    wanted = sorted(a % ndim for a in axis) if ndim else []
    kept = tuple([1 if i in wanted else n for i, n in enumerate(shape) if keepdims or i not in wanted])
    first, last = (wanted[0], wanted[-1] + 1) if wanted else (ndim, ndim)
    if last - first == len(wanted):
        return kept, None, math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])
    n = math.prod([shape[i] for i in wanted])
    outer = math.prod([m for i, m in enumerate(shape) if i not in wanted])
    return kept, tuple(wanted), outer, n, 1


def _steps(x: Any) -> tuple[int, ...]:
    """An array's strides in elements."""
    size = x.dtype.itemsize
    return tuple([s // size for s in x.strides])


def _allow_tf32() -> bool:
    return os.environ.get("PLUGRAD_TF32") == "1"


class All(Derivatives, Losses, Scatter, Images, Members):
    """All families."""


def install(backend: Any, device: Any = None) -> None:
    """Give a backend the members of `Members`, with its own ones to fall back to."""
    if os.environ.get("PLUGRAD_CUDA_KERNELS") == "cupy":
        return
    members = All(device if device is not None else Device(backend.xp), _Others(backend))
    for name in {*dir(All), *vars(members)}:
        if not name.startswith("_") and name not in ("device", "others", "dense"):
            setattr(backend, name, getattr(members, name))
    backend.deterministic_index_add = True


class _Others:
    """What computes where a member of ours cannot: the backend's members as they were, else what core makes of the op."""

    def __init__(self, backend: Any) -> None:
        self._backend, self._own = backend, dict(vars(backend))
        #: The backend itself, whose members are ours by then.
        self.backend = backend

    def check_key(self, key: Any, shape: Any, asked: str) -> None:
        """Look at the index arrays of a key, if the backend does."""
        check: Any = getattr(type(self._backend), "_check_key", None)
        if check is not None:
            check(self._backend, key, shape, asked)

    def __getattr__(self, name: str) -> Any:
        if name in self._own:
            return self._own[name]
        found = inspect.getattr_static(type(self._backend), name, None)
        if found is not None:
            return found.__get__(self._backend)
        default = getattr(OPS.get(name), "default", None)
        if default is not None:
            return default
        composite = composites.find(name)
        if composite is None:
            raise AttributeError(f"device {self._backend.device_type!r} has no {name!r} for these operands")
        return MethodType(composite, self._backend)
