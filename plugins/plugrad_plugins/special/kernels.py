"""SciPy's functions as kernels: arrays in, arrays of the same dtype out.

Most are SciPy's own, which a name that is not defined here means. The others have other arguments or results there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    from scipy import special as _scipy
except ModuleNotFoundError:
    raise ImportError('special functions need SciPy: pip install "plugrad[scipy]"') from None


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)


def _in_dtype(value: Any, *arguments: Any) -> Any:
    """`value` in the dtype that the arguments have in common."""
    return np.asarray(value).astype(np.result_type(*arguments), copy=False)


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma."""
    _refuse_complex("polygamma", n, x)
    return _in_dtype(_scipy.polygamma(n, x), n, x)


def zeta(x: Any, q: Any) -> Any:
    """Hurwitz's zeta function."""
    return _in_dtype(_scipy.zeta(x, q), x, q)


def lambertw(x: Any, k: int) -> Any:
    """Lambert's W; of real numbers where it is real, NaN elsewhere."""
    w = _scipy.lambertw(x, k)
    return _in_dtype(w if np.iscomplexobj(x) else np.where(w.imag == 0, w.real, np.nan), x)


def sinc(x: Any) -> Any:
    """sin(πx)/(πx)."""
    _refuse_complex("sinc", x)
    return np.sinc(x)


def spherical_jn(n: Any, x: Any) -> Any:
    """The spherical Bessel function j of integral order."""
    return _of_order(_scipy.spherical_jn, n, x)


def spherical_yn(n: Any, x: Any) -> Any:
    """The spherical Bessel function y of integral order."""
    return _of_order(_scipy.spherical_yn, n, x)


def spherical_in(n: Any, x: Any) -> Any:
    """The modified spherical Bessel function i of integral order."""
    return _of_order(_scipy.spherical_in, n, x)


def spherical_kn(n: Any, x: Any) -> Any:
    """The modified spherical Bessel function k of integral order."""
    return _of_order(_scipy.spherical_kn, n, x)


def eval_hermite(n: Any, x: Any) -> Any:
    """The physicists' Hermite polynomial of degree n."""
    return _of_order(_scipy.eval_hermite, n, x)


def eval_hermitenorm(n: Any, x: Any) -> Any:
    """The probabilists' Hermite polynomial of degree n."""
    return _of_order(_scipy.eval_hermitenorm, n, x)


def _refuse_complex(name: str, *arguments: Any) -> None:
    for a in arguments:
        if np.iscomplexobj(a):
            raise NotImplementedError(
                f"special::{name} is not implemented for {a.dtype}: it is of real numbers"
            )


def _of_order(f: Any, n: Any, x: Any) -> Any:
    """`f` for a floating-point array of orders, NaN where one is not an integer."""
    _refuse_complex(f.__name__, n, x)
    order = np.asarray(n).astype(np.int64)
    return _in_dtype(np.where(order == n, f(order, x), np.nan), n, x)


def airy_ai(x: Any) -> Any:
    """Airy's Ai."""
    return _scipy.airy(x)[0]


def airy_ai_prime(x: Any) -> Any:
    """The derivative of Airy's Ai."""
    return _scipy.airy(x)[1]


def airy_bi(x: Any) -> Any:
    """Airy's Bi."""
    return _scipy.airy(x)[2]


def airy_bi_prime(x: Any) -> Any:
    """The derivative of Airy's Bi."""
    return _scipy.airy(x)[3]


def fresnel_s(x: Any) -> Any:
    """Fresnel's sine integral."""
    return _scipy.fresnel(x)[0]


def fresnel_c(x: Any) -> Any:
    """Fresnel's cosine integral."""
    return _scipy.fresnel(x)[1]


def si(x: Any) -> Any:
    """The sine integral."""
    return _scipy.sici(x)[0]


def ci(x: Any) -> Any:
    """The cosine integral."""
    return _scipy.sici(x)[1]


def shi(x: Any) -> Any:
    """The hyperbolic sine integral."""
    return _scipy.shichi(x)[0]


def chi(x: Any) -> Any:
    """The hyperbolic cosine integral."""
    return _scipy.shichi(x)[1]


def bdtr(k: Any, n: Any, p: Any) -> Any:
    """The binomial distribution function; its number of trials is an integer."""
    return _of_trials(_scipy.bdtr, k, n, p)


def bdtrc(k: Any, n: Any, p: Any) -> Any:
    """Its complement."""
    return _of_trials(_scipy.bdtrc, k, n, p)


def _of_trials(f: Any, k: Any, n: Any, p: Any) -> Any:
    _refuse_complex(f.__name__, k, n, p)
    trials = np.asarray(n).astype(np.int64)
    return _in_dtype(np.where(trials == n, f(k, trials, p), np.nan), k, n, p)
