"""SciPy's functions as kernels: arrays in, arrays of the same dtype out.

Most are SciPy's own, which a name that is not defined here means. The others have other arguments or results there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

try:
    from scipy import special as _scipy
except ModuleNotFoundError:
    raise ImportError('special functions need SciPy: pip install "plugrad[scipy]"') from None


def __getattr__(name: str) -> Any:
    return getattr(_scipy, name)


def _in_dtype(value: Any, *arguments: Any) -> Any:
    """`value` in the dtype that the arguments have in common; for float16 in float32, as SciPy does it."""
    return np.asarray(value).astype(np.result_type(np.float32, *arguments), copy=False)


def _refuse_complex(name: str, *arguments: Any) -> None:
    for a in arguments:
        if np.iscomplexobj(a):
            raise NotImplementedError(
                f"special::{name} is not implemented for {a.dtype}: it is of real numbers"
            )


def _integers(n: Any) -> Any:
    return np.asarray(n).astype(np.int64)


# --- of integers, which come as floating-point numbers: NaN where one is none -------------------------------


def _of_order(f: Any, n: Any, x: Any) -> Any:
    """A function `f` of an integral order."""
    _refuse_complex(f.__name__, n, x)
    order = _integers(n)
    return _in_dtype(np.where(order == n, f(order, x), np.nan), n, x)


def _of_degree(f: Any, n: Any, *rest: Any) -> Any:
    """A polynomial `f` of degree n: by its recurrence, which keeps more digits than what SciPy has for any degree."""
    _refuse_complex(f.__name__, n, *rest)
    degree = _integers(n)
    value = f(degree, *rest)
    if not np.all(degree == n):
        value = np.where(degree == n, value, f(n, *rest))
    return _in_dtype(value, n, *rest)


def _of_trials(f: Any, k: Any, n: Any, p: Any) -> Any:
    """A distribution function `f` of counts."""
    _refuse_complex(f.__name__, k, n, p)
    count, trials = _integers(k), _integers(n)
    value = f(count if f.__name__.startswith("nb") else count.astype(np.float64), trials, p)
    return _in_dtype(np.where((count == k) & (trials == n), value, np.nan), k, n, p)


spherical_jn = partial(_of_order, _scipy.spherical_jn)
spherical_yn = partial(_of_order, _scipy.spherical_yn)
spherical_in = partial(_of_order, _scipy.spherical_in)
spherical_kn = partial(_of_order, _scipy.spherical_kn)
expn = partial(_of_order, _scipy.expn)
pdtri = partial(_of_order, _scipy.pdtri)
eval_hermite = partial(_of_order, _scipy.eval_hermite)
eval_hermitenorm = partial(_of_order, _scipy.eval_hermitenorm)

eval_legendre = partial(_of_degree, _scipy.eval_legendre)
eval_chebyt = partial(_of_degree, _scipy.eval_chebyt)
eval_chebyu = partial(_of_degree, _scipy.eval_chebyu)
eval_gegenbauer = partial(_of_degree, _scipy.eval_gegenbauer)
eval_jacobi = partial(_of_degree, _scipy.eval_jacobi)
eval_laguerre = partial(_of_degree, _scipy.eval_laguerre)
eval_genlaguerre = partial(_of_degree, _scipy.eval_genlaguerre)

bdtr = partial(_of_trials, _scipy.bdtr)
bdtrc = partial(_of_trials, _scipy.bdtrc)
nbdtr = partial(_of_trials, _scipy.nbdtr)
nbdtrc = partial(_of_trials, _scipy.nbdtrc)

# --- one of several results ---------------------------------------------------------------------------------


def _result(f: Any, i: int, x: Any) -> Any:
    return f(x)[i]


airy_ai = partial(_result, _scipy.airy, 0)
airy_ai_prime = partial(_result, _scipy.airy, 1)
airy_bi = partial(_result, _scipy.airy, 2)
airy_bi_prime = partial(_result, _scipy.airy, 3)
fresnel_s = partial(_result, _scipy.fresnel, 0)
fresnel_c = partial(_result, _scipy.fresnel, 1)
si = partial(_result, _scipy.sici, 0)
ci = partial(_result, _scipy.sici, 1)
shi = partial(_result, _scipy.shichi, 0)
chi = partial(_result, _scipy.shichi, 1)

# --- the rest -----------------------------------------------------------------------------------------------


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
