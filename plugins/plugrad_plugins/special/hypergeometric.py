"""Hypergeometric functions and orthogonal polynomials, in their argument."""

from __future__ import annotations

from typing import Any

from plugrad.ops import where
from plugrad.sdk import Op, elementwise

from ._tools import numbers

# --- hypergeometric -----------------------------------------------------------------------------------------


def _hyp0f1_vjp(g: Any, v: Any, x: Any) -> Any:
    v, x = numbers(g, v, x)
    return g * (hyp0f1(v + 1, x) / v)


def _hyp1f1_vjp(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return g * (a / b * hyp1f1(a + 1, b + 1, x))


def _hyp2f1_vjp(g: Any, a: Any, b: Any, c: Any, x: Any) -> Any:
    a, b, c, x = numbers(g, a, b, c, x)
    return g * (a * b / c * hyp2f1(a + 1, b + 1, c + 1, x))


def _hyperu_vjp(g: Any, a: Any, b: Any, x: Any) -> Any:
    a, b, x = numbers(g, a, b, x)
    return -g * (a * hyperu(a + 1, b + 1, x))


hyp0f1: Op = elementwise("special::hyp0f1", "v x", result="float", x=_hyp0f1_vjp)
hyp1f1: Op = elementwise("special::hyp1f1", "a b x", result="float", x=_hyp1f1_vjp)
hyp2f1: Op = elementwise("special::hyp2f1", "a b c x", result="float", x=_hyp2f1_vjp)
hyperu: Op = elementwise("special::hyperu", "a b x", result="float", x=_hyperu_vjp)

# --- orthogonal polynomials: the derivative is of the family with parameters one larger, and one degree less --


def _below(n: Any) -> tuple[Any, Any]:
    """Whether the degree is 0, where the derivative is 0; and one degree less, not below 0."""
    return n == 0, where(n == 0, 0, n - 1)


def _legendre_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    constant, m = _below(n)
    return g * where(constant, 0, eval_gegenbauer(m, 1.5 + 0 * n, x))


def _chebyt_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    _, m = _below(n)
    return g * (n * eval_chebyu(m, x))


def _chebyu_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    constant, m = _below(n)
    return g * where(constant, 0, 2 * eval_gegenbauer(m, 2 + 0 * n, x))


def _gegenbauer_vjp(g: Any, n: Any, alpha: Any, x: Any) -> Any:
    n, alpha, x = numbers(g, n, alpha, x)
    constant, m = _below(n)
    return g * where(constant, 0, 2 * alpha * eval_gegenbauer(m, alpha + 1, x))


def _jacobi_vjp(g: Any, n: Any, alpha: Any, beta: Any, x: Any) -> Any:
    n, alpha, beta, x = numbers(g, n, alpha, beta, x)
    constant, m = _below(n)
    factor = 0.5 * (n + alpha + beta + 1)
    return g * where(constant, 0, factor * eval_jacobi(m, alpha + 1, beta + 1, x))


def _hermite_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    return g * (2 * n * eval_hermite(_below(n)[1], x))


def _hermitenorm_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    return g * (n * eval_hermitenorm(_below(n)[1], x))


def _laguerre_vjp(g: Any, n: Any, x: Any) -> Any:
    n, x = numbers(g, n, x)
    constant, m = _below(n)
    return g * where(constant, 0, -eval_genlaguerre(m, 1 + 0 * n, x))


def _genlaguerre_vjp(g: Any, n: Any, alpha: Any, x: Any) -> Any:
    n, alpha, x = numbers(g, n, alpha, x)
    constant, m = _below(n)
    return g * where(constant, 0, -eval_genlaguerre(m, alpha + 1, x))


eval_legendre = elementwise("special::eval_legendre", "n x", result="float", x=_legendre_vjp)
eval_chebyt = elementwise("special::eval_chebyt", "n x", result="float", x=_chebyt_vjp)
eval_chebyu: Op = elementwise("special::eval_chebyu", "n x", result="float", x=_chebyu_vjp)
eval_gegenbauer: Op = elementwise("special::eval_gegenbauer", "n alpha x", result="float", x=_gegenbauer_vjp)
eval_jacobi: Op = elementwise("special::eval_jacobi", "n alpha beta x", result="float", x=_jacobi_vjp)
eval_hermite: Op = elementwise("special::eval_hermite", "n x", result="float", x=_hermite_vjp)
eval_hermitenorm: Op = elementwise("special::eval_hermitenorm", "n x", result="float", x=_hermitenorm_vjp)
eval_laguerre = elementwise("special::eval_laguerre", "n x", result="float", x=_laguerre_vjp)
eval_genlaguerre: Op = elementwise(
    "special::eval_genlaguerre", "n alpha x", result="float", x=_genlaguerre_vjp
)
