"""Layer 3: each required kernel against NumPy, one check a member."""

from __future__ import annotations

from collections.abc import Callable

from ...contract import REQUIRED
from .bench import Bench
from .checks import Check
from .elementwise import BINARY, UNARY, astype, binary, unary, where
from .structure import (
    argmax,
    broadcast_to,
    getitem,
    index_add,
    matmul,
    max_,
    permute_dims,
    reshape,
    setitem,
    sum_,
    take,
)  # fmt: skip

OWN: dict[str, Callable[[Bench, str], None]] = {
    **dict.fromkeys(UNARY, unary), **dict.fromkeys(BINARY, binary), "where": where, "astype": astype, "reshape": reshape,
    "permute_dims": permute_dims, "broadcast_to": broadcast_to, "getitem": getitem, "setitem": setitem, "sum": sum_, "max": max_,
    "argmax": argmax, "matmul": matmul, "take": take, "index_add": index_add,
}  # fmt: skip
MEMORY = ("from_numpy", "to_numpy", "empty", "synchronize")  # layer 2 has them


CHECKS = [
    Check("primitives", f"primitive:{member}", lambda bench, m=member: OWN[m](bench, m))
    for member in REQUIRED
    if member not in MEMORY
]
