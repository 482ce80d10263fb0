"""Declarations of OpenCL C's own functions: those that a program calls, instead of all that there are.

Clang's header declares 14,500 of them, and a compiler that reads it anew for each program, as PoCL 3 does, spends nine
tenths of the time of `clBuildProgram` on that. `lean` gives a program the declarations that it needs; `OPTIONS` leave the
header out. Where another compiler does not take that, the program is built as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: The guard of the header, which keeps it out; and no warnings that types of the compiler's own are named again.
OPTIONS = ["-D_OPENCL_H_", "-w"]

_WIDTHS = ("", "2", "4", "8", "16")
_INTEGERS = ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong")
_FLOATS = ("float", "double")
_SPACES = ("__global", "__local", "__private")
#: What a test of floats gives: an int for a scalar, for vectors integers of the floats' size.
_TESTED = {"float": "int", "double": "long"}

_UNARY = frozenset([
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "cospi", "erf", "erfc", "exp",
    "exp10", "exp2", "expm1", "fabs", "floor", "lgamma", "log", "log10", "log1p", "log2", "logb", "rint", "round",
    "rsqrt", "sign", "sin", "sinh", "sinpi", "sqrt", "tan", "tanh", "tgamma", "trunc",
])  # fmt: skip
_BINARY = frozenset([
    "atan2", "copysign", "fdim", "fmax", "fmin", "fmod", "hypot", "nextafter", "pow", "remainder",
])  # fmt: skip
_TERNARY = frozenset(["fma", "mad"])
_TESTS = frozenset(["isfinite", "isinf", "isnan", "isnormal", "signbit"])
_PLACES = frozenset([
    "get_global_id", "get_global_size", "get_group_id", "get_local_id", "get_local_size", "get_num_groups",
    "get_global_offset",
])  # fmt: skip
_ATOMIC = frozenset(f"atomic_{name}" for name in ["add", "sub", "xchg", "min", "max", "and", "or", "xor"])
_CONVERT = re.compile(r"convert_(u?(?:char|short|int|long)|float|double)(2|4|8|16|)(?:_sat)?(?:_rt[ezpn])?")
_AS = re.compile(r"as_((?:u?(?:char|short|int|long)|float|double)(?:2|4|8|16|))")
_VECTOR = re.compile(r"v(load|store)(2|4|8|16)")
_HALF = re.compile(r"v(load|store)_half(2|4|8|16|)(?:_rt[ezpn])?")

_HEAD = "\n".join(
    [
        "typedef __SIZE_TYPE__ size_t;",
        *(f"typedef unsigned {base[1:]} {base};" for base in _INTEGERS if base[0] == "u"),
        *(
            f"typedef {t} {t}{w} __attribute__((ext_vector_type({w})));"
            for t in _INTEGERS
            for w in _WIDTHS[1:]
        ),
        *(f"typedef float float{w} __attribute__((ext_vector_type({w})));" for w in _WIDTHS[1:]),
        "#ifdef cl_khr_fp64",
        *(f"typedef double double{w} __attribute__((ext_vector_type({w})));" for w in _WIDTHS[1:]),
        "#endif",
        "#define BUILTIN __attribute__((overloadable))",
        "#define PURE __attribute__((overloadable, const))",
        "#define INFINITY __builtin_inff()",
        '#define NAN __builtin_nanf("")',
        "#define CLK_LOCAL_MEM_FENCE 1",
        "#define CLK_GLOBAL_MEM_FENCE 2",
    ]
)


def lean(source: str) -> str:
    """The program with the declarations that it needs, to be built with `OPTIONS`."""
    lines: list[str] = []
    doubles: list[str] = []
    for name in sorted(set(re.findall(r"\b[a-z]\w+", source))):
        for line in _declarations(name):
            (doubles if "double" in line else lines).append(line)
    if doubles:
        lines += ["#ifdef cl_khr_fp64", *doubles, "#endif"]
    return "\n".join([_HEAD, *lines, source])


def _declarations(name: str) -> Iterator[str]:
    """What declares a function for each type that it takes; nothing for any other name."""
    for names, count in ((_UNARY, 1), (_BINARY, 2), (_TERNARY, 3)):
        if name in names:
            for t in _each(_FLOATS):
                yield f"PURE {t} {name}({', '.join([t] * count)});"
    if name in _TESTS:
        for base, integer in _TESTED.items():
            for w in _WIDTHS:
                yield f"PURE {integer + w if w else 'int'} {name}({base}{w});"
    elif name == "any":
        for w in _WIDTHS:
            yield f"PURE int any(int{w});"
    elif name in ("min", "max", "mul_hi", "popcount", "abs"):
        floats = _FLOATS if name in ("min", "max") else ()
        for base in (*_INTEGERS, *floats):
            for w in _WIDTHS:
                t = base + w
                result = f"u{t}" if name == "abs" and base in ("char", "short", "int", "long") else t
                yield f"PURE {result} {name}({t if name in ('popcount', 'abs') else f'{t}, {t}'});"
    elif name in _PLACES:
        yield f"PURE size_t {name}(uint);"
    elif name == "barrier":
        yield "BUILTIN __attribute__((convergent)) void barrier(uint);"
    elif name in _ATOMIC:
        for t in ("int", "uint"):
            for space in ("__global", "__local"):
                yield f"BUILTIN {t} {name}(volatile {space} {t} *, {t});"
    elif m := _AS.fullmatch(name):
        yield f"#define {name}(x) __builtin_astype(x, {m[1]})"
    elif m := _CONVERT.fullmatch(name):
        for t in (*_INTEGERS, *_FLOATS):
            yield f"PURE {m[1]}{m[2]} {name}({t}{m[2]});"
    elif m := _VECTOR.fullmatch(name):
        for t in (*_INTEGERS, *_FLOATS):
            yield from _memory(name, m[1], t, t + m[2])
    elif m := _HALF.fullmatch(name):
        for t in _FLOATS if m[1] == "store" else ("float",):
            yield from _memory(name, m[1], "half", t + m[2])


def _each(bases: tuple[str, ...]) -> Iterator[str]:
    for base in bases:
        for w in _WIDTHS:
            yield base + w


def _memory(name: str, kind: str, element: str, value: str) -> Iterator[str]:
    """Loads and stores, from and into each space."""
    for space in _SPACES:
        if kind == "load":
            yield f"BUILTIN {value} {name}(size_t, const {space} {element} *);"
        else:
            yield f"BUILTIN void {name}({value}, size_t, {space} {element} *);"
