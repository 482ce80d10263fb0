"""Rows of `plugrad.ops.loss`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .row import In, Row, S

CHANCE: dict[str, Any] = {"low": 0.05, "high": 0.95}


def reduced(losses: Any, reduction: str) -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def mse(x: Any, t: Any, reduction: str = "mean") -> Any:
    return reduced((x - t) ** 2, reduction)


def huber(x: Any, t: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    d = np.abs(x - t)
    return reduced(np.minimum(d, delta) * (d - np.minimum(d, delta) / 2), reduction)


def smooth_l1(x: Any, t: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    return huber(x, t, reduction, beta) / beta


def bce(x: Any, t: Any, reduction: str = "mean") -> Any:
    return reduced(-t * np.log(x) - (1 - t) * np.log(1 - x), reduction)


def bce_with_logits(x: Any, t: Any, reduction: str = "mean") -> Any:
    return bce(1 / (1 + np.exp(-x)), t, reduction)


def nll(x: Any, target: Any, weight: Any = None, reduction: str = "mean", ignore_index: int = -100) -> Any:
    """The definition, one target at a time."""
    classes_last = np.moveaxis(x, min(x.ndim - 1, 1), -1)
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for i in np.ndindex(target.shape):
        if target[i] != ignore_index:
            weights[i] = 1 if weight is None else weight[target[i]]
            losses[i] = -weights[i] * classes_last[i][target[i]]
    if reduction == "none":
        return losses
    return losses.sum() / weights.sum() if reduction == "mean" else losses.sum()


def entropy(x: Any, *args: Any, **given: Any) -> Any:
    """`nll` of the logarithm of softmax."""
    axis = min(x.ndim - 1, 1)
    return nll(x - np.log(np.exp(x).sum(axis, keepdims=True)), *args, **given)


def nll_backward(g: Any, target: Any, weight: Any, reduction: str, ignore_index: int, shape: Any) -> Any:
    """Its derivative: the losses of the unit vectors, weighted by `g`."""
    found = np.zeros(shape)
    for i in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[i] = 1
        found[i] = np.sum(g * nll(unit, target, weight, reduction, ignore_index))
    return found


def pairs(**interval: Any) -> list[Any]:
    two = [
        (In((2, 3), **interval), In((2, 3), low=0.05, high=0.95)),
        (In((), **interval), In((), low=0.1, high=0.9)),
    ]
    return [S(*args, reduction=r) for args in two for r in ("mean", "sum", "none")]


LABELS, WEIGHTS = np.array([2, 0, 2]), np.array([0.5, 1.0, 2.0])
IMAGE = np.array([[[0, 1], [2, 2]], [[1, 1], [0, 2]]])
CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 3), {"target": LABELS}),
    ((3, 3), {"target": LABELS, "reduction": "sum"}),
    ((3, 3), {"target": LABELS, "reduction": "none", "weight": WEIGHTS}),
    ((3, 3), {"target": LABELS, "weight": WEIGHTS}),
    ((3, 3), {"target": LABELS, "weight": WEIGHTS, "ignore_index": 2}),
    ((3, 3), {"target": np.array([1, -100, 0])}),
    ((3, 3), {"target": LABELS, "ignore_index": 0, "reduction": "none"}),
    ((3, 3), {"target": LABELS.astype(np.uint8)}),
    ((3,), {"target": np.array(1)}),
    ((2, 3, 2, 2), {"target": IMAGE}),
    ((2, 3, 2, 2), {"target": IMAGE, "reduction": "none", "weight": WEIGHTS}),
]
ALL = {"weight": None, "reduction": "mean", "ignore_index": -100}


def cotangents() -> Iterator[Any]:
    for shape, given in CASES:
        params = {"target": given["target"], **ALL, **given, "shape": shape}
        yield S(In(params["target"].shape if params["reduction"] == "none" else ()), **params)


APART = [
    (
        S(In((3,), **CHANCE), In((2, 3), **CHANCE)),
        RuntimeError,
        r"expected operands of one shape, but got \[3\] and \[2, 3\]",
    )
]

ROWS = [
    Row(
        "mse_loss", mse, pairs(), errors=APART,
        special=[(([], []), np.nan), (([1.0, np.inf], [1.0, 0.0]), np.inf)],
    ),
    Row("huber_loss", huber, [*pairs(), S(In((2, 3)), In((2, 3)), delta=0.3)], errors=APART),
    Row("smooth_l1_loss", smooth_l1, [*pairs(), S(In((2, 3)), In((2, 3)), beta=0.3)], errors=APART),
    Row(
        "binary_cross_entropy", bce, pairs(**CHANCE), rtol=1e-5, errors=APART,
        special=[
            (([0.0, 1.0], [1.0, 0.0], "none"), [100.0, 100.0]),
            (([0.0, 1.0], [0.0, 1.0], "none"), [0.0, 0.0]),
        ],
        special_grad=[(([0.0, 1.0], [1.0, 0.5], "sum"), [-1e12, 5e11])],
    ),
    Row(
        "binary_cross_entropy_with_logits", bce_with_logits, pairs(), rtol=1e-5, errors=APART,
        special=[(([1000.0, -1000.0], [1.0, 1.0], "none"), [0.0, 1000.0])],
        special_grad=[(([1000.0, -1000.0], [1.0, 1.0], "sum"), [0.0, -1.0])],
    ),
    Row(
        "nll_loss", nll, [S(In(shape), **given) for shape, given in CASES],
        special=[
            (([[1.0, 2.0]], np.array([-100])), np.nan),
            (([[np.inf, 2.0]], np.array([-100]), None, "sum"), 0.0),
        ],
        errors=[
            (S(In((2, 3)), target=np.array([0, 3])), IndexError,
             "Target 3 is out of bounds: expected a class from 0 to 2"),
            (S(In((2, 3)), target=np.array([0, -1])), IndexError, "Target -1 is out of bounds"),
        ],
    ),
    Row("nll_loss_backward", nll_backward, list(cotangents())),
    Row(
        "cross_entropy", entropy, [S(In(shape), **given) for shape, given in CASES],
        special=[
            (([[1.0, 2.0]], np.array([-100])), np.nan),
            (([[np.nan, 2.0]], np.array([-100]), None, "sum"), 0.0),
        ],
        errors=[
            (S(In((2, 3)), target=np.array([0, 3])), IndexError,
             "Target 3 is out of bounds: expected a class from 0 to 2"),
        ],
    ),
    Row("nll_loss2d", nll, [S(In(shape), **given) for shape, given in CASES if len(shape) > 2]),
]  # fmt: skip
