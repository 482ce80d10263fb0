"""Sources of the kernels of matrix products C = A·B; `matmul` chooses among them.

All have the same arguments (`PARAMETERS`), so strides, offsets and extents are no part of a source. A kernel works on tiles of
C, which are numbered row by row through all matrices of a stack. Only float32, float64, uint32 and uint64 come here.

CPU schedule: an item does `each` tiles, with the elements of C in vector registers, and the text unrolled, since a compiler
that unrolls late keeps them in memory. `c += a*b` becomes a fused multiply-add; of vectors `fma` does not.
GPU schedule: a group does one tile by way of local memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..expressions.c import OpenCL, entry

#: What each kernel is given before the batch: the matrices, their extents and strides, how many tiles along each dimension
#: of C and in all, and how many an item does.
PARAMETERS = (
    "M", "N", "K", "a_m", "a_k", "b_k", "b_n", "b_panel", "c_m", "c_n", "tiles_m", "tiles_mn", "tiles", "each",
)  # fmt: skip
#: How many rows of a matrix are packed at once.
BLOCK = 64
#: How many products are summed up in registers before they go to C: long sums lose fewer digits so.
DEEP = 512
#: The size of a group of the GPU schedule, and how many elements of K its tiles in local memory have.
GROUP, DEPTH = 64, 16


def signature(name: str, dtype: np.dtype[Any], rank: int, group: int) -> tuple[str, list[Any]]:
    """The head of a kernel over stacks of `rank` dimensions, and the types of its arguments."""
    t = OpenCL().stored(dtype)
    parameters = [f"__global {t} *C, const long c_offset"]
    parameters += [f"__global const {t} *{x}, const long {x.lower()}_offset" for x in "AB"]
    longs = [*PARAMETERS, *batch_parameters(rank)]
    parameters += [f"const long {p}" for p in longs]
    head = f"{entry(group)}\n"
    return (
        f"{head}void kernel_{name}({', '.join(parameters)})",
        [None, np.int64] * 3 + [np.int64] * len(longs),
    )


def batch_parameters(rank: int) -> list[str]:
    """The inner extents of a stack, and the strides of each matrix along it."""
    return [f"n{j}" for j in range(1, rank)] + [f"{x}_b{j}" for x in "cab" for j in range(rank)]


def decode(rank: int) -> list[str]:
    """Pointers `c`, `a` and `b` to the matrices of tile `t`, and the tile's place in them: `tile_m`, `tile_n`."""
    lines = ["const long batch = t / tiles_mn, place = t % tiles_mn;"]
    lines += ["const long tile_n = place / tiles_m, tile_m = place % tiles_m;"]
    lines += ["long rest = batch;", *_indices(rank)]
    for x in "cab":
        steps = "".join(f" + i{j}*{x}_b{j}" for j in range(rank))
        const = "" if x == "c" else "const "
        lines.append(f"__global {const}T *{x} = {x.upper()} + {x}_offset{steps};")
    return lines


def _indices(rank: int) -> list[str]:
    """The number `rest` of a matrix of the stack as indices."""
    lines = [f"const long i{j} = rest % n{j}; rest /= n{j};" for j in range(rank - 1, 0, -1)]
    return [*lines, "const long i0 = rest;"]


class CPU:
    """The kernels of the CPU schedule, for vectors of `width` elements, of which panels have `vectors`."""

    def __init__(self, device: Any, dtype: np.dtype[Any], width: int, rank: int, vectors: int) -> None:
        self.vectors, self.panel = vectors, vectors * width
        self.dialect, self.dtype, self.width, self.rank = device.dialect(width), dtype, width, rank
        self.t, self.v = self.dialect.stored(dtype), self.dialect.type(dtype)

    def _load(self, pointer: str) -> str:
        return self.dialect.load(pointer, self.dtype)

    def _kernel(self, name: str, tile: list[str]) -> tuple[str, list[Any]]:
        head, types = signature(name, self.dtype, self.rank, 1)
        lines = [
            f"typedef {self.t} T; typedef {self.v} V;",
            f"{head} {{",
            "    const long end = min((long)(get_global_id(0) + 1)*each, tiles);",
            "    for (long t = get_global_id(0)*each; t < end; t++) {",
            *("        " + line for line in decode(self.rank)),
            *("        " + line for line in tile),
            "    }",
            "}",
        ]
        return "\n".join(lines), types

    def _rows(self, count: int) -> list[str]:
        """Pointers to the rows of A of a tile; those behind the last are the last, and are not stored."""
        lines = [f"const long m0 = tile_m*{count};"]
        return lines + [f"__global const T *a{r} = a + min(m0 + {r}, M - 1)*a_m;" for r in range(count)]

    def panels(self, rows: int) -> tuple[str, list[Any]]:
        """As `outer` does, with B in panels as `pack` makes them: each is read from one end to the other."""
        vectors, panel = self.vectors, self.panel
        tile = [
            *self._rows(rows),
            f"const long n0 = tile_n*{panel};",
            f"const int whole = n0 + {panel} <= N;",
            *self._outer(rows, vectors, "tile_n*b_panel"),
            "if (whole) {",
            *self._stores(rows, vectors, "n0"),
            "} else {",
        ]
        tile.append("    " + self._lanes(rows, vectors, "n0", "0", "N - n0"))
        tile += ["}", "} while (k1 < K);"]
        return self._kernel("matmul_panels", tile)

    def pack(self) -> tuple[str, list[Any]]:
        """Copies a stack of matrices S, of P rows and Q columns of any strides, to panels of columns, padded with zeros.

        Column q of row p goes to place q/n·d_panel + p·d_row + q%n where panels have n columns. What neighbours in S are
        the elements of a column is turned in registers, a square of vectors at once.
        """
        names = "P Q s_p s_q d_panel d_row panels blocks tiles each".split()  # noqa: SIM905
        names += [f"n{j}" for j in range(1, self.rank)] + [
            f"{x}_b{j}" for x in "ds" for j in range(self.rank)
        ]
        longs = ", ".join(f"const long {n}" for n in names)
        d, s = (" + ".join([f"{x}_offset", *(f"i{j}*{x}_b{j}" for j in range(self.rank))]) for x in "ds")
        w, panel, load = self.width, self.panel, self._load
        lines = [
            f"typedef {self.t} T; typedef {self.v} V;",
            entry(1),
            f"void kernel_matmul_pack(__global T *D, const long d_offset, __global const T *S, const long s_offset, {longs}) {{",
            "    const long end = min((long)(get_global_id(0) + 1)*each, tiles);",
            "    for (long t = get_global_id(0)*each; t < end; t++) {",
            "        long rest = t / blocks;",
            f"        const long panel = rest % panels, p0 = t % blocks*{BLOCK}, p1 = min(p0 + {BLOCK}, P);",
            "        rest /= panels;",
            *("        " + line for line in _indices(self.rank)),
            f"        __global T *to = D + {d} + panel*d_panel;",
            f"        __global const T *from = S + {s};",
            f"        for (long j = 0; j < {panel}; j += {w}) {{",
            f"            const long q = panel*{panel} + j;",
            "            long p = p0;",
            f"            if (q + {w} <= Q && s_q == 1)",
            "                for (; p < p1; p++) "
            + self.dialect.store("to + p*d_row + j", load("from + q + p*s_p"), self.dtype),
            f"            else if (q + {w} <= Q && s_p == 1)",
            f"                for (; p + {w} <= p1; p += {w}) {{",
            *("                    " + line for line in self._turned()),
            "                }",
            "            for (; p < p1; p++)",
            f"                for (long i = 0; i < {w}; i++)",
            "                    to[p*d_row + j + i] = q + i < Q ? from[(q + i)*s_q + p*s_p] : 0;",
            "        }",
            "    }",
            "}",
        ]
        return "\n".join(lines), [None, np.int64] * 2 + [np.int64] * len(names)

    def _turned(self) -> list[str]:
        """A square of vectors, transposed by interleaving the first half with the second, log2(width) times."""
        w = self.width
        lines = [f"V r{i} = {self._load(f'from + (q + {i})*s_q + p')};" for i in range(w)]
        # A loop is short to compile, and all stays in registers.
        lines.append(f"for (int step = 1; step < {w}; step *= 2) {{")
        for i in range(w):
            a, b, first = i // 2, (i + w) // 2, i % 2 * w // 2
            lanes = ", ".join(f"r{j}.s{first + k:x}" for k in range(w // 2) for j in (a, b))
            lines.append(f"    const V t{i} = (V)({lanes});")
        lines += ["    " + " ".join(f"r{i} = t{i};" for i in range(w)), "}"]
        return lines + [
            self.dialect.store(f"to + (p + {i})*d_row + j", f"r{i}", self.dtype) for i in range(w)
        ]

    def outer(self, rows: int, vectors: int) -> tuple[str, list[Any]]:
        """Sums of outer products: for b_n = c_n = 1, and any strides of A."""
        w = self.width
        tile = [
            *self._rows(rows),
            f"const long n0 = tile_n*{vectors * w};",
            f"if (n0 + {vectors * w} <= N) {{",
            *self._outer(rows, vectors, "n0"),
            *self._stores(rows, vectors, "n0"),
            "} while (k1 < K);",
            f"}} else for (long n1 = n0; n1 < N; n1 += {w}) {{",
            f"    const long n2 = min(n1, N - {w});  // the last vector begins among the columns of the one before",
            *self._outer(rows, 1, "n2"),
            "    if (n2 == n1) {",
            *self._stores(rows, 1, "n2"),
            "    } else {",
            "        " + (self._lanes(rows, 1, "n2", "n1 - n2", str(w)) if w > 1 else ""),
            "    }",
            "    } while (k1 < K);",
            "}",
        ]
        return self._kernel("matmul_outer", tile)

    def _outer(self, rows: int, vectors: int, n: str) -> list[str]:
        """The head of a loop over K, and the sums of a part of it, which are to be stored, or added if `k0` is not 0."""
        w = self.width
        sums = ", ".join(f"s{r}_{j} = 0" for r in range(rows) for j in range(vectors))
        lines = ["long k1 = 0;", "do {", f"const long k0 = k1; k1 = min(k1 + {DEEP}, K);"]
        lines += [f"__global const T *y = b + {n} + k0*b_k;", f"V {sums};"]
        lines += ["for (long k = k0, ka = k0*a_k; k < k1; k++, ka += a_k, y += b_k) {"]
        lines += [f"    const V y{j} = {self._load(f'y + {j * w}')};" for j in range(vectors)]
        for r in range(rows):
            adds = " ".join(f"s{r}_{j} += x*y{j};" for j in range(vectors))
            lines.append(f"    {{ const T x = a{r}[ka]; {adds} }}")
        return ["    " + line for line in [*lines, "}"]]

    def _stores(self, rows: int, vectors: int, n: str) -> list[str]:
        lines = []
        for r in range(rows):
            to = [f"c + (m0 + {r})*c_m + {n} + {j * self.width}" for j in range(vectors)]
            adds = " ".join(f"s{r}_{j} += {self._load(p)};" for j, p in enumerate(to))
            stores = " ".join(self.dialect.store(p, f"s{r}_{j}", self.dtype) for j, p in enumerate(to))
            lines.append(f"    if (m0 + {r} < M) {{ if (k0) {{ {adds} }} {stores} }}")
        return lines

    def _lanes(self, rows: int, vectors: int, n: str, first: str, last: str) -> str:
        """Stores of the elements of all vectors one by one, from `first` to `last` of a row, columns counted from `n`."""
        sums = ", ".join(f"s{r}_{j}" for r in range(rows) for j in range(vectors))
        return (
            f"const V u[] = {{{sums}}}; const T *lane = (const T *)u; __global T *to = c + m0*c_m + {n}; "
            f"for (long r = min((long){rows}, M - m0); r > 0; r--, lane += {vectors * self.width}, to += c_m) "
            f"for (long j = {first}; j < {last}; j++) to[j] = k0 ? to[j] + lane[j] : lane[j];"
        )

    def dot(self, rows: int, columns: int) -> tuple[str, list[Any]]:
        """Dot products of rows of A and columns of B: for a_k = b_k = 1."""
        w, pairs = self.width, [(r, s) for r in range(rows) for s in range(columns)]
        tile = [*self._rows(rows), f"const long n0 = tile_n*{columns};"]
        tile += [f"__global const T *b{s} = b + min(n0 + {s}, N - 1)*b_n;" for s in range(columns)]
        tile += ["V " + ", ".join(f"s{r}_{s} = 0" for r, s in pairs) + ";", "long k = 0;"]
        tile += [f"for (; k + {w} <= K; k += {w}) {{"]
        tile += [f"    const V y{s} = {self._load(f'b{s} + k')};" for s in range(columns)]
        for r in range(rows):
            adds = " ".join(f"s{r}_{s} += x*y{s};" for s in range(columns))
            tile.append(f"    {{ const V x = {self._load(f'a{r} + k')}; {adds} }}")
        tile += ["}"]
        tile += [f"T d{r}_{s} = {self._sum(f's{r}_{s}')};" for r, s in pairs]
        tile += ["for (; k < K; k++) {"]
        tile += [
            "    " + " ".join(f"d{r}_{s} += a{r}[k]*b{s}[k];" for s in range(columns)) for r in range(rows)
        ]
        tile += ["}"]
        tile += [
            f"if (m0 + {r} < M && n0 + {s} < N) c[(m0 + {r})*c_m + (n0 + {s})*c_n] = d{r}_{s};"
            for r, s in pairs
        ]
        return self._kernel("matmul_dot", tile)

    def _sum(self, vector: str) -> str:
        """The sum of a vector's elements."""
        lanes = [f"{vector}.s{i:x}" for i in range(self.width)] if self.width > 1 else [vector]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [f"({a} + {b})" for a, b in zip(lanes[:half], lanes[half:])]
        return lanes[0]


class GPU:
    """The kernels of the GPU schedule."""

    def __init__(self, dtype: np.dtype[Any], rank: int) -> None:
        self.dtype, self.rank = dtype, rank

    def _kernel(self, name: str, body: list[str]) -> tuple[str, list[Any]]:
        head, types = signature(name, self.dtype, self.rank, GROUP)
        lines = [
            f"typedef {OpenCL().stored(self.dtype)} T;",
            f"{head} {{",
            *("    " + line for line in body),
            "}",
        ]
        return "\n".join(lines), types

    def tiled(self, side: int) -> tuple[str, list[Any]]:
        """A group of 8 · 8 items computes a tile of 8·side rows and columns; each item has side · side elements in registers."""
        tile = 8 * side
        pairs = [(r, s) for r in range(side) for s in range(side)]
        body = [
            f"__local T x[{DEPTH}][{tile} + 1], y[{DEPTH}][{tile} + 1];",
            "const long t = get_group_id(0), lane = get_local_id(0), row = lane / 8, column = lane % 8;",
            *decode(self.rank),
            f"const long m0 = tile_m*{tile}, n0 = tile_n*{tile};",
            "T " + ", ".join(f"s{r}_{s} = 0" for r, s in pairs) + ";",
            f"for (long k0 = 0; k0 < K; k0 += {DEPTH}) {{",
            *self._fill("x", "a", "m", "M", tile),
            *self._fill("y", "b", "n", "N", tile),
            "    barrier(CLK_LOCAL_MEM_FENCE);",
            f"    for (int k = 0; k < {DEPTH}; k++) {{",
            "        const T " + ", ".join(f"y{s} = y[k][column + {8 * s}]" for s in range(side)) + ";",
        ]
        for r in range(side):
            adds = " ".join(f"s{r}_{s} += v*y{s};" for s in range(side))
            body.append(f"        {{ const T v = x[k][row + {8 * r}]; {adds} }}")
        body += ["    }", "    barrier(CLK_LOCAL_MEM_FENCE);", "}"]
        for r, s in pairs:
            m, n = f"m0 + row + {8 * r}", f"n0 + column + {8 * s}"
            body.append(f"if ({m} < M && {n} < N) c[({m})*c_m + ({n})*c_n] = s{r}_{s};")
        return self._kernel("matmul_tiled", body)

    def _fill(self, local: str, matrix: str, axis: str, extent: str, tile: int) -> list[str]:
        """Neighbouring items read neighbours in memory, along whichever dimension these are."""
        return [
            f"    for (int i = lane; i < {tile * DEPTH}; i += {GROUP}) {{",
            f"        const int j = {matrix}_k == 1 ? i / {DEPTH} : i % {tile};",
            f"        const int k = {matrix}_k == 1 ? i % {DEPTH} : i / {tile};",
            f"        {local}[k][j] = {axis}0 + j < {extent} && k0 + k < K "
            f"? {matrix}[({axis}0 + j)*{matrix}_{axis} + (k0 + k)*{matrix}_k] : 0;",
            "    }",
        ]

    def columns(self) -> tuple[str, list[Any]]:
        """A row A times B: an item computes one element. For b_n = 1."""
        body = [
            f"const long flat = get_global_id(0), t = flat / {GROUP};",
            *decode(self.rank),
            f"const long n = tile_n*{GROUP} + flat % {GROUP};",
            "if (n >= N) return;",
            "T s = 0;",
            "for (long k = 0; k < K; k++) s += a[k*a_k]*b[k*b_k + n*b_n];",
            "c[n*c_n] = s;",
        ]
        return self._kernel("matmul_columns", body)

    def dot(self) -> tuple[str, list[Any]]:
        """A row A times B: a group computes one element. For other strides."""
        body = [
            f"__local T x[{GROUP}];",
            "const long t = get_group_id(0), lane = get_local_id(0);",
            *decode(self.rank),
            "T s = 0;",
            f"for (long k = lane; k < K; k += {GROUP}) s += a[k*a_k]*b[k*b_k + tile_n*b_n];",
            "x[lane] = s;",
            f"for (int step = {GROUP // 2}; step > 0; step /= 2) {{",
            "    barrier(CLK_LOCAL_MEM_FENCE);",
            "    if (lane < step) x[lane] += x[lane + step];",
            "}",
            "if (lane == 0) c[tile_n*c_n] = x[0];",
        ]
        return self._kernel("matmul_dot", body)
