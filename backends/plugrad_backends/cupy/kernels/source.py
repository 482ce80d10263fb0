"""What is compiled: a CUDA source is a file of `cuda/` under a choice of types and sizes.

Every source that plugrad's own kernels can ask for is in `SOURCES`, since `find` knows no others: tests compile them all
for every architecture, and run them on the CPU.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "cuda"

#: The C++ type of a dtype, by its NumPy name.
C_TYPES = {
    "bool": "bool", "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int",
    "uint64": "unsigned long long", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "float16": "half_t", "bfloat16": "bfloat_t", "float32": "float", "float64": "double",
}  # fmt: skip
SIZES = {
    "bool": 1, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
}  # fmt: skip
FLOATS = ("float16", "bfloat16", "float32", "float64")

#: How `struct` packs a parameter: as a C compiler does, so that the bytes are those that a kernel expects.
_CODES = {
    "index_t": "q", "word_t": "Q", "long long": "q", "unsigned long long": "Q", "int": "i", "unsigned int": "I", "uint_t": "I",
    "float": "f", "double": "d", "short": "h", "unsigned short": "H", "signed char": "b", "unsigned char": "B",
    "Windows": "12i",
}  # fmt: skip
_ENTRY = re.compile(r"KERNEL\((\w+)\)\s*\(([^)]*)\)")


class Entry(NamedTuple):
    """A kernel of a source: its name in the compiled module, its parameters' C types and names, and their packing."""

    symbol: str
    parameters: tuple[tuple[str, str], ...]
    format: str


class Source:
    """A translation unit: files of `cuda/`, after the prelude and the definitions.

    >>> source = find("softmax_float32_v1_i0")
    >>> source.entries["forward"].symbol, source.entries["forward"].format
    ('softmax_float32_v1_i0_forward', '@PPqq')
    """

    def __init__(self, name: str, files: tuple[str, ...], made: str = "", **defines: str | int) -> None:
        self.name = name
        self.files = files
        self.made = made  # text behind the files, of a source that is made at run time
        self.defines = {key: str(value) for key, value in defines.items()}

    def __repr__(self) -> str:
        return f"<Source {self.name}>"

    @cached_property
    def body(self) -> str:
        """The definitions and the files, without the prelude; `#line` says where in them an error is."""
        parts = [f"#define ENTRY(part) {self.name}_##part"]
        parts += [f"#define {key} {value}" for key, value in self.defines.items()]
        parts += [f'#line 1 "{file}"\n{_read(file)}' for file in self.files]
        return "\n".join([*parts, self.made]) + "\n"

    @property
    def text(self) -> str:
        """What a compiler is given."""
        return f'#line 1 "prelude.cu"\n{_read("prelude.cu")}\n{self.body}'

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The kernels, by their part of the name."""
        found = {}
        for text in [*map(_read, self.files), self.made]:
            for part, parameters in _ENTRY.findall(text):
                pairs = tuple(_parameter(each) for each in " ".join(parameters.split()).split(","))
                codes = "".join(self._code(c_type) for c_type, _ in pairs)
                found[part] = Entry(f"{self.name}_{part}", pairs, f"@{codes}")
        return found

    def _code(self, c_type: str) -> str:
        if c_type.endswith("*"):
            return "P"
        return _CODES[self.defines.get(c_type, c_type)]


def _parameter(text: str) -> tuple[str, str]:
    c_type, name = text.strip().rsplit(" ", 1)
    return c_type, name


def unit(sources: Sequence[Source], beside: Callable[[Source], str] = lambda source: "") -> str:
    """Several sources as one translation unit, each in a namespace of its own with the text `beside` it."""
    parts = [f'#line 1 "prelude.cu"\n{_read("prelude.cu")}']
    for i, source in enumerate(sources):
        parts.append(f"namespace unit{i} {{\n{source.body}{beside(source)}}}")
        macros = ["ENTRY", *source.defines, *_macros(source.files)]
        parts += [f"#undef {name}" for name in macros]
    return "\n".join(parts) + "\n"


def _macros(files: tuple[str, ...]) -> list[str]:
    return [name for file in files for name in re.findall(r"^#define (\w+)", _read(file), re.MULTILINE)]


@cache
def _read(file: str) -> str:
    return (FOLDER / file).read_text()


def size(format: str) -> int:
    """How many bytes the parameters of a packing take."""
    return struct.calcsize(format)


# --- all there are -----------------------------------------------------------------------------------------------


def _rows() -> Iterator[Source]:
    for dtype in FLOATS:
        yield Source(f"layer_norm_parameters_{dtype}", ("layer_norm_parameters.cu",), T=C_TYPES[dtype])
        kinds: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
            "softmax": (("exponentials.cu", "softmax.cu"), {"LOG": 0}),
            "log_softmax": (("exponentials.cu", "softmax.cu"), {"LOG": 1}),
            "cross_entropy": (("exponentials.cu", "cross_entropy.cu"), {}),
            "layer_norm": (("layer_norm.cu",), {}),
        }
        for vector in (1,) if dtype == "float64" else (1, 16 // SIZES[dtype]):
            for items in (0, 4):
                for kind, (files, defines) in kinds.items():
                    name = f"{kind}_{dtype}_v{vector}_i{items}"
                    yield Source(
                        name, ("rows.cu", *files), T=C_TYPES[dtype], V=vector, ITEMS=items, **defines
                    )


#: The least value of a dtype, as C++.
_LOWEST = {
    "bool": "0", "uint8": "0", "uint16": "0", "uint32": "0", "uint64": "0", "int8": "-128", "int16": "-32768",
    "int32": "-2147483647 - 1", "int64": "-9223372036854775807ll - 1",
} | dict.fromkeys(FLOATS, "-INFINITE")  # fmt: skip
_GREATEST = {
    "bool": "1", "uint8": "255", "int8": "127", "int16": "32767", "int32": "2147483647", "int64": "9223372036854775807ll",
} | dict.fromkeys(FLOATS, "INFINITE")  # fmt: skip
NUMBERS = ("bool", "uint8", "int8", "int16", "int32", "int64", *FLOATS)


def vector(dtype: str) -> int:
    """How many elements a reduction reads at once; of integers one, since every variant costs the compiler."""
    return 16 // SIZES[dtype] if dtype in FLOATS else 1


def _reductions() -> Iterator[Source]:
    def reduction(op: str, dtype: str, accumulator: str, result: str, **defines: str) -> Source:
        """`a`, `b`: accumulators; `v`, `i`: an element and its place; `n`: how many elements there are."""
        rest = {"MAP": "(A)v", "FINISH": "a"} | defines
        return Source(
            f"{op}_{dtype}", ("reduce.cu",), T=C_TYPES[dtype], V=vector(dtype), ACCUMULATOR=accumulator,
            RESULT=result, **rest,
        )  # fmt: skip

    for dtype in NUMBERS:
        floating, own = dtype in FLOATS, C_TYPES[dtype]
        wide = "C" if floating else "index_t"
        result = own if floating else "index_t"
        yield reduction("sum", dtype, wide, result, COMBINE="a + b", NEUTRAL="0")
        yield reduction("prod", dtype, wide, result, COMBINE="a * b", NEUTRAL="1")
        if floating:
            yield reduction("mean", dtype, wide, own, COMBINE="a + b", NEUTRAL="0", FINISH="a / (C)n")
            yield reduction("sum_squares", dtype, wide, own, COMBINE="a + b", NEUTRAL="0", MAP="v * v")
        for op, sign, least in (("max", ">", _LOWEST), ("min", "<", _GREATEST)):
            combined = f"a {sign} b || a != a ? a : b"
            yield reduction(op, dtype, "C", own, COMBINE=combined, NEUTRAL=f"(C)({least[dtype]})")
            yield reduction(
                f"arg{op}", dtype, "Best", "index_t", NEUTRAL="best((C)0, -1)", MAP="best(v, i)", FINISH="a.i",
                COMBINE=f"better(a, b, {int(op == 'max')})",
            )  # fmt: skip
    yield reduction("any", "bool", "int", "bool", COMBINE="a | b", NEUTRAL="0")
    yield reduction("all", "bool", "int", "bool", COMBINE="a & b", NEUTRAL="1")


#: What is copied at once, by its bytes.
COPIED = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "word_t", 16: "wide_t"}


def _indexing() -> Iterator[Source]:
    for bytes_, word in COPIED.items():
        yield Source(f"index_{bytes_}", ("index.cu",), W=word)
    for dtype in NUMBERS:
        yield Source(f"scatter_{dtype}", ("scatter.cu",), T=C_TYPES[dtype])


def _others() -> Iterator[Source]:
    for dtype in FLOATS:
        files = ("philox.cu", "philox_words.cu") if dtype == "float64" else ("philox.cu",)
        yield Source(f"philox_{dtype}", files, T=C_TYPES[dtype])
        yield Source(f"windows_{dtype}", ("windows.cu",), T=C_TYPES[dtype], LOWEST="-(C)INFINITE")


@cache
def _all() -> Mapping[str, Source]:
    found: dict[str, Source] = {}
    for family in (_rows, _reductions, _indexing, _others):
        for source in family():
            if source.name in found:
                raise ValueError(f"two sources are called {source.name!r}")
            found[source.name] = source
    return found


def every() -> list[Source]:
    """All sources of plugrad's own kernels."""
    return list(_all().values())


def find(name: str) -> Source:
    """The source of a name; KeyError where there is none, so that no kernel escapes `every`."""
    return _all()[name]
