"""Expressions of any function of elementwise kernels: of a composite, a derivative's formula, an optimizer's update.

The function is called with expressions in the place of arrays. Ops that it calls find their kernels on the backend of
expressions, as they find those of NumPy on NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar

from plugrad import backend as backends
from plugrad.backend import Backend
from plugrad.dtypes import dtype

from .expr import Expr, Pair, Value, const
from .functions import Functions


class NotTraceable(TypeError):
    """A function does what no elementwise kernel can: it asks for a value, a shape, or another kind of op."""


def _elsewhere(self: Any, *args: Any) -> Any:
    raise NotTraceable("this is no elementwise function")


class ExpressionBackend(Functions, Backend):
    """The backend whose raw arrays are expressions; no device, and never asked for by name."""

    device_type = "expression"
    array_type = Expr
    scalar_types: ClassVar[tuple[type, ...]] = (Pair,)

    from_numpy = to_numpy = empty = synchronize = setitem = reshape = permute_dims = _elsewhere
    broadcast_to = getitem = sum = max = argmax = matmul = take = index_add = _elsewhere

    def astype(self, x: Any, dtype: dtype) -> Any:
        return Functions.cast(x, dtype.numpy)

    def copy(self, raw: Any) -> Any:
        return raw

    def full(self, shape: tuple[int, ...], value: Any, dtype: dtype) -> Any:
        if shape:
            raise NotTraceable("a shape is asked for")
        return const(value, dtype.numpy)

    def zeros_like(self, x: Any) -> Any:
        return const(0, x.dtype)

    def elementwise_kernel(self, name: str, source: str, inputs: Any, params: Any) -> Any:
        from .statements import function_of

        return function_of(name, source, (*inputs, *params))


@cache
def backend() -> ExpressionBackend:
    """The one instance, known to core from now on."""
    made = ExpressionBackend()
    backends.enter(made)
    return made


def traced(function: Callable[..., Any], args: Sequence[Any], like: Any = None) -> tuple[Any, ...]:
    """What `function` computes of `args`, expressions and numbers: its results, expressions, as a tuple.

    A number among the results becomes a constant of dtype `like`. NotTraceable where the function is no elementwise one.
    """
    backend()
    try:
        results = function(*args)
    except NotTraceable:
        raise
    except Exception as error:
        raise NotTraceable(f"{type(error).__name__}: {error}") from error
    found = results if isinstance(results, (tuple, list)) else (results,)
    made = []
    for x in found:
        if isinstance(x, (bool, int, float, complex)) and like is not None:
            x = const(x, like)
        if not isinstance(x, Value):
            raise NotTraceable(f"a result is {type(x).__name__}")
        made.append(x)
    return tuple(made)


__all__ = ["NotTraceable", "backend", "traced"]
