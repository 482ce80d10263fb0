"""Python ints that a tensor of integers cannot hold: compared exactly, refused as a result, wrapped in arithmetic."""

from __future__ import annotations

import pytest

import plugrad as torch

#: A dtype, two of its integers, and a number that is none.
NUMBERS = [
    ("int8", (-1, 100), 300),
    ("int8", (-128, 127), -129),
    ("uint8", (0, 255), -1),
    ("uint8", (0, 255), 256),
    ("int16", (-1, 100), -40000),
    ("int32", (-1, 100), 2**40),
    ("int64", (-(2**63), 2**63 - 1), 2**63),
    ("int64", (-(2**63), 2**63 - 1), -(2**70)),
    pytest.param("int64", (-(2**63), 2**63 - 1), 10**400, id="int64-beyond floats"),
]
COMPARISONS = {
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
}
RESULTS = {
    "where": lambda x, n: torch.where(x == x, x, n),
    "where, first": lambda x, n: torch.where(x == x, n, x),
    "masked_fill": lambda x, n: x.masked_fill(x == x, n),
    "clamp, min": lambda x, n: x.clamp(min=n),
    "clamp, max": lambda x, n: x.clamp(max=n),
    "clamp_min": lambda x, n: x.clamp_min(n),
    "clamp_max": lambda x, n: x.clamp_max(n),
    "hardtanh": lambda x, n: torch.nn.functional.hardtanh(x, n, n),
    "in place": lambda x, n: x.clamp_(max=n),
    "set": lambda x, n: x.__setitem__(0, n),
    "tensor": lambda x, n: torch.full_like(x, n) if n > 0 else x.__setitem__(..., n),
}


def check_comparisons(device: str, name: str, values: tuple[int, int], number: int) -> None:
    """All six, with the number at each side, in vmap, too."""
    x = torch.tensor(values, dtype=getattr(torch, name), device=device)
    for key, compare in COMPARISONS.items():
        assert compare(x, number).tolist() == [compare(v, number) for v in values], key
        assert compare(number, x).tolist() == [compare(number, v) for v in values], key
        assert torch.func.vmap(lambda t, f=compare: f(t, number))(x).tolist() == [
            compare(v, number) for v in values
        ]
        assert compare(x, number).dtype is torch.bool


def check_refusals(device: str, name: str, values: tuple[int, int], number: int) -> None:
    """Nothing wraps around that is a result, or a bound of one, and nothing is written."""
    x = torch.tensor(values, dtype=getattr(torch, name), device=device)
    for key, function in RESULTS.items():
        with pytest.raises(RuntimeError, match=f"without overflow.*found {number}|out of bounds|too large"):
            pytest.fail(f"{key}: {function(x, number)}")
    assert x.tolist() == list(values)


@pytest.mark.parametrize(("name", "values", "number"), NUMBERS)
def test_comparisons_are_exact(name, values, number):
    check_comparisons("cpu", name, values, number)


@pytest.mark.parametrize(("name", "values", "number"), NUMBERS)
def test_results_and_bounds_are_refused(name, values, number):
    check_refusals("cpu", name, values, number)


def test_exponents_are_refused():
    x = torch.tensor([2, 3], dtype=torch.int8)
    with pytest.raises(
        RuntimeError, match="pow: value cannot be converted to type int8 without overflow: found 256"
    ):
        x**256
    assert (x**7).tolist() == [-128, -117]


def test_arithmetic_wraps():
    x = torch.tensor([-1, 100], dtype=torch.int8)
    assert (x + 300).tolist() == [43, -112] and (x * 257).tolist() == [-1, 100]
