"""`arange` and `linspace`: the numbers, bit by bit, and the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as torch

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("arguments", "options", "values", "dtype"),
    [
        ((3,), {}, [0, 1, 2], "int64"),
        ((3.0,), {}, [0.0, 1.0, 2.0], "float32"),
        ((1, 3), {}, [1, 2], "int64"),
        ((1, 3, 0.5), {}, [1.0, 1.5, 2.0, 2.5], "float32"),
        ((5, 0, -2), {}, [5, 3, 1], "int64"),
        ((0, 0), {}, [], "int64"),
        ((True,), {}, [0], "int64"),
        ((np.int64(3),), {}, [0, 1, 2], "int64"),
        ((np.float32(2),), {}, [0.0, 1.0], "float32"),
        ((torch.tensor(3),), {}, [0, 1, 2], "int64"),
        ((torch.tensor(2.0),), {}, [0.0, 1.0], "float32"),
        ((), {"start": 1, "end": 3}, [1, 2], "int64"),
        ((), {"end": 2}, [0, 1], "int64"),
        ((3,), {"dtype": torch.float64}, [0.0, 1.0, 2.0], "float64"),
        ((2.5,), {"dtype": torch.int64}, [0, 1], "int64"),
        ((0.5, 3.5), {"dtype": torch.int64}, [0, 1, 2], "int64"),
        ((0, -3, -1), {"dtype": torch.uint8}, [0, 255, 254], "uint8"),
        ((0, 3, 1.5), {"dtype": torch.float16}, [0.0, 1.5], "float16"),
        ((2**53, 2**53 + 3), {}, [2**53, 2**53 + 1, 2**53 + 2], "int64"),
        ((2**62, 2**62 + 10**18, 10**18), {}, [2**62], "int64"),
        ((0, 1, 0.1), {"dtype": torch.float64}, [0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.6000000000000001,
                                                0.7000000000000001, 0.8, 0.9], "float64"),
    ],
)  # fmt: skip
def test_arange(arguments: Any, options: Any, values: Any, dtype: str) -> None:
    t = torch.arange(*arguments, **options)
    assert (t.tolist(), t.dtype) == (values, getattr(torch, dtype))


def test_arange_of_float_steps_rounds_once() -> None:
    exact = np.arange(10) / 10
    assert (torch.arange(0, 1, 0.1).numpy() == exact.astype(np.float32)).all()
    assert torch.arange(0.0, 2.0, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((5, 0), {}, RuntimeError, "inconsistent with step sign: 5, 0, 1"),
        ((-1,), {}, RuntimeError, "inconsistent with step sign"),
        ((0, 5, 0), {}, RuntimeError, "step must be nonzero"),
        ((0, 3, 0.5), {"dtype": torch.int64}, RuntimeError, "step must be nonzero"),
        ((0, NAN), {}, RuntimeError, "unsupported range: 0 -> nan"),
        ((0, INF), {}, RuntimeError, "unsupported range: 0 -> inf"),
        ((3,), {"dtype": torch.bool}, NotImplementedError, "not implemented for torch.bool"),
        ((3,), {"dtype": torch.complex64}, NotImplementedError, "not implemented for torch.complex64"),
        (("a",), {}, TypeError, "argument 'end' must be Number, not str"),
        ((), {}, TypeError, "must be Number, not NoneType"),
        ((3,), {"requires_grad": True}, RuntimeError, "floating point and complex dtype"),
    ],
)
def test_arange_refuses(arguments: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        torch.arange(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "values", "dtype"),
    [
        ((0, 1, 5), {}, [0.0, 0.25, 0.5, 0.75, 1.0], "float32"),
        ((0, 1, 1), {}, [0.0], "float32"),
        ((0, 1, 0), {}, [], "float32"),
        ((1, 1, 3), {}, [1.0, 1.0, 1.0], "float32"),
        ((), {"start": 0, "end": 1, "steps": 2}, [0.0, 1.0], "float32"),
        ((0, 10, 5), {"dtype": torch.int64}, [0, 2, 5, 7, 10], "int64"),
        ((-10, 10, 7), {"dtype": torch.int32}, [-10, -6, -3, 0, 3, 6, 10], "int32"),
        ((10, 0, 4), {"dtype": torch.int64}, [10, 6, 3, 0], "int64"),
        ((0, 300, 1), {"dtype": torch.uint8}, [0], "uint8"),
        ((0, 1 + 2j, 3), {}, [0j, 0.5 + 1j, 1 + 2j], "complex64"),
        ((0, 1, 3), {"dtype": torch.float16}, [0.0, 0.5, 1.0], "float16"),
        ((torch.tensor(0.0, dtype=torch.float64), 1, torch.tensor(3)), {}, [0.0, 0.5, 1.0], "float32"),
        ((0, 1, 10), {}, [0.0, 0.1111111119389534, 0.2222222238779068, 0.3333333432674408, 0.4444444477558136,
                          0.5555555820465088, 0.6666666865348816, 0.7777777910232544, 0.8888888955116272, 1.0], "float32"),
        ((-1, 0.7, 8), {}, [-1.0, -0.7571428418159485, -0.514285683631897, -0.27142858505249023, -0.028571441769599915,
                            0.2142857015132904, 0.45714282989501953, 0.699999988079071], "float32"),
    ],
)  # fmt: skip
def test_linspace(arguments: Any, options: Any, values: Any, dtype: str) -> None:
    t = torch.linspace(*arguments, **options)
    assert (t.tolist(), t.dtype) == (values, getattr(torch, dtype))


def test_linspace_to_infinity_is_quiet() -> None:
    assert np.isnan(torch.linspace(0, INF, 3).numpy()).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((0, 1, -1), {}, RuntimeError, "number of steps must be non-negative, found -1"),
        ((0, 1, 2.5), {}, TypeError, "cannot be interpreted as an integer"),
        ((torch.ones(2), 1, 3), {}, TypeError, "argument 'start' must be Number, not Tensor"),
        ((0, 1, 3), {"dtype": torch.bool}, NotImplementedError, "not implemented for torch.bool"),
        ((0, 300, 3), {"dtype": torch.uint8}, RuntimeError, "uint8 without overflow: found 300"),
        ((0, 1e300, 3), {}, RuntimeError, "float32 without overflow"),
    ],
)
def test_linspace_refuses(arguments: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        torch.linspace(*arguments, **options)


def test_pytorch_gives_the_same_numbers() -> None:
    T = pytest.importorskip("torch")
    if T.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("PyTorch rounds otherwise on processors without a fused multiply-add")
    rng = np.random.default_rng(0)
    for _ in range(300):
        start, end = (float(x) for x in rng.uniform(-10, 10, 2))
        start = float(rng.choice([0.0, -1.0, start]))
        steps = int(rng.choice([0, 1, 2, 3, 7, 10, 16, 31, 50, 64, 101, 1000]))
        for dtype in ("float16", "float32", "float64", "int32", "int64", "complex64"):
            expected = T.linspace(start, end, steps, dtype=getattr(T, dtype)).numpy()
            found = torch.linspace(start, end, steps, dtype=getattr(torch, dtype)).numpy()
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected), (start, end, steps, dtype)
        step = float(rng.choice([0.1, 1 / 3, rng.uniform(0.01, 1)])) * (1 if end > start else -1)
        for dtype in ("float32", "float64"):  # where PyTorch rounds depends on the processor's vectors
            expected = T.arange(start, end, step, dtype=getattr(T, dtype)).numpy()
            found = torch.arange(start, end, step, dtype=getattr(torch, dtype)).numpy()
            limit = 4 * np.spacing(np.array(max(abs(start), abs(end)), dtype))
            assert found.shape == expected.shape and (abs(found - expected) <= limit).all(), (
                start,
                end,
                step,
            )
