"""The dtypes, by torch's names, and what two of them make together.

A backend's raw arrays carry dtypes of their own library. `of` translates one of those into ours, `REAL`
and `COMPLEX` are the sets that the recording code looks into; NumPy's dtype objects, which several
libraries share, are entered here, and a backend enters its own with `register`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

BOOL, INTEGER, FLOAT, COMPLEX_ = range(4)


class dtype:
    """An element type, e.g. `plugrad.float32`; printed as PyTorch prints it.

    >>> float32, float32.itemsize, float32.is_floating_point
    (torch.float32, 4, True)
    """

    __slots__ = ("category", "is_signed", "itemsize", "name", "numpy")

    def __init__(self, name: str, category: int, itemsize: int, is_signed: bool = True) -> None:
        self.name, self.category, self.itemsize, self.is_signed = name, category, itemsize, is_signed
        #: The NumPy dtype of the same values; None for bfloat16, which NumPy does not have.
        self.numpy: Any = None if name == "bfloat16" else np.dtype(name)

    @property
    def is_floating_point(self) -> bool:
        """Whether this is a real floating-point type."""
        return self.category == FLOAT

    @property
    def is_complex(self) -> bool:
        """Whether this is a complex type."""
        return self.category == COMPLEX_

    def to_real(self) -> dtype:
        """The type of the real part: `complex64.to_real()` is `float32`."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> dtype:
        """The complex type whose parts are at least this type."""
        return complex128 if self.name in ("float64", "complex128") else complex64

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name  # the names in this module


bool_ = dtype("bool", BOOL, 1, is_signed=False)
uint8 = dtype("uint8", INTEGER, 1, is_signed=False)
uint16 = dtype("uint16", INTEGER, 2, is_signed=False)
uint32 = dtype("uint32", INTEGER, 4, is_signed=False)
uint64 = dtype("uint64", INTEGER, 8, is_signed=False)
int8 = dtype("int8", INTEGER, 1)
int16 = dtype("int16", INTEGER, 2)
int32 = dtype("int32", INTEGER, 4)
int64 = dtype("int64", INTEGER, 8)
float16 = dtype("float16", FLOAT, 2)
bfloat16 = dtype("bfloat16", FLOAT, 2)
float32 = dtype("float32", FLOAT, 4)
float64 = dtype("float64", FLOAT, 8)
complex64 = dtype("complex64", COMPLEX_, 8)
complex128 = dtype("complex128", COMPLEX_, 16)

ALL = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip

#: From the dtype object of an array library to ours.
BY_RAW: dict[Any, dtype] = {}
#: The raw dtypes of real floating point, of integers, of both, and of both and bool: what the fast paths of ops serve.
# Dicts as ordered sets: a library's dtype may have the hash of NumPy's, and warn when it is compared with that. In a dict,
# NumPy's, which came first, is always found first.
REAL: dict[Any, None] = {}
INTEGERS: dict[Any, None] = {}
NUMBERS: dict[Any, None] = {}
NOT_COMPLEX: dict[Any, None] = {}
#: The raw dtypes whose derivatives follow the conjugate convention.
COMPLEX: dict[Any, None] = {}


def register(raw: Any, dt: dtype) -> None:
    """Say that the array library's dtype object `raw` means `dt`."""
    BY_RAW[raw] = dt
    if dt.category == FLOAT:
        REAL[raw] = None
    elif dt.category == INTEGER:
        INTEGERS[raw] = None
    elif dt.category == COMPLEX_:
        COMPLEX[raw] = None
    if dt.category != COMPLEX_:
        NOT_COMPLEX[raw] = None
    if dt.category in (INTEGER, FLOAT):
        NUMBERS[raw] = None


for _dt in ALL:
    if _dt.numpy is not None:
        register(_dt.numpy, _dt)


def of(raw: Any) -> dtype:
    """The dtype of ours for an array library's dtype object; TypeError where there is none."""
    try:
        return BY_RAW[raw]
    except KeyError:
        raise TypeError(
            f"an array of dtype {raw} cannot be a tensor: the supported dtypes are "
            + ", ".join(dt.name for dt in ALL)
        ) from None


_default = float32


def get_default_dtype() -> dtype:
    """The dtype of new floating-point tensors: float32 unless `set_default_dtype` changed it."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make `d`, a real floating-point dtype, the dtype of new floating-point tensors."""
    global _default
    if not (isinstance(d, dtype) and d.is_floating_point):
        raise TypeError(f"set_default_dtype: asked for {d}, which is not a floating-point dtype")
    _default = d


def asked(dtype: Any) -> dtype | None:
    """The dtype that an argument `dtype=` names: one of ours, None, or a Python type: `float` means float64."""
    if dtype is None or dtype.__class__ is _DTYPE:
        return dtype
    try:
        return _PYTHON[dtype]
    except (KeyError, TypeError):
        raise TypeError(
            f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__}: found {dtype!r}"
        ) from None


_DTYPE = dtype
_PYTHON = {bool: bool_, int: int64, float: float64, complex: complex128}


def of_scalar(value: Any) -> dtype:
    """The dtype that PyTorch gives a Python number.

    >>> of_scalar(True), of_scalar(3), of_scalar(1j)
    (torch.bool, torch.int64, torch.complex64)
    """
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    return _default if isinstance(value, float) else _default.to_complex()


def _promote(a: dtype, b: dtype) -> dtype:
    if a.category < b.category:
        a, b = b, a
    if a is b or (b.category < a.category != COMPLEX_):
        return a
    if a.category == COMPLEX_:
        return complex128 if float64 in (a.to_real(), b.to_real()) else complex64
    if a.category == FLOAT and a.itemsize == b.itemsize:  # float16 and bfloat16
        return float32
    if a.itemsize < b.itemsize:
        a, b = b, a
    if a.category == INTEGER and a.is_signed != b.is_signed:
        if uint8 not in (a, b):
            raise RuntimeError(f"no dtype holds the values of both {a} and {b}: convert one with .to(...)")
        return int16 if a.itemsize == b.itemsize else a
    return a


_PROMOTED: dict[tuple[dtype, dtype], dtype] = {}


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that both convert to by PyTorch's rules.

    >>> promote_types(int64, float16), promote_types(uint8, int8), promote_types(float64, complex64)
    (torch.float16, torch.int16, torch.complex128)
    """
    try:
        return _PROMOTED[type1, type2]
    except KeyError:
        result = _PROMOTED[type1, type2] = _promote(type1, type2)
        return result


def combine(high: dtype | None, low: dtype | None) -> dtype | None:
    """Let operands of a lower rank (0-d tensors, then Python numbers) decide only the category.

    A tensor with dimensions outranks a 0-d one, which outranks a number: float32 with a 0-d float64
    stays float32, but int64 with a 0-d float64 becomes float64.
    """
    if high is None or low is None:
        return high or low
    if high.category >= low.category:
        if high.category == BOOL:
            return promote_types(high, low)
        return high
    if low.category == COMPLEX_ and high.category == FLOAT:
        return high.to_complex()
    return low if high.category == BOOL else promote_types(high, low)


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether PyTorch lets a result of dtype `from_` be stored in `to`: never down a category."""
    return from_.category <= to.category


def result_type(operands: Any) -> dtype:
    """The common dtype of raw arrays and Python numbers by PyTorch's three ranks."""
    dims = zeros = numbers = None
    for x in operands:
        if not hasattr(x, "dtype"):
            found = of_scalar(x)
            numbers = found if numbers is None else promote_types(numbers, found)
        elif x.shape:
            found = of(x.dtype)
            dims = found if dims is None else promote_types(dims, found)
        else:
            found = of(x.dtype)
            zeros = found if zeros is None else promote_types(zeros, found)
    result = combine(dims, combine(zeros, numbers))
    assert result is not None
    return result


# --- the limits of a dtype ----------------------------------------------------------------------------------


def fits(value: Any, dt: dtype) -> bool:
    """Whether a number fits into an integer dtype; a negative int fits an unsigned one, by wrapping, as in PyTorch."""
    limits = np.iinfo(dt.numpy)
    low = -limits.max if limits.min == 0 and not isinstance(value, (float, np.floating)) else limits.min
    return bool(low - 1 < value < limits.max + 1)


def overflow(asked: str, value: Any, dt: dtype) -> str:
    """What is told of a number that a dtype does not hold."""
    return f"{asked}: value cannot be converted to type {dt.name} without overflow: found {value}"


def cast_number(value: Any, dt: dtype, asked: str) -> Any:
    """A Python number as a tensor of dtype `dt` holds it; RuntimeError where it does not fit.

    >>> cast_number(-1, uint8, "fill_"), cast_number(2.7, int64, "fill_")
    (255, 2)
    """
    if dt.category == COMPLEX_:
        return value
    if isinstance(value, complex) and not value.imag:
        value = value.real
    if dt.category == BOOL:
        return bool(value)
    if isinstance(value, complex):
        fit = False
    elif dt.category == INTEGER:
        fit = fits(value, dt)
    else:
        fit = not (finfo(dt).max < abs(value) < float("inf"))
    if not fit:
        raise RuntimeError(overflow(asked, value, dt))
    if dt.category != INTEGER:
        return value
    return int(value) if dt.is_signed else int(value) % (1 << 8 * dt.itemsize)


def check_bounds(bounds: Iterable[Any], dt: dtype, asked: str) -> None:
    """Refuse ints that bound integers of `dt` and are none of them; they would wrap around."""
    for value in bounds:
        if type(value) is int and dt.category == INTEGER and not iinfo(dt).min <= value <= iinfo(dt).max:
            raise RuntimeError(overflow(asked, value, dt))


class finfo:
    """The limits of a floating-point dtype, by default of the default one: `bits eps max min tiny resolution`.

    >>> finfo(float32).eps, finfo(float16).max
    (1.1920928955078125e-07, 65504.0)
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        dt = _default if type is None else type
        if not isinstance(dt, dtype) or dt.category < FLOAT:
            raise TypeError(
                f"torch.finfo() requires a floating point input type, found {dt}: use torch.iinfo"
            )
        real = dt.to_real()
        self.dtype, self.bits = real.name, 8 * real.itemsize
        if real is bfloat16:
            self.eps, self.max, self.tiny, self.resolution = (
                2.0**-7,
                (2 - 2.0**-7) * 2.0**127,
                2.0**-126,
                0.01,
            )
        else:
            of = np.finfo(real.numpy)
            self.eps, self.max, self.tiny, self.resolution = map(
                float, (of.eps, of.max, of.tiny, 10.0**-of.precision)
            )
        self.min, self.smallest_normal = -self.max, self.tiny

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{n}={getattr(self, n):g}' for n in names)}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype: `bits max min`.

    >>> iinfo(uint8).max, iinfo(int64).bits
    (255, 64)
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype) or type.category != INTEGER:
            raise TypeError(f"torch.iinfo() requires an integer input type, found {type}: use torch.finfo")
        of = np.iinfo(type.numpy)
        self.dtype, self.bits, self.min, self.max = type.name, of.bits, int(of.min), int(of.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
