"""Products of stacks of matrices: which kernel of `products` serves, and the members of `plugrad.ops.linalg`.

On CPU devices NumPy could multiply in mapped memory. In chains of products and sums that was measured to be slower at each size
from 16³ to 1024³, on PoCL and on Intel's runtime: it must wait for what is queued, and its threads compete with the runtime's.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..expressions import Functions as f
from . import layout
from .kernels import elementwise
from .layout import Signature, signature
from .products import BLOCK, CPU, GPU, GROUP

_FLOAT32 = np.dtype(np.float32)
#: What matrices are multiplied as, where that is another dtype: sums of integers wrap in any, and of bools each 1 tells.
_COMPUTED: dict[Any, np.dtype[Any]] = {
    **{np.dtype(d): np.dtype(np.uint32) for d in ("i1", "u1", "i2", "u2", "i4", "u4")},
    **{np.dtype(d): np.dtype(np.uint64) for d in ("i8", "u8")},
    np.dtype(np.float16): _FLOAT32,
    np.dtype(np.bool_): _FLOAT32,
}  # fmt: skip
_PARTS: dict[Any, np.dtype[Any]] = {
    np.dtype(np.complex64): _FLOAT32,
    np.dtype(np.complex128): np.dtype(np.float64),
}

#: Rows of a tile of C on CPUs.
ROWS = 6
#: B is packed for products of so many rows or more, where its columns are no neighbours in memory, or it has more bytes.
PACKED_ROWS, DIRECT_BYTES = 16, 1 << 18


def as_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    """The same memory, elements of one size, as another dtype."""
    return type(x)(x.buffer, x.offset, signature(x.shape, dtype, x.strides), x)


class Plan:
    """All of a launch but the matrices' memory."""

    __slots__ = ("dense", "group", "items", "kernel", "out", "packs", "swap", "tail")

    def __init__(self, out: Signature, swap: bool = False) -> None:
        #: Whether the kernel computes the transposed product, of the transposed matrices in the other order.
        self.out, self.swap = out, swap
        #: What packs A and B before, if anything does.
        self.packs: list[Pack | None] = [None, None]
        #: Which matrix, "a" or "b", is to be copied first, so that a kernel can read it.
        self.dense = ""
        self.kernel: Any = None


class Pack:
    """All of a launch that packs a stack of matrices, but its memory."""

    __slots__ = ("items", "kernel", "nbytes", "tail")

    def __init__(self, kernel: Any, items: int, nbytes: int, tail: list[int]) -> None:
        self.kernel, self.items, self.nbytes, self.tail = kernel, (items,), nbytes, tail

    def run(self, device: Any, x: Any) -> Any:
        """The packed stack: memory that may be given to others as soon as nobody refers to it."""
        packed = device.allocate(self.nbytes)
        device.run(self.kernel, self.items, (1,), packed, 0, x.buffer, x.offset, *self.tail)
        return packed


def _share(device: Any, tiles: int, work: int, least: int) -> int:
    """How many tiles an item does: enough for it to be worth handing out, and few enough for all cores to have some."""
    return -(-tiles // min(tiles, device.shares(tiles * work, least)))


class Products:
    """The products of two arrays of one dtype that is computed with; each has two or more dimensions."""

    def __init__(self, device: Any) -> None:
        self.device = device
        native = 4 * device.device.native_vector_width_float
        #: The bytes of a register, and how many of them a row of a tile takes, so that all of it stays in registers.
        self.register: int = native if native in (16, 32) else 64
        self.vectors = 4 if self.register == 64 else 2
        self._plans: dict[tuple[Signature, Signature], Plan] = {}

    def __call__(self, a: Any, b: Any) -> Any:
        """`a @ b`, a new dense array."""
        plan = self._plans.get((a.sig, b.sig))
        if plan is None:
            if len(self._plans) > 4096:
                self._plans.clear()
            plan = self._plans[a.sig, b.sig] = self._plan(a.sig, b.sig)
        if plan.dense:
            return self(a.copy(), b) if plan.dense == "a" else self(a, b.copy())
        device = self.device
        out = device.array_type(device.allocate(plan.out.nbytes), 0, plan.out)
        if plan.kernel is not None:
            given = [(b if plan.swap else a), (a if plan.swap else b)]
            with device.lock:
                (a, a_at), (b, b_at) = (
                    (x.buffer, x.offset) if pack is None else (pack.run(device, x), 0)
                    for x, pack in zip(given, plan.packs)
                )
                device.run(plan.kernel, plan.items, plan.group, out.buffer, 0, a, a_at, b, b_at, *plan.tail)
        return out

    def _plan(self, a: Signature, b: Signature) -> Plan:
        rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
        if b.shape[-2] != inner:
            raise RuntimeError(
                f"matmul: matrices of shapes {list(a.shape)} and {list(b.shape)} cannot be multiplied: the rows of the first "
                f"have {inner} elements, the columns of the second {b.shape[-2]}"
            )
        stack = layout.broadcast([a.shape[:-2], b.shape[:-2]])
        out = signature((*stack, rows, columns), a.dtype)
        if not out.size:
            return Plan(out)
        # Dimensions of the stack that step as rows of the first do, and not through the second, are rows.
        a_steps = layout.broadcast_strides(a, (*stack, rows, inner))
        b_steps = layout.broadcast_strides(b, (*stack, inner, columns))
        c_steps = layout.broadcast_strides(out, out.shape)
        merged, steps = layout.collapse(
            (*stack, rows), [(*a_steps[:-2], a_steps[-2]), (*b_steps[:-2], 0), (*c_steps[:-2], c_steps[-2])]
        )
        if len(merged) == 1 and steps[1][0] == 0 and merged[0] == out.size // columns:
            extents: layout.Shape = (1,)
            walk: list[layout.Shape] = [(0,)] * 3
            rows, a_m, c_m = merged[0], steps[0][0], steps[2][0]
        else:
            a_m, c_m = a_steps[-2], c_steps[-2]
            extents, walk = layout.collapse(stack, [c_steps[:-2], a_steps[:-2], b_steps[:-2]])
        one = Walk(rows, columns, inner, a_m, a_steps[-1], b_steps[-2], b_steps[-1], c_m, c_steps[-1])
        swap = one.n == 1 and one.m > 1
        if swap:
            one, walk = one.swapped(), [walk[0], walk[2], walk[1]]
        plan, rank = Plan(out, swap=swap), layout.rank_class(len(extents))
        extents, walk = layout.padded(extents, rank, 1), [layout.padded(w, rank, 0) for w in walk]
        chosen = (
            self._cpu(plan, a.dtype, one, extents, walk)
            if self.device.is_cpu
            else self._gpu(a.dtype, one, rank)
        )
        if isinstance(chosen, str):
            plan.dense = {"a": "b", "b": "a"}[chosen] if swap else chosen
            return plan
        plan.kernel, high, wide = chosen
        tiles_m = -(-one.m // high)
        tiles_mn = tiles_m * -(-one.n // wide)
        tiles, each = tiles_mn * math.prod(extents), 1
        if self.device.is_cpu:
            each = _share(self.device, tiles, high * wide * one.k, 20000)
        group = 1 if self.device.is_cpu else GROUP
        plan.items, plan.group = (-(-tiles // each) * group,), (group,)
        plan.tail = [*one.arguments(), tiles_m, tiles_mn, tiles, each, *extents[1:], *itertools.chain(*walk)]
        return plan

    def _cpu(
        self, plan: Plan, dtype: np.dtype[Any], one: Walk, extents: layout.Shape, walk: list[layout.Shape]
    ) -> Any:
        """The kernel, and the size of its tiles; the name of a matrix that must be made dense before."""
        device, rank = self.device, len(extents)
        full = self.register // dtype.itemsize
        panel = self.vectors * full

        def cpu(width: int = full) -> CPU:
            return CPU(device, dtype, width, rank, self.vectors)

        bytes_a, bytes_b = one.m * one.k * dtype.itemsize, one.n * one.k * dtype.itemsize
        if one.m >= PACKED_ROWS and one.n >= full and (one.b_n != 1 or bytes_b > DIRECT_BYTES):
            if one.a_k != 1 and bytes_a > DIRECT_BYTES:
                plan.packs[0], walk[1] = self._pack(
                    dtype, extents, walk[1], one.m, one.k, one.a_m, one.a_k, False
                )
                one.a_m, one.a_k = -(-one.k // panel) * panel, 1
            plan.packs[1], walk[2] = self._pack(dtype, extents, walk[2], one.k, one.n, one.b_k, one.b_n, True)
            one.b_k, one.b_n, one.b_panel = panel, 1, one.k * panel
            key: tuple[Any, ...] = "matmul_panels", dtype, rank
            return device.kernel(key, lambda: cpu().panels(ROWS)), ROWS, panel
        if one.b_n == 1 and one.c_n == 1:
            width = full
            while width > one.n:
                width //= 2
            rows = 1 if one.m == 1 else 4 if one.m in (2, 3, 4, 8) else ROWS
            vectors = self.vectors * (
                4 if one.m == 1 else 1
            )  # a lone row has registers for more of its elements
            key = "matmul_outer", dtype, rank, width, rows
            return (
                device.kernel(key, lambda: cpu(width).outer(rows, vectors)),
                rows,
                vectors * width,
            )
        if one.a_k == 1 and one.b_k == 1:
            rows, columns = (1, 2 * self.vectors) if one.m == 1 else (self.vectors, 4)
            key = "matmul_dot", dtype, rank, rows
            return (
                device.kernel(key, lambda: cpu().dot(rows, columns)),
                rows,
                columns,
            )
        return "a" if one.b_k == 1 and one.m <= one.n else "b"

    def _pack(
        self, dtype: np.dtype[Any], extents: layout.Shape, steps: layout.Shape, p: int, q: int, s_p: int, s_q: int,
        panelled: bool,
    ) -> tuple[Pack, layout.Shape]:  # fmt: skip
        """What packs a stack of matrices of p rows and q columns; the steps through the packed stack."""
        device, rank = self.device, len(extents)
        own = [
            n if s else 1 for n, s in zip(extents, steps)
        ]  # a matrix that serves all of the stack is packed once
        width = self.register // dtype.itemsize
        panel = self.vectors * width
        panels, blocks = -(-q // panel), -(-p // BLOCK)
        inner = p * panels * panel
        packed = tuple(inner * d if s else 0 for d, s in zip(layout.dense_strides(tuple(own)), steps))
        tiles = math.prod(own) * panels * blocks
        each = _share(device, tiles, panel * BLOCK, 8000)
        where = (p * panel, panel) if panelled else (panel, panels * panel)
        kernel = device.kernel(
            ("matmul_pack", dtype, rank), CPU(device, dtype, width, rank, self.vectors).pack
        )
        tail = [p, q, s_p, s_q, *where, panels, blocks, tiles, each, *own[1:], *packed, *steps]
        return Pack(kernel, -(-tiles // each), math.prod(own) * inner * dtype.itemsize, tail), packed

    def _gpu(self, dtype: np.dtype[Any], one: Walk, rank: int) -> Any:
        if one.m == 1 and one.b_n == 1:
            return self.device.kernel(("matmul_columns", dtype, rank), GPU(dtype, rank).columns), 1, GROUP
        if one.m == 1:
            return self.device.kernel(("matmul_dot", dtype, rank), GPU(dtype, rank).dot), 1, 1
        side = 8 if dtype.itemsize == 4 and min(one.m, one.n) > 256 else 4
        kernel = self.device.kernel(("matmul_tiled", dtype, rank, side), lambda: GPU(dtype, rank).tiled(side))
        return kernel, 8 * side, 8 * side


class Walk:
    """Extents and strides of one product of the stack."""

    __slots__ = ("a_k", "a_m", "b_k", "b_n", "b_panel", "c_m", "c_n", "k", "m", "n")

    def __init__(
        self, m: int, n: int, k: int, a_m: int, a_k: int, b_k: int, b_n: int, c_m: int, c_n: int
    ) -> None:
        # What has one element only may step as kernels like it best.
        self.m, self.n, self.k = m, n, k
        self.a_m, self.a_k = (a_m, a_k) if k > 1 else (a_m, 1)
        self.b_k, self.b_n, self.c_m = (b_k if k > 1 else 1), (b_n if n > 1 else 1), c_m
        self.c_n = c_n if n > 1 else 1
        self.b_panel = 0

    def swapped(self) -> Walk:
        """The product of the transposed matrices, in the other order."""
        return Walk(self.n, self.m, self.k, self.b_n, self.b_k, self.a_k, self.a_m, self.c_n, self.c_m)

    def arguments(self) -> tuple[int, ...]:
        """As `products.PARAMETERS` begin."""
        return (
            self.m, self.n, self.k, self.a_m, self.a_k, self.b_k, self.b_n, self.b_panel, self.c_m,
            self.c_n,
        )  # fmt: skip


class MatmulKernels:
    """A family of kernels; the backend inherits them all."""

    device: Any
    astype: Any
    _cast: Any
    #: y + iz
    _turned_sum = elementwise(lambda y, z: f.complex(f.real(y) - f.imag(z), f.imag(y) + f.real(z)))

    def matmul(self, a: Any, b: Any) -> Any:
        """Products of stacks of matrices, which broadcast."""
        if a.dtype != b.dtype:
            common = np.result_type(a.dtype, b.dtype)
            a, b = self._in(a, common), self._in(b, common)
        dtype = a.dtype
        if dtype in _PARTS:
            return self._complex(a, b, _PARTS[dtype])
        computed = _COMPUTED.get(dtype, dtype)
        y = self._products(self._in(a, computed), self._in(b, computed))
        return y if computed is dtype else self._out(y, dtype)

    mm = bmm = matmul

    def addmm_vjp_b(self, g: Any, a: Any, alpha: Any) -> Any:
        """aᵀ g, as the transpose of gᵀ a: `b` is most often a linear layer's weight, transposed, whose gradient is dense then."""
        g = g if alpha == 1 else g * alpha
        return self.matmul(g.permute((1, 0)), a).permute((1, 0))

    @property
    def _products(self) -> Products:
        made = self.__dict__.get("_made_products")
        if made is None:
            made = self.__dict__["_made_products"] = Products(self.device)
        return made

    def _in(self, x: Any, dtype: np.dtype[Any]) -> Any:
        if x.dtype is dtype or x.dtype == dtype:
            return x
        if x.dtype.kind == "i" and dtype.kind == "u" and x.dtype.itemsize == dtype.itemsize:
            return as_dtype(x, dtype)
        return self._cast(x, dtype)

    def _out(self, y: Any, dtype: np.dtype[Any]) -> Any:
        if y.dtype.kind == "u" and y.dtype.itemsize == dtype.itemsize:
            return type(y)(y.buffer, 0, signature(y.shape, dtype))
        return self._cast(y, dtype)

    def _complex(self, a: Any, b: Any, part: np.dtype[Any]) -> Any:
        """Two real products with the rows of `b` as real numbers, of twice as many columns."""
        if b.shape[-1] > 1 and b.strides[-1] != 1:
            b = b.copy()
        *outer, rows, _ = b.strides
        wide = signature((*b.shape[:-1], 2 * b.shape[-1]), part, (*(2 * s for s in outer), 2 * rows, 1))
        real = type(b)(b.buffer, 2 * b.offset, wide, b)
        halves = signature(a.shape, part, tuple(2 * s for s in a.strides))
        y, z = (self._products(type(a)(a.buffer, 2 * a.offset + i, halves, a), real) for i in (0, 1))
        whole = signature((*y.shape[:-1], y.shape[-1] // 2), a.dtype)
        y, z = (type(x)(x.buffer, 0, whole) for x in (y, z))
        self._turned_sum.into((y,), y, z)
        return y

    def mv(self, a: Any, b: Any) -> Any:
        """A matrix times a vector."""
        return self._squeezed(self.matmul(a, self._as_column(b)), a.shape[:-1])

    def vm(self, a: Any, b: Any) -> Any:
        """A vector times a matrix."""
        return self._squeezed(self.matmul(self._as_row(a), b), b.shape[1:])

    def dot(self, a: Any, b: Any) -> Any:
        """The sum of the products of two vectors' elements."""
        return self._squeezed(self.matmul(self._as_row(a), self._as_column(b)), ())

    def _as_row(self, x: Any) -> Any:
        return x.view((1, *x.shape), (0, *x.strides), x.offset)

    def _as_column(self, x: Any) -> Any:
        return x.view((*x.shape, 1), (*x.strides, 0), x.offset)

    def _squeezed(self, x: Any, shape: layout.Shape) -> Any:
        return type(x)(x.buffer, 0, signature(shape, x.dtype))
