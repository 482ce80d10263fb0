"""Template of reading and writing by index: gather, and scatter that sets or adds.

Both walk over (outer, place, inner): for each `o`, `t` and `j` an index names the element that is `index · step` behind the
start of its row. Sizes, strides and offsets are arguments; elements are moved as bits, so that a gather is built for sizes of
elements, not for dtypes. Nothing stops a kernel from reading elsewhere, so indices are checked before, by `in_range`.

A scatter needs no atomics, and gives the same bits each time: each work item owns destinations, a range of indices or
of inner elements, and looks at all indices in order. So of several writes to one element the last one wins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plugrad.dtypes import int32

from ..expressions.c import entry
from ..expressions.expr import REAL_PART

#: A work item of the CPU schedule gets at least so many elements.
GRAIN = 2048
#: The size of a group of the GPU schedule, and about how many work items a scatter has there.
GROUP, SCATTERING = 64, 1 << 14
#: Forms of a scatter: whole rows in vectors, one element for each index, and any other.
ROWS, SINGLE, EACH = "rows", "single", "each"
_BITS: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.uint64),
}
_WALK = ("outer", "m", "inner", "n", "step", "xo", "xj", "io", "it", "ij")


class Walk:
    """The extents and strides of a gather or scatter; counted in elements.

    `x` is the indexed array, `index` that of int64 indices, of which negative ones count from `n`; `step` is how far apart
    indexed slices are.
    """

    __slots__ = ("extents", "index", "index_steps", "n", "step", "x", "x_steps")

    def __init__(
        self, x: Any, x_steps: tuple[int, int], index: Any, index_steps: tuple[int, int, int], n: int, step: int,
        extents: tuple[int, int, int],
    ) -> None:  # fmt: skip
        self.x, self.x_steps, self.index, self.index_steps = x, x_steps, index, index_steps
        self.n, self.step, self.extents = n, step, extents

    def args(self) -> list[int]:
        """The arguments of kernels, as `_WALK` names them."""
        return [*self.extents, self.n, self.step, *self.x_steps, *self.index_steps]


class Launch:
    """A gather or a scatter but the memory of its arrays; called with those it runs. With no kernel nothing is to do."""

    __slots__ = ("group", "items", "kernel", "tail")

    def __init__(self, kernel: Any = None, items: int = 0, group: int = 1, tail: Any = ()) -> None:
        self.kernel, self.items, self.group, self.tail = kernel, items, (group,), tail

    def __call__(self, x: Any, index: Any, other: Any) -> None:
        if self.kernel is not None:
            x.device.launch(
                self.kernel, self.items, self.group, x.buffer, x.offset, index.buffer, index.offset, other.buffer,
                other.offset, *self.tail,
            )  # fmt: skip


class _Element:
    """How elements are moved or added: C text for one, and where there are vectors for those."""

    def __init__(self, device: Any, dtype: np.dtype[Any], adds: bool) -> None:
        self.device, self.adds = device, adds
        self.operator = "|" if dtype.kind == "b" else "+"
        if not adds or dtype.kind == "b":
            dtype = _BITS.get(dtype.itemsize, dtype)
        self.dtype = dtype
        self.is_pair = dtype in REAL_PART
        one = device.dialect(1)
        self.stored = one.stored(dtype)
        self.width = 1 if self.is_pair or not device.is_cpu else device.width(max(dtype.itemsize, 2))

    def put(self, to: str, value: str, width: int = 1) -> str:
        """The statement that writes or adds what is at the pointer `value` to what is at the pointer `to`."""
        if self.is_pair:
            return f"*({to}) {'+' if self.adds else ''}= *({value});"
        d = self.device.dialect(width)
        text = d.load(value, self.dtype)
        if self.adds:
            text = f"{d.load(to, self.dtype)} {self.operator} {text}"
        return d.store(to, f"({text})" if self.adds else text, self.dtype)

    def run(self, to: str, value: str, indent: str) -> list[str]:
        """The statements for dense elements from `j` on before `stop`."""
        lines = []
        if self.width > 1:
            w = self.width
            lines.append(
                f"for (; j + {w} <= stop; j += {w}) {{ {self.put(f'{to} + j', f'{value} + j', w)} }}"
            )
        lines.append(f"for (; j < stop; j++) {{ {self.put(f'{to} + j', f'{value} + j')} }}")
        return [indent + line for line in lines]


def _up(n: int, to: int) -> int:
    """`n` rounded up to a multiple, so that pieces begin where vectors do."""
    return -(-n // to) * to


def _kernel(name: str, group: int, parameters: list[str], body: list[str]) -> str:
    text = "\n".join("    " + line for line in body)
    head = entry(group)
    return f"{head}\nvoid kernel_{name}({', '.join(parameters)}) {{\n{text}\n}}\n"


def _longs(*names: str) -> list[str]:
    return [f"const long {name}" for name in names]


_INDEX = "__global const long *index, const long index_offset"


# --- gather -----------------------------------------------------------------------------------------------------------


def gather(walk: Walk) -> Launch:
    """What writes the elements that a walk names into a dense array: called with `walk.x`, `walk.index` and that."""
    device, dtype = walk.x.device, walk.x.dtype
    outer, m, inner = walk.extents
    size = outer * m * inner
    if not size:
        return Launch()
    if inner == 1:  # the places as inner elements: fewer rows
        (io, it, _), (xo, _) = walk.index_steps, walk.x_steps
        walk.extents, walk.index_steps, walk.x_steps = (outer, 1, m), (io, 0, it), (xo, 0)
        outer, m, inner = walk.extents
    rows = device.is_cpu and walk.x_steps[1] == 1 and walk.index_steps[2] == 0 and inner > 1
    kernel = device.kernel(("gather", dtype.itemsize, rows), lambda: _gather_source(device, dtype, rows))
    if not device.is_cpu:
        return Launch(kernel, size, GROUP, walk.args())
    items = max(1, min(device.slabs, size // GRAIN))
    pieces = 1 if outer * m >= items else -(-items // (outer * m))
    piece = _up(-(-inner // pieces), 16)
    pieces = -(-inner // piece)
    tiles = outer * m * pieces
    each = -(-tiles // min(items, tiles))
    return Launch(kernel, -(-tiles // each), 1, [*walk.args(), pieces, piece, tiles, each])


def _gather_source(device: Any, dtype: Any, rows: bool) -> tuple[str, list[Any]]:
    e = _Element(device, dtype, False)
    parameters = [f"__global const {e.stored} *x", "const long x_offset", *_INDEX.split(", ")]
    parameters += [f"__global {e.stored} *y", "const long y_offset", *_longs(*_WALK)]
    one = [
        "long i = index[index_at + j*ij]; if (i < 0) i += n;",
        e.put("y_row + j", "x + x_at + i*step + j*xj"),
    ]
    if not device.is_cpu:
        body = [
            "const long q = get_global_id(0);",
            "if (q >= outer*m*inner) return;",
            "const long r = q / inner, j = q - r*inner, o = r / m, t = r - o*m;",
            "const long index_at = index_offset + o*io + t*it, x_at = x_offset + o*xo;",
            f"__global {e.stored} *y_row = y + y_offset + r*inner;",
            *one,
        ]
        return _kernel("gather", GROUP, parameters, body), _types(parameters)
    parameters += _longs("pieces", "piece", "tiles", "each")
    body = [
        "long q = get_global_id(0)*each;",
        "const long end = min(q + each, tiles);",
        "long r = q / pieces, p = q - r*pieces, o = r / m, t = r - o*m;",
        "for (; q < end; q++) {",
        "    long j = p*piece; const long stop = min(j + piece, inner);",
        "    const long index_at = index_offset + o*io + t*it, x_at = x_offset + o*xo;",
        f"    __global {e.stored} *y_row = y + y_offset + r*inner;",
    ]
    if rows:
        body += [
            "    long i = index[index_at]; if (i < 0) i += n;",
            f"    __global const {e.stored} *x_row = x + x_at + i*step;",
            *e.run("y_row", "x_row", "    "),
        ]
    else:
        body += ["    for (; j < stop; j++) {", *("        " + line for line in one), "    }"]
    body += ["    if (++p == pieces) { p = 0; r++; if (++t == m) { t = 0; o++; } }", "}"]
    return _kernel("gather", 1, parameters, body), _types(parameters)


def _types(parameters: list[str]) -> list[Any]:
    return [None if p.startswith("__global") else np.int64 for p in parameters]


# --- scatter ----------------------------------------------------------------------------------------------------------


def scatter(walk: Walk, value_steps: tuple[int, int, int], reach: tuple[int, int], adds: bool) -> Launch:
    """What writes values into the elements that a walk names, or adds them: called with `walk.x`, `walk.index` and those.

    Indices, negative ones made positive, are within `reach`: from its first up to before its last.
    """
    x, device = walk.x, walk.x.device
    outer, m, inner = walk.extents
    low, high = reach
    if not outer * m * inner:
        return Launch()
    rows = walk.index_steps[2] == 0 and (walk.x_steps[1], value_steps[2]) == (1, 1)
    form = EACH if not device.is_cpu else SINGLE if inner == 1 else ROWS if rows else EACH
    kind = x.dtype if adds else x.dtype.itemsize
    kernel = device.kernel(
        ("scatter", kind, adds, form), lambda: _scatter_source(device, x.dtype, adds, form)
    )
    # Destinations are divided among work items: into ranges of indices, and blocks of inner elements.
    blocks, wanted = inner, SCATTERING
    if device.is_cpu:
        wanted = min((1 if form == SINGLE else 4) * device.units, -(-outer * m * inner // GRAIN))
        blocks = max(1, min(-(-wanted // outer), inner // 64)) if form == EACH else 1
    ranges = max(1, min(-(-wanted // (outer * blocks)), high - low))
    if form == ROWS:
        blocks = max(1, min(-(-wanted // (outer * ranges)), inner // 64))
    block = -(-inner // blocks)
    if device.is_cpu:
        block = _up(block, 16)
        blocks = -(-inner // block)
    items = outer * ranges * blocks
    span = -(-(high - low) // ranges)
    tail = [*walk.args(), *value_steps, low, high, span, ranges, blocks, block]
    return Launch(kernel, items, 1 if device.is_cpu else GROUP, tail)


def _scatter_source(device: Any, dtype: Any, adds: bool, form: str) -> tuple[str, list[Any]]:
    e = _Element(device, dtype, adds)
    parameters = [f"__global {e.stored} *x", "const long x_offset", *_INDEX.split(", ")]
    parameters += [f"__global const {e.stored} *v", "const long v_offset", *_longs(*_WALK)]
    parameters += _longs("vo", "vt", "vj", "low", "high", "span", "ranges", "blocks", "block")
    group = 1 if device.is_cpu else GROUP
    body = [
        "const long q = get_global_id(0);",
        "if (q >= outer*ranges*blocks) return;",
        "const long rest = q / blocks, first = (q - rest*blocks)*block, last = min(first + block, inner);",
        "const long o = rest / ranges, from = low + (rest - o*ranges)*span, before = min(from + span, high);",
        "const long x_at = x_offset + o*xo;",
        "for (long t = 0; t < m; t++) {",
        "    const long index_at = index_offset + o*io + t*it, v_at = v_offset + o*vo + t*vt;",
    ]
    read = "long i = index[index_at]; if (i < 0) i += n;"
    if form == ROWS:
        body += [
            f"    {read}",
            "    if (i < from || i >= before) continue;",
            f"    __global {e.stored} *x_row = x + x_at + i*step;",
            f"    __global const {e.stored} *v_row = v + v_at;",
            "    long j = first; const long stop = last;",
            *e.run("x_row", "v_row", "    "),
        ]
    elif form == SINGLE:
        body += [
            f"    {read}",
            f"    if (i >= from && i < before) {{ {e.put('x + x_at + i*step', 'v + v_at')} }}",
        ]
    else:
        body += [
            "    for (long j = first; j < last; j++) {",
            "        long i = index[index_at + j*ij]; if (i < 0) i += n;",
            f"        if (i >= from && i < before) {{ {e.put('x + x_at + i*step + j*xj', 'v + v_at + j*vj')} }}",
            "    }",
        ]
    body.append("}")
    return _kernel("scatter", group, parameters, body), _types(parameters)


# --- checks -----------------------------------------------------------------------------------------------------------


def in_range(index: Any, low: int, high: int) -> bool:
    """Whether all indices of a 1-d array are from `low` up to before `high`; waits for the answer."""
    device, n = index.device, index.size
    if not n:
        return True
    kernel = device.kernel(("out_of_range",), lambda: _check_source(device))
    flag = device.functions.zeros((1,), int32)
    items = max(1, min(device.slabs, n // GRAIN)) if device.is_cpu else -(-n // 16)
    each = -(-n // items)
    device.launch(
        kernel, items, (1 if device.is_cpu else GROUP,), index.buffer, index.offset, flag.buffer, n,
        index.strides[0], each, low, high,
    )  # fmt: skip
    return not flag.get()[0]


def _check_source(device: Any) -> tuple[str, list[Any]]:
    parameters = [*_INDEX.split(", "), "__global int *flag", *_longs("n", "it", "each", "low", "high")]
    body = [
        "const long t = get_global_id(0)*each, end = min(t + each, n);",
        "int wrong = 0;",
        "for (long k = t; k < end; k++) {",
        "    const long i = index[index_offset + k*it];",
        "    wrong |= (i < low) | (i >= high);",
        "}",
        "if (wrong) atomic_or(flag, 1);",
    ]
    return _kernel("out_of_range", 1 if device.is_cpu else GROUP, parameters, body), _types(parameters)


# --- places of what is true -------------------------------------------------------------------------------------------


def true_places(mask: Any) -> Any:
    """The places of a dense 1-d mask that are true, in order; their number waits for the device."""
    device, n = mask.device, mask.size
    if not n:
        return device.empty((0,), np.int64)
    items = max(1, min(device.slabs, n // GRAIN)) if device.is_cpu else -(-n // max(64, n >> 16))
    each = -(-n // items)
    items = -(-n // each)
    counts = device.empty((items,), np.int64)
    group = (1 if device.is_cpu else GROUP,)
    kernel = device.kernel(("count_true",), lambda: _true_source(device, "count_true"))
    device.launch(kernel, items, group, mask.buffer, mask.offset, counts.buffer, n, each)
    ends = np.cumsum(counts.get())
    out = device.empty((int(ends[-1]),), np.int64)
    if out.size:
        starts = device.functions.from_numpy(np.concatenate([[0], ends]))
        kernel = device.kernel(("true_places",), lambda: _true_source(device, "true_places"))
        device.launch(kernel, items, group, mask.buffer, mask.offset, starts.buffer, n, each, out.buffer)
    return out


def _true_source(device: Any, name: str) -> tuple[str, list[Any]]:
    """Each item looks at a slab: how many are true, or where."""
    parameters = [
        "__global const uchar *mask",
        "const long offset",
        "__global long *found",
        *_longs("n", "each"),
    ]
    counts = name == "count_true"
    if not counts:
        parameters += ["__global long *places"]
    body = [
        "const long t = get_global_id(0), first = t*each, end = min(first + each, n);",
        "if (first >= n) return;",
        "__global const uchar *at = mask + offset;",
        "long i = first;",
    ]
    if counts:
        body += [
            "long k = 0;",
            "for (; i + 8 <= end; i += 8) k += popcount(as_ulong(vload8(0, at + i)));",
            "for (; i < end; i++) k += at[i];",
            "found[t] = k;",
        ]
    else:  # an item writes up to where the next one begins, without a branch for each element
        body += [
            "long k = found[t]; const long stop = found[t + 1];",
            "for (; i < end && k < stop; i++) { places[k] = i; k += at[i]; }",
        ]
    return _kernel(name, 1 if device.is_cpu else GROUP, parameters, body), _types(parameters)


__all__ = ["Launch", "Walk", "gather", "in_range", "scatter", "true_places"]
