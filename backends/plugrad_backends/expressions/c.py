"""C of expressions: the dialects, and the emitter of statements.

In a kernel, bool is an int: 0 or 1, and in vectors 0 or -1, the masks that OpenCL's comparisons give and `select` takes.
float16 and bfloat16 are computed in float, and converted where they are loaded and stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .expr import REAL_PART, Expr, Pair, kind

_NAMES = {
    "bool": "int", "int8": "char", "uint8": "uchar", "int16": "short", "uint16": "ushort", "int32": "int", "uint32": "uint",
    "int64": "long", "uint64": "ulong", "float16": "float", "bfloat16": "float", "float32": "float", "float64": "double",
}  # fmt: skip
_STORED = {**_NAMES, "bool": "uchar", "float16": "half", "complex64": "float2", "complex128": "double2"}
_BITS = {"char": 8, "uchar": 8, "short": 16, "ushort": 16, "int": 32, "uint": 32, "float": 32}
_SYMBOLS = frozenset(["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!="])
_COMPARISONS = frozenset(["<", "<=", ">", ">=", "==", "!="])


class ScalarOnly(Exception):
    """An expression that has no vector form; its kernel works element by element."""


class OpenCL:
    """OpenCL C with vectors of `width` elements; 1 means scalars.

    `unaligned` says that vectors are read and written through pointers to a type of low alignment, which some compilers
    turn into better code than `vload16`.
    """

    unsigned_compare = False

    def __init__(self, width: int = 1, unaligned: bool = False) -> None:
        self.width, self.unaligned = width, unaligned

    def scalar(self) -> OpenCL:
        """The same dialect without vectors."""
        return OpenCL(1, self.unaligned)

    def base(self, dtype: np.dtype[Any]) -> str:
        """The C type of one element of `dtype` in a kernel."""
        return _NAMES[dtype.name]

    def type(self, dtype: np.dtype[Any]) -> str:
        """The C type of values of `dtype` in a kernel."""
        return _NAMES[dtype.name] + ("" if self.width == 1 else str(self.width))

    def stored(self, dtype: np.dtype[Any]) -> str:
        """The C type of `dtype` in memory."""
        return _STORED[dtype.name]

    def convert(self, text: str, name: str) -> str:
        """`text` as C type `name`, given without the width."""
        return f"({name}){text}" if self.width == 1 else f"convert_{name}{self.width}({text})"

    def splat(self, text: str, dtype: np.dtype[Any]) -> str:
        """The scalar `text` in each element."""
        return text if self.width == 1 else f"({self.type(dtype)})({text})"

    def select(self, condition: str, a: str, b: str, dtype: np.dtype[Any]) -> str:
        """`a` where the bool `condition` is true."""
        if self.width == 1:
            return f"{condition} ? {a} : {b}"
        name = _NAMES[dtype.name]
        bits = _BITS.get(name, 64)
        if bits != 32:
            mask = {8: "char", 16: "short", 64: "long"}[bits]
            condition = self.convert(condition, mask)
        return f"{condition} ? {a} : {b}"

    def compared(self, text: str, dtype: np.dtype[Any]) -> str:
        """The bool of a comparison of values of `dtype`."""
        if self.width == 1 or _BITS.get(_NAMES[dtype.name]) == 32:
            return f"({text})"
        return self.convert(f"({text})", "int")

    def call(self, name: str, args: list[str], base: str) -> str:
        """A call of a function whose result is of the C type `base`, given without the width."""
        return f"{name}({', '.join(args)})"

    def inverted(self, text: str) -> str:
        """Not a bool."""
        return f"!{text}" if self.width == 1 else f"~{text}"

    def number(self, value: Any, dtype: np.dtype[Any]) -> str:
        """A literal."""
        return self.splat(_literal(value, _NAMES[dtype.name]), dtype)

    def numbered(self, text: str, dtype: np.dtype[Any]) -> str:
        """A bool as a number of `dtype`."""
        return self.convert(text if self.width == 1 else f"(-{text})", _NAMES[dtype.name])

    # --- memory: `pointer` is an expression for a pointer to the stored type -----------------------------------------

    def load(self, pointer: str, dtype: np.dtype[Any]) -> str:
        """The elements that follow each other from `pointer` on; of complex numbers see `load_complex`."""
        w, name = self.width, dtype.name
        if w == 1:
            return self.lane(f"({pointer})", "0", dtype)
        if name == "bool":
            return f"(convert_int{w}({self._read(pointer, 'uchar')}) != 0)"
        if name == "float16":
            return f"vload_half{w}(0, {pointer})"
        return self._read(pointer, _NAMES[name])

    def _read(self, pointer: str, name: str) -> str:
        if self.unaligned:
            return f"*(__global const loose_{name}{self.width} *)({pointer})"
        return f"vload{self.width}(0, {pointer})"

    def lane(self, pointer: str, place: str, dtype: np.dtype[Any]) -> str:
        """One element, `place` elements behind `pointer`, as a scalar."""
        if dtype.name == "bool":
            return f"({pointer}[{place}] != 0)"
        if dtype.name == "float16":
            return f"vload_half({place}, {pointer})"
        return f"{pointer}[{place}]"

    def gather(self, pointer: str, stride: str, dtype: np.dtype[Any]) -> str:
        """The elements from `pointer` on that are `stride` elements apart."""
        lanes = [
            self.lane(pointer, "0" if i == 0 else stride if i == 1 else f"{i}*{stride}", dtype)
            for i in range(self.width)
        ]
        if dtype.name == "bool":
            lanes = [f"-{lane}" for lane in lanes]
        return f"({self.type(dtype)})({', '.join(lanes)})"

    def spread(self, scalar: str, dtype: np.dtype[Any]) -> str:
        """A variable of the scalar dialect in each element."""
        if self.width == 1:
            return scalar
        return f"({self.type(dtype)})({'-' if dtype.name == 'bool' else ''}{scalar})"

    def store(self, pointer: str, value: str, dtype: np.dtype[Any]) -> str:
        """The statement that writes the elements from `pointer` on."""
        w, name = self.width, dtype.name
        if name == "float16":
            return f"vstore_half{'' if w == 1 else w}_rte({value}, 0, {pointer});"
        if w == 1:
            return f"*({pointer}) = {value};"
        if name == "bool":
            value, name = f"convert_uchar{w}({value} & 1)", "uchar"
        else:
            name = _NAMES[name]
        if self.unaligned:
            return f"*(__global loose_{name}{w} *)({pointer}) = {value};"
        return f"vstore{w}({value}, 0, {pointer});"

    def scatter(self, pointer: str, stride: str, value: str, dtype: np.dtype[Any]) -> str:
        """The statements that write the elements of the vector variable `value`, `stride` elements apart."""
        one = self.scalar()
        sign = "-" if dtype.name == "bool" else ""
        return " ".join(
            one.store(f"{pointer} + {i}*{stride}", f"{sign}{value}.s{i:x}", dtype) for i in range(self.width)
        )

    def pair(self, re: str, im: str, dtype: np.dtype[Any]) -> str:
        """A complex number as it is stored."""
        return f"({self.stored(dtype)})({re}, {im})"


class CUDA(OpenCL):
    """CUDA C++: scalars."""

    _TYPES: ClassVar[dict[str, str]] = {
        "char": "signed char", "uchar": "unsigned char", "ushort": "unsigned short", "uint": "unsigned int",
        "long": "long long", "ulong": "unsigned long long",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__(1)

    def scalar(self) -> CUDA:
        """Itself."""
        return self

    def base(self, dtype: np.dtype[Any]) -> str:
        """The C type of one element of `dtype` in a kernel."""
        return self._TYPES.get(_NAMES[dtype.name], _NAMES[dtype.name])

    type = base

    def stored(self, dtype: np.dtype[Any]) -> str:
        """The C type of `dtype` in memory."""
        name = {"float16": "__half", "bfloat16": "__nv_bfloat16"}.get(dtype.name, _STORED[dtype.name])
        return self._TYPES.get(name, name)

    def number(self, value: Any, dtype: np.dtype[Any]) -> str:
        """A literal."""
        text = _literal(value, _NAMES[dtype.name])
        if dtype.kind in "iu" and dtype.itemsize == 8:
            return text.replace("L", "LL")  # C++'s long may have 32 bits
        return text if dtype.kind != "u" or dtype.itemsize == 4 else f"({self.base(dtype)}){int(value)}"

    def convert(self, text: str, name: str) -> str:
        """`text` as C type `name`, given as OpenCL calls it."""
        return f"({self._TYPES.get(name, name)}){text}"

    def lane(self, pointer: str, place: str, dtype: np.dtype[Any]) -> str:
        """One element, `place` elements behind `pointer`."""
        if dtype.name == "bool":
            return f"({pointer}[{place}] != 0)"
        if dtype.name == "float16":
            return f"__half2float({pointer}[{place}])"
        if dtype.name == "bfloat16":
            return f"__bfloat162float({pointer}[{place}])"
        return f"{pointer}[{place}]"

    def store(self, pointer: str, value: str, dtype: np.dtype[Any]) -> str:
        """The statement that writes an element."""
        convert = {"float16": "__float2half_rn", "bfloat16": "__float2bfloat16_rn"}.get(dtype.name, "")
        return f"*({pointer}) = {convert}({value});"

    def pair(self, re: str, im: str, dtype: np.dtype[Any]) -> str:
        """A complex number as it is stored."""
        return f"make_{self.stored(dtype)}({re}, {im})"


def _literal(value: Any, name: str) -> str:
    if name in ("float", "double"):
        if math.isnan(value):
            text = "NAN"
        elif math.isinf(value):
            text = "INFINITY" if value > 0 else "-INFINITY"
        elif name == "float":
            with np.errstate(all="ignore"):
                text = f"{np.float32(value)!s}f"
            return text.replace("inff", "INFINITY")
        else:
            return repr(float(value))
        return text if name == "float" else f"(double)({text})"
    value = int(value)
    if name == "long":
        return f"{value}L" if value != -(2**63) else f"(-{2**63 - 1}L - 1L)"
    if name == "ulong":
        return f"{value % 2**64}UL"
    if name == "uint":
        return f"{value % 2**32}U"
    return f"({name}){value}" if name != "int" else str(value) if value != -(2**31) else f"(-{2**31 - 1} - 1)"


class Emitter:
    """Writes the statements that compute expressions; equal ones are computed once.

    `lines` are the statements so far. `index` is the C text of the place of the first element, a long.
    """

    def __init__(self, dialect: OpenCL, index: str = "", prefix: str = "t") -> None:
        self.dialect, self.index, self.prefix = dialect, index, prefix
        self.lines: list[str] = []
        self._known: dict[tuple[str, str], str] = {}
        self._done: dict[int, tuple[Expr, str]] = {}

    def value(self, x: Expr) -> str:
        """The C text, a variable or literal, of the value of `x`, whose statements are added to `lines`."""
        done = self._done.get(id(x))
        if done is None:
            done = self._done[id(x)] = (x, self._named(x))  # `x` is kept, so that its id stays its own
        return done[1]

    def _named(self, x: Expr) -> str:
        text = self._text(x)
        if x.op in ("var", "const"):
            return text
        key = self.dialect.type(x.dtype), text
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = f"{self.prefix}{len(self._known)}"
            self.lines.append(f"const {key[0]} {name} = {text};")
        return name

    def _text(self, x: Expr) -> str:
        d, op = self.dialect, x.op
        if op == "var":
            return x.args[0]
        if op == "const":
            if x.dtype.kind == "b":
                true = "1" if d.width == 1 else "-1"
                return d.splat(true if x.args[0] else "0", x.dtype)
            return d.number(x.args[0], x.dtype)
        if op == "index":
            if d.width == 1:
                return f"({d.base(x.dtype)})({self.index})"
            lanes = ", ".join(map(str, range(d.width)))
            return f"(long{d.width})({self.index}) + (long{d.width})({lanes})"
        if op == "call":
            name, *args = x.args
            if name.startswith("scalar_") and d.width != 1:
                raise ScalarOnly(name)
            return d.call(name, [self.value(a) for a in args], d.base(x.dtype))
        args = [self.value(a) for a in x.args]
        if op in _SYMBOLS:
            if op in ("<", "<=", ">", ">=") and d.width > 1 and x.args[0].dtype.kind == "b":
                args.reverse()  # -1 is true
            text = f"{args[0]} {op} {args[1]}"
            return d.compared(text, x.args[0].dtype) if op in _COMPARISONS else text
        if op == "neg":
            return f"-({args[0]})"
        if op == "not":
            return d.inverted(args[0])
        if op == "invert":
            return f"~{args[0]}"
        if op == "select":
            condition, a, b = args
            return d.select(condition, a, b, x.dtype)
        if op == "cast":
            return self._cast(args[0], x.args[0].dtype, x.dtype)
        raise ValueError(f"no C for {op!r}")

    def _cast(self, text: str, source: np.dtype[Any], target: np.dtype[Any]) -> str:
        d, name = self.dialect, _NAMES[target.name]
        if source.kind == "b":
            return d.numbered(text, target)
        if _NAMES[source.name] == name:
            return text
        if _NAMES[source.name] in ("float", "double") and target.kind in "iu":
            # Outside of the range C leaves the result open; by way of a wider integer it wraps, as NumPy's does.
            wide = "int" if target.itemsize < 4 else "long"
            if name == "ulong":
                half = d.number(float(2**63), source)
                large = (
                    f"({d.convert(f'({text} - {half})', 'long')} ^ {d.number(-(2**63), np.dtype(np.int64))})"
                )
                is_large = d.compared(f"{text} >= {half}", source)
                if d.width == 1:
                    is_large = f"({is_large})"
                chosen = d.select(is_large, large, d.convert(text, "long"), np.dtype(np.int64))
                return d.convert(f"({chosen})", name)
            if name not in ("int", "long"):
                text = f"({d.convert(text, wide)})"
        return d.convert(text, name)


#: The vectors of each type that may lie anywhere, and integer powers; goes in front of the kernels of a program.
def prelude(dialect: OpenCL) -> str:
    """What kernels of OpenCL C need beside them."""
    lines = []
    if dialect.unaligned:
        for name, size in (("char", 1), ("uchar", 1), ("short", 2), ("ushort", 2), ("int", 4), ("uint", 4),
                           ("long", 8), ("ulong", 8), ("float", 4), ("double", 8)):  # fmt: skip
            guard = name == "double"
            lines += ["#ifdef cl_khr_fp64"] * guard
            lines += [
                f"typedef {name}{w} __attribute__((aligned({size}))) loose_{name}{w};" for w in (2, 4, 8, 16)
            ]
            lines += ["#endif"] * guard
    return "\n".join([*lines, INTEGER_POWERS])


def entry(group: int) -> str:
    """How a kernel of OpenCL C begins whose groups have so many work items.

    In groups of one there is nothing to vectorise across items, which Intel's compiler otherwise tries for seconds.
    """
    hint = ", vec_type_hint(float16)" if group == 1 else ""
    return f"__kernel __attribute__((reqd_work_group_size({group}, 1, 1){hint}))"


INTEGER_POWERS = """
inline long scalar_pow_long(long a, long n) {  // rounded towards 0 for negative n
    if (n < 0) return a == 1 ? 1 : a == -1 ? ((n & 1) ? -1 : 1) : 0;
    ulong y = 1, b = (ulong)a;
    for (; n; n >>= 1, b *= b) if (n & 1) y *= b;
    return (long)y;
}
inline ulong scalar_pow_ulong(ulong a, ulong n) {
    ulong y = 1;
    for (; n; n >>= 1, a *= a) if (n & 1) y *= a;
    return y;
}
"""


def parts(x: Expr | Pair) -> tuple[Expr, ...]:
    """The real expressions of a value: one, or two of a complex number."""
    return (x.re, x.im) if isinstance(x, Pair) else (x,)


def walk(results: Sequence[Any]) -> list[Expr]:
    """All expressions below, each once."""
    found: dict[int, Expr] = {}
    todo = [p for r in results for p in parts(r)]
    while todo:
        x = todo.pop()
        if id(x) not in found:
            found[id(x)] = x
            todo += [a for a in x.args if isinstance(a, Expr)]
    return list(found.values())


def variables(results: Sequence[Any]) -> set[str]:
    """The names of the variables that are read, without `_re` and `_im`."""
    return {x.args[0].split("_")[0] for x in walk(results) if x.op == "var"}


def is_scalar_only(dtype: np.dtype[Any]) -> bool:
    """Whether values of `dtype` have no vectors."""
    return dtype in REAL_PART


__all__ = [
    "CUDA",
    "Emitter",
    "OpenCL",
    "ScalarOnly",
    "entry",
    "is_scalar_only",
    "kind",
    "parts",
    "prelude",
    "variables",
    "walk",
]
