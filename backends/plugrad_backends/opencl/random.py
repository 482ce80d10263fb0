"""Random numbers: the counter-based Philox stream, drawn on the device.

`PhiloxStream` of NumPy's backend says what the numbers are: equal seeds give equal words, units and integers everywhere. A kernel
computes the four words of a counter, and an expression makes of each word, or pair of words, the element that it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from ..expressions.c import Emitter, entry
from ..expressions.expr import BOOL, FLOAT32, FLOAT64, REAL_PART, Expr, const, var
from ..expressions.functions import Functions as f
from ..expressions.functions import cast
from ..numpy import random as host

UINT64 = np.dtype(np.uint64)

PHILOX = """
inline ulong4 philox(ulong counter, ulong key) {  // Philox4x64-10 (Salmon et al., 2011)
    ulong4 c = (ulong4)(counter, 0, 0, 0);
    ulong2 k = (ulong2)(key, 0);
    for (int i = 0; i < 10; i++) {
        const ulong one = 0xD2E7470EE14C6C93UL, two = 0xCA5A826395121157UL;
        c = (ulong4)(mul_hi(two, c.z) ^ c.y ^ k.x, two * c.z, mul_hi(one, c.x) ^ c.w ^ k.y, one * c.x);
        k += (ulong2)(0x9E3779B97F4A7C15UL, 0xBB67AE8584CAA73BUL);
    }
    return c;
}
"""


class PhiloxStream(host.PhiloxStream):
    """NumPy's stream of the same name, whose results are arrays of a device.

    Words, units, integers, permutations are equal bit for bit; a normal is within radius / 2**20 of the exact one in float32,
    radius / 2**49 in float64.
    """

    def __init__(self, backend: Any, seed: int) -> None:
        self._backend, self._device = backend, backend.device
        super().__init__(seed)

    def uniform(self, shape: Any, dtype: Any = np.float32, low: float = 0.0, high: float = 1.0) -> Any:
        """Numbers in [low, high)."""
        shape, dtype = host._shape(shape), self._backend._numpy(dtype)
        if dtype in REAL_PART:
            return self._complex(self.uniform((*shape, 2), REAL_PART[dtype], low, high))
        host._check_uniform(dtype, low, high)
        real = host._working(dtype)
        start, stop = float(real.type(low)), float(real.type(high))
        plain = start == 0 and stop == 1

        def units(word: Any, scale: Any, shift: Any) -> Any:
            return (
                _unit(word, real) if plain else Expr("call", ("fma", _unit(word, real), scale, shift), real)
            )

        name = f"uniform_{real.name}" + ("" if plain else "_scaled")
        values = self._drawn(name, shape, real, units, (float(real.type(stop - start)), start))
        if values.dtype != dtype:
            values = self._backend._cast(values, dtype)
        if plain and dtype != np.float16:
            return values  # below 1, whatever is rounded
        ends = float(dtype.type(stop)), float(dtype.type(start))
        return self._backend._without_end(values, *ends)

    def normal(self, shape: Any, dtype: Any = np.float32, mean: float = 0.0, std: float = 1.0) -> Any:
        """Normal numbers; each part of a complex one has deviation std / √2."""
        shape, dtype = host._shape(shape), self._backend._numpy(dtype)
        if dtype in REAL_PART:
            return self._complex(self.normal((*shape, 2), REAL_PART[dtype], mean, std / math.sqrt(2)))
        host._check_float("normal", dtype)
        if not std >= 0:
            raise RuntimeError(f"normal: std is {std}; it must be 0 or more")
        real = host._working(dtype)

        def pair(one: Any, two: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
            radius = f.sqrt(-2.0 * f.log(1.0 - _unit(one, real)))
            turn = 2.0 * _unit(two, real)
            sides = (Expr("call", (name, turn), real) for name in ("cospi", "sinpi"))
            return tuple(Expr("call", ("fma", radius * side, scale, shift), real) for side in sides)

        numbers = float(real.type(std)), float(real.type(mean))
        values = self._drawn(f"normal_{real.name}", shape, real, pair, numbers, pairs=True)
        return values if values.dtype == dtype else self._backend._cast(values, dtype)

    def randint(
        self, low: int, high: int, shape: Any, dtype: Any = np.int64, wide: bool | None = None
    ) -> Any:
        """Integers in [low, high)."""
        shape, dtype, low, high = host._shape(shape), self._backend._numpy(dtype), index(low), index(high)
        host._check_range(dtype, low, high)
        span = high - low
        whole = span >= 2**64

        def integers(word: Any, span: Any, low: Any) -> Any:
            word = word if whole else Expr("%", (word, span), UINT64)
            return cast(cast(word + low, np.int64), dtype)

        name = f"randint_{dtype.name}" + ("_whole" if whole else "")
        return self._drawn(name, shape, dtype, integers, (span % 2**64, low % 2**64))

    def bernoulli(self, p: Any, shape: Any) -> Any:
        """Bools that are true with probability p: a number, or an array, here or of NumPy, that broadcasts to `shape`."""
        shape = host._shape(shape)
        if isinstance(p, np.ndarray) and p.ndim:
            p = self._backend.from_numpy(p)
        if not hasattr(p, "sig"):
            chance = float(p)
            if not 0 <= chance <= 1:
                raise RuntimeError(f"bernoulli: p must be in [0, 1], and {p} is not")
            limit = math.ceil(chance * 2**53)
            return self._drawn("bernoulli", shape, BOOL, lambda word, n: (word >> 11) < n, (limit,))
        inside = self._backend.logical_and(self._backend.greater_equal(p, 0), self._backend.less_equal(p, 1))
        if not self._backend.all_of(inside):
            raise RuntimeError("bernoulli: p must be in [0, 1], and some of the array are not")
        units = self.uniform(shape, host._working(p.dtype))
        return self._backend.less(units, p if p.dtype == units.dtype else self._backend._cast(p, units.dtype))

    def permutation(self, n: int) -> Any:
        """The integers 0 … n - 1 in random order, int64."""
        return self._backend.from_numpy(super().permutation(n))

    def _complex(self, parts: Any) -> Any:
        part = [self._backend.getitem(parts, (..., i)) for i in (0, 1)]
        return self._backend.complex(*part)

    def _drawn(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], function: Callable[..., Any],
        numbers: Sequence[Any], pairs: bool = False,
    ) -> Any:  # fmt: skip
        """A new array of what `function` makes of a word, or two of a pair of them, and of numbers."""
        device = self._device
        out = device.empty(shape, dtype)
        n = out.size
        with host._lock:
            offset, self.offset = self.offset, self.offset - (-n // 4)
        if not n:
            return out
        types = [UINT64 if type(v) is int else dtype if dtype == FLOAT64 else FLOAT32 for v in numbers]
        group = 1 if device.is_cpu else 64
        kernel = device.kernel(
            (name, "philox", device.is_cpu),
            lambda: _source(device, name, dtype, function, types, pairs, group),
        )
        blocks = -(-n // 4)
        items = max(1, min(device.slabs, blocks // 256)) if device.is_cpu else blocks
        each = -(-blocks // items)
        device.launch(
            kernel,
            items,
            (group,),
            out.buffer,
            n,
            self.initial_seed,
            (offset + 1) % 2**64,
            blocks,
            each,
            *numbers,
        )
        return out


def _unit(word: Any, real: np.dtype[Any]) -> Any:
    """A number in [0, 1): the high 53 bits of a word, of float32 the high 24."""
    bits = 53 if real == FLOAT64 else 24
    return cast(Expr(">>", (word, const(64 - bits, UINT64)), UINT64), real) * 2.0**-bits


def _source(
    device: Any, name: str, dtype: np.dtype[Any], function: Callable[..., Any], types: Sequence[np.dtype[Any]], pairs: bool,
    group: int,
) -> tuple[str, list[Any]]:  # fmt: skip
    """A work item computes `each` counters of four elements; the last one may have fewer."""
    one, wide = device.dialect(1), device.dialect(2 if pairs else 4)
    numbers = [var(f"v{i}", t) for i, t in enumerate(types)]
    parameters = [
        f"__global {one.stored(dtype)} *y",
        "const long n",
        "const ulong key",
        "const ulong counter",
    ]
    parameters += ["const long blocks", "const long each"]
    parameters += [f"const {one.stored(t)} number{i}" for i, t in enumerate(types)]
    spread = [f"const {wide.type(t)} v{i} = {wide.spread(f'number{i}', t)};" for i, t in enumerate(types)]
    emitter = Emitter(wide)
    if pairs:
        results = function(var("a", UINT64), var("b", UINT64), *numbers)
        names = [emitter.value(r) for r in results]
        lines = ["const ulong2 a = w.s02, b = w.s13;", *emitter.lines]
        final = (
            f"({device.dialect(4).type(dtype)})({names[0]}.s0, {names[1]}.s0, {names[0]}.s1, {names[1]}.s1)"
        )
    else:
        final = emitter.value(function(var("w", UINT64), *numbers))
        lines = emitter.lines
    four = device.dialect(4)
    store = four.store("y + at", "v", dtype)
    sign = "-" if dtype.kind == "b" else ""
    single = one.store("y + at + i", f"{sign}rest[i]", dtype)
    body = "\n            ".join([*lines, f"const {four.type(dtype)} v = {final};"])
    text = f"""{PHILOX}
{entry(group)}
void kernel_{name}({", ".join(parameters)}) {{
    {" ".join(spread)}
    const long start = get_global_id(0)*each, end = min(start + each, blocks);
    for (long block = start; block < end; block++) {{
        const ulong4 w = philox(counter + block, key);
        const long at = 4*block;
        {{
            {body}
            if (at + 4 <= n) {{
                {store}
            }} else {{
                const {one.base(dtype)} rest[4] = {{v.s0, v.s1, v.s2, v.s3}};
                for (int i = 0; at + i < n; i++) {single}
            }}
        }}
    }}
}}
"""
    scalars = [np.uint64 if t == UINT64 else t.type for t in types]
    return text, [None, np.int64, np.uint64, np.uint64, np.int64, np.int64, *scalars]
