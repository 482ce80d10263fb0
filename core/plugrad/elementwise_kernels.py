"""`elementwise_kernel`: an operator from one line of C, which devices compile, and its NumPy form beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice, product
from typing import Any

import numpy as np

from . import c_source
from .backend import Backend, for_device
from .codegen import check_names
from .declaration import _check_formulas, _check_name, _forget, _signature
from .errors import DeviceError
from .op import _OPTIONS, OPS, Op

#: Where the forms and formulas are compared, unless the declaration says it: away from corners at round numbers.
POINTS = (0.37, 1.83, -0.58, -2.21, 0.91, 3.42)

_WIDENED = (
    "NumPy's functions of numbers give float64 scalars, so take them from math, and give np.where arrays or "
    "numbers on one side only"
)


def elementwise_kernel(
    name: str,
    /,
    *,
    source: str,
    numpy: Callable[..., Any],
    at: Sequence[float] | None = None,
    **given: Any,
) -> Op:
    """Declare the elementwise operator `name` by a C statement, its NumPy form, and formulas of its derivative.

    `source` assigns to `y`, from inputs and parameters by name; in it, `float` is the dtype of the inputs. A device
    whose backend has a member `elementwise_kernel` compiles it. `numpy` is a function of the same inputs, and parameters
    with their defaults, and the kernel of the CPU. The remaining keywords are as those of `plugrad.op`.

    The declaration is checked by computing at a few points, `at` where the ones it takes are outside of the domain:
    the source's names and value, the form's shape and dtype, and each formula against a numerical derivative.

    >>> import numpy as np
    >>> import plugrad
    >>> swish = plugrad.elementwise_kernel(
    ...     "docs::swish",
    ...     source="y = x / (1 + exp(-x))",
    ...     numpy=lambda x: x / (1 + np.exp(-x)),
    ...     x=lambda g, x, y: g * (y + (1 - y) / (1 + plugrad.ops.exp(-x))),
    ... )
    >>> swish(plugrad.tensor([0.0, 1.0], requires_grad=True))
    tensor([0.0000, 0.7311], grad_fn=<SwishBackward0>)
    """
    _check_name(name)
    what = f"op {name!r}"
    if not isinstance(source, str):
        raise TypeError(f"{what}: source is {source!r}: give C statements as a str, such as 'y = exp(-x)'")
    if not callable(numpy):
        raise TypeError(f"{what}: numpy is {numpy!r}: give a function of arrays")
    options = {key: value for key, value in given.items() if key in _OPTIONS}
    formulas = {key: value for key, value in given.items() if key not in _OPTIONS}
    inputs, params = _signature(name, numpy)
    for each in (*inputs, *params):
        if each in ("source", "numpy", "at", "float", *c_source.FUNCTIONS):
            raise TypeError(f"{what}: an argument is called {each!r}, which means something else: rename it")
    for each, default in params.items():
        if not isinstance(default, (int, float)):
            raise TypeError(
                f"{what}: the parameter {each!r} is {default!r}: a source computes with numbers alone"
            )
    for option in ("default", "outputs", "view"):
        if option in options:
            raise TypeError(f"{what}: found {option}=, which an elementwise kernel cannot have: leave it out")
    check_names(name, (*inputs, *params))
    _check_formulas(name, formulas, inputs, params)
    tokens = c_source.check(what, source, (*inputs, *params))

    def kernel_for(backend: Backend) -> Callable[..., Any] | None:
        if backend.device_type == "cpu":
            return numpy
        make = getattr(backend, "elementwise_kernel", None)
        if make is None:
            return None
        try:
            return make(name, source, inputs, tuple(params))
        except Exception as error:
            raise DeviceError(
                f"device {backend.device_type!r} cannot compile {name!r}: {error}; its source is {source!r}"
            ) from error

    _forget(name, numpy)
    options.setdefault("result", "float")
    made = Op(name, " ".join(inputs), formulas, kind="elementwise", **options)
    made.params, made.kernel_for = params, kernel_for
    made.__doc__, made.__wrapped__ = numpy.__doc__, numpy  # type: ignore[attr-defined]
    try:
        _check_values(made, numpy, tokens, at)
    except BaseException:
        del OPS[name]
        raise
    return made


def _check_values(
    op: Op, numpy: Callable[..., Any], tokens: list[c_source.Token], at: Sequence[float] | None
) -> None:
    """Compare the NumPy form with the source, and the formulas with its numerical derivatives, at a few points."""
    count = len(op.inputs)
    given = POINTS if at is None else tuple(map(float, at))
    points = np.array(
        list(islice(product(given, repeat=count), 0, None, max(1, len(given) ** count // 24)))
    ).T
    # A default such as 1.0 would hide that a formula forgot its parameter.
    varied = [1.25 * v + 0.125 if isinstance(v, float) else v for v in op.params.values()]
    with np.errstate(all="ignore"):
        _check_form(op, numpy, points.astype(np.float32), tuple(op.params.values()))
        if not _check_at(op, numpy, tokens, points, tuple(op.params.values())):
            raise ValueError(
                f"op {op.name!r}: the NumPy form is finite, and smooth in each input, at none of "
                f"{', '.join(map(str, given))}: give at=(…), values of the inputs where it is"
            )
        _check_at(op, numpy, tokens, points, tuple(varied))


def _check_at(
    op: Op, numpy: Callable[..., Any], tokens: list[c_source.Token], xs: np.ndarray, values: tuple[Any, ...]
) -> bool:
    """Compare at points that lie in the domain; whether there were any, for the value and for each formula."""
    names = (*op.inputs, *op.params)
    y = _column(numpy(*xs, *values), xs)
    inside = np.isfinite(y)
    for i in np.flatnonzero(inside):
        point = dict(zip(names, (*xs[:, i].tolist(), *values)))
        found = c_source.value(tokens, point)
        if found is not None and abs(found - y[i]) > 1e-9 * max(1, abs(found)):
            raise ValueError(
                f"op {op.name!r}: the source gives {found:.6g} at {_where(point)}, the NumPy form {y[i]:.6g}: one of them "
                "is wrong"
            )
    checked = [
        _check_formula(op, numpy, k, xs[:, inside], y[inside], values)
        for k, name in enumerate(op.inputs)
        if name in op.formulas and inside.any()
    ]
    return bool(inside.any()) and all(checked)


def _where(point: dict[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in point.items())


def _check_form(op: Op, numpy: Callable[..., Any], xs: np.ndarray, values: tuple[Any, ...]) -> None:
    """Whether the NumPy form keeps shape and dtype, of one and two dimensions."""
    for shape in ((-1,), (1, -1)):
        arrays = [x.reshape(shape) for x in xs]
        y = numpy(*arrays, *values)
        if np.shape(y) != arrays[0].shape:
            raise ValueError(
                f"op {op.name!r}: the NumPy form makes {np.shape(y)} of inputs of shape {arrays[0].shape}: it must work "
                "element by element"
            )
        if op.result == "float" and getattr(y, "dtype", None) != np.float32:
            raise ValueError(
                f"op {op.name!r}: the NumPy form makes {getattr(y, 'dtype', type(y).__name__)} of float32: {_WIDENED}"
            )


def _check_formula(
    op: Op, numpy: Callable[..., Any], k: int, xs: np.ndarray, y: np.ndarray, values: tuple[Any, ...]
) -> bool:
    """Compare the formula of input `k` with the slope of the NumPy form; whether that has one somewhere."""
    for_device("cpu")  # whose kernels the formula runs on
    name = op.inputs[k]
    single = [np.float32(a) for a in (np.ones_like(y), y, *xs)]
    result = op.vjp(name, single[0], single[1], single[2:], values)
    if getattr(result, "dtype", np.float32) != np.float32:
        raise ValueError(
            f"op {op.name!r}: the formula of {name!r} makes {result.dtype} of float32: {_WIDENED}"
        )
    formula = _column(op.vjp(name, np.ones_like(y), y, [np.ascontiguousarray(x) for x in xs], values), xs)

    def slopes(step: float) -> tuple[np.ndarray, np.ndarray]:
        """Those to the left and to the right."""
        h = step * np.maximum(1, np.abs(xs[k]))
        before, after = (_column(numpy(*xs[:k], xs[k] + d, *xs[k + 1 :], *values), xs) for d in (-h, h))
        return (y - before) / h, (after - y) / h

    left, right = slopes(1e-5)
    one, two = (left + right) / 2, sum(slopes(2e-5)) / 2
    scale = 1 + np.abs(y) + np.abs(one)
    smooth = (np.abs(left - right) <= 1e-2 * scale) & (np.abs(one - two) <= 1e-6 * scale)
    for i in np.flatnonzero(smooth & ~(np.abs(formula - one) <= 1e-4 * scale)):
        point = dict(zip((*op.inputs, *op.params), (*xs[:, i].tolist(), *values)))
        raise ValueError(
            f"op {op.name!r}: the formula of {name!r} gives {formula[i]:.6g} at {_where(point)}, but the slope of the "
            f"NumPy form is {one[i]:.6g} there"
        )
    return bool(smooth.any())


def _column(values: Any, xs: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.asarray(values, np.float64), xs.shape[1:])
