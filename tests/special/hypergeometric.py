"""Hypergeometric functions and orthogonal polynomials."""

from __future__ import annotations

import mpmath as mp

from .rows import Span, log, row, whole

DEGREE, INSIDE, WEIGHT = whole(1, 30), Span(-1, 1), Span(0.2, 3)
ENDS = [(0.0, 0.5), (1.0, 0.5), (5.0, 1.0), (5.0, -1.0), (4.0, 0.0)]

ROWS = [
    row(
        "hyp0f1",
        (Span(0.5, 5), Span(-20, 20)),
        mp.hyp0f1,
        "v, but no 0, -1, -2, …",
        at=[(1.5, 0.0)],
        atol=1e-12,
    ),
    row(
        "hyp1f1",
        (Span(0.5, 4), Span(0.5, 4), Span(-10, 10)),
        mp.hyp1f1,
        "b, but no 0, -1, -2, …",
        at=[(1.5, 2.5, 0.0)],
        rtol=1e-9,
        atol=1e-12,
    ),
    row(
        "hyp2f1",
        (Span(0.5, 2), Span(0.5, 2), Span(0.5, 4), Span(-3, 0.9)),
        mp.hyp2f1,
        "c, but no 0, -1, -2, …; x < 1",
        at=[(1.5, 0.5, 2.5, 0.0)],
        rtol=1e-9,
    ),
    row("hyperu", (Span(0.5, 3), Span(0.5, 3), log(0.1, 20)), mp.hyperu, "a, b, x > 0", rtol=1e-8),
    row(
        "eval_legendre",
        (DEGREE, INSIDE),
        mp.legendre,
        "n = 0, 1, 2, …; x",
        at=[*ENDS, (5.0, 1.5)],
        atol=1e-12,
    ),
    row("eval_chebyt", (DEGREE, INSIDE), mp.chebyt, "n = 0, 1, 2, …; x", at=ENDS, atol=1e-12),
    row("eval_chebyu", (DEGREE, INSIDE), mp.chebyu, "n = 0, 1, 2, …; x", at=ENDS, atol=1e-11),
    row(
        "eval_gegenbauer",
        (DEGREE, WEIGHT, INSIDE),
        mp.gegenbauer,
        "n = 0, 1, 2, …; α > 0; x",
        at=[(3.0, 0.5, 1.0), (0.0, 0.5, 0.1)],
        atol=1e-11,
    ),
    row(
        "eval_jacobi",
        (DEGREE, WEIGHT, WEIGHT, INSIDE),
        mp.jacobi,
        "n = 0, 1, 2, …; α, β > -1; x",
        at=[(3.0, 0.5, 0.2, 1.0), (0.0, 0.5, 0.2, 0.1)],
        atol=1e-11,
    ),
    row(
        "eval_hermite",
        (DEGREE, Span(-3, 3)),
        mp.hermite,
        "n = 0, 1, 2, …; x",
        at=[(0.0, 1.0), (1.0, 0.0)],
        atol=1e-10,
    ),
    row(
        "eval_hermitenorm",
        (DEGREE, Span(-3, 3)),
        lambda n, x: mp.power(2, -n / 2) * mp.hermite(n, x / mp.sqrt(2)),
        "n = 0, 1, 2, …; x",
        at=[(0.0, 1.0), (1.0, 0.0)],
        atol=1e-10,
    ),
    row(
        "eval_laguerre",
        (DEGREE, Span(0, 10)),
        lambda n, x: mp.laguerre(n, 0, x),
        "n = 0, 1, 2, …; x",
        at=[(0.0, 1.0), (1.0, 0.0)],
        atol=1e-11,
    ),
    row(
        "eval_genlaguerre",
        (DEGREE, WEIGHT, Span(0, 10)),
        mp.laguerre,
        "n = 0, 1, 2, …; α > -1; x",
        at=[(0.0, 0.5, 1.0), (1.0, 0.5, 0.0)],
        atol=1e-11,
    ),
]
