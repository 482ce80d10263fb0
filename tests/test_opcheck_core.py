"""Every op of the core, held against what operators have to be."""

from __future__ import annotations

from typing import Any

import pytest

from plugrad.op import OPS
from plugrad.testing import opcheck
from plugrad.testing.rows import ROWS, In, Row, Sample

SHAPES = "the shape of its result depends on values, as its name says"
INTEGERS = "for integers the kernel computes float64; PyTorch refuses them"
#: What core ops are excused from, and why.
EXCUSED: dict[str, dict[str, str]] = {
    **{name: {"vmap": SHAPES} for name in ("nonzero", "argwhere", "unique")},
    "bincount": {"vmap": SHAPES, "empty": "PyTorch forgets the dtype of weights where there are no elements, too"},
    "hardtanh": {"dtypes": INTEGERS},
    "bitcast": {"layouts": "to a dtype of another size it needs neighbours along the last axis, as in NumPy"},
    "complex": {"dtypes": "there is no complex dtype of two float16"},
    "cholesky": {
        "gradcheck": "its gradient is symmetric, as is its operand, and differences of single elements are not",
        "gradgrad": "the same",
    },
    "overlap_add": {"empty": "an operand without elements contradicts its shape="},
}  # fmt: skip


def first_samples(row: Row) -> list[Sample]:
    """Two samples of a row, of a dtype that the op takes."""
    if "d" in row.dtypes:
        return list(row.samples[:2])

    dtype = "float32" if "f" in row.dtypes else "int64"

    def whole(a: Any) -> Any:
        return In(a.shape, a.low, a.high, dtype) if isinstance(a, In) else a

    return [Sample(tuple(map(whole, s.args)), s.params) for s in row.samples[:2]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_op_of_the_core_is_as_ops_have_to_be(row: Row) -> None:
    report = opcheck(OPS[row.op], *first_samples(row), skip=EXCUSED.get(row.op))
    assert report["call"].status == "passed"
    for name in EXCUSED.get(row.op, {}):
        assert not opcheck(OPS[row.op], *row.samples, only=name, raise_exception=False).ok, (
            f"{name} needs no excuse"
        )
