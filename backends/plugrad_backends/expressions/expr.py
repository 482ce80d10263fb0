"""Typed values of a kernel: what is computed for one element.

An `Expr` is a real number, an integer or a bool; a `Pair` of two of them is a complex number. Both have the surface of
a raw array of no dimensions, so that composites and formulas compute with them as with arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BOOL, INT32, INT64 = np.dtype(np.bool_), np.dtype(np.int32), np.dtype(np.int64)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
COMPLEX64, COMPLEX128 = np.dtype(np.complex64), np.dtype(np.complex128)
REAL_PART: dict[Any, np.dtype[Any]] = {COMPLEX64: FLOAT32, COMPLEX128: FLOAT64}
COMPLEX_OF: dict[Any, np.dtype[Any]] = {FLOAT32: COMPLEX64, FLOAT64: COMPLEX128}


class Value:
    """What `Expr` and `Pair` share: the surface of a 0-d array. The operators come from `functions`."""

    __slots__ = ("__weakref__", "dtype")

    shape: tuple[int, ...] = ()
    ndim = 0
    dtype: Any

    __array_ufunc__ = None  # NumPy's numbers leave operators to this class

    def __bool__(self) -> bool:
        raise TypeError("the value of an element is not known while its kernel is written")

    __int__ = __float__ = __index__ = __complex__ = __bool__
    __hash__ = object.__hash__


class Expr(Value):
    """A value of one C type: `op` of `args`.

    A leaf is a "var" (`args` is the name of a C variable of the type that values of `dtype` are computed in), a "const" (a
    Python number), or the "index" of the element among all of the result.
    """

    __slots__ = ("args", "op")

    def __init__(self, op: str, args: tuple[Any, ...], dtype: Any) -> None:
        self.op, self.args, self.dtype = op, args, np.dtype(dtype)

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(str, self.args))})"


class Pair(Value):
    """A complex number."""

    __slots__ = ("im", "re")

    def __init__(self, re: Expr, im: Expr, dtype: Any = None) -> None:
        self.re, self.im = re, im
        self.dtype = COMPLEX_OF[re.dtype] if dtype is None else np.dtype(dtype)

    def __repr__(self) -> str:
        return f"({self.re}, {self.im})"


def var(name: str, dtype: Any) -> Any:
    """The value of the C variable `name`; of a complex dtype the two variables `name_re` and `name_im`."""
    dtype = np.dtype(dtype)
    if dtype in REAL_PART:
        part = REAL_PART[dtype]
        return Pair(Expr("var", (f"{name}_re",), part), Expr("var", (f"{name}_im",), part), dtype)
    return Expr("var", (name,), dtype)


def const(value: Any, dtype: Any) -> Any:
    """A number known when the kernel is written."""
    dtype = np.dtype(dtype)
    if dtype in REAL_PART:
        part, value = REAL_PART[dtype], complex(value)
        return Pair(const(value.real, part), const(value.imag, part), dtype)
    kind = dtype.kind
    number = bool(value) if kind == "b" else int(value) if kind in "iu" else float(value)
    return Expr("const", (number,), dtype)


def index() -> Expr:
    """The place of the element among all of the result, in row-major order; int64."""
    return Expr("index", (), INT64)


def kind(x: Value) -> str:
    """The kind of a value, as NumPy calls it: "b", "i", "u", "f" or "c"; of bfloat16 "f"."""
    return "f" if x.dtype.name == "bfloat16" else x.dtype.kind
