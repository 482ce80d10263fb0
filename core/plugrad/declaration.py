"""`@plugrad.op`: an operator declared by decorating the function that computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .codegen import check_names
from .op import _OPTIONS, OPS, Composite, Op, composite

KINDS = ("operator", "elementwise", "linear", "multilinear")
#: What an op of a kind gives where its declaration does not say so: see `Op`.
_RESULTS = {"elementwise": "same", "multilinear": "alike"}


def op(
    name: str, /, *, kind: str | None = None, **given: Any
) -> Callable[[Callable[..., Any]], Op | Composite]:
    """Declare the decorated function as the operator `name`, "library::name".

    Its arguments without defaults are the inputs, those with defaults the parameters. Keywords are formulas of the
    derivative, by input name; what a formula's arguments are called says what it is given: `g` is the cotangent of
    the output, `y` the output, the rest go by the function's own names. `kind` is "elementwise" (inputs broadcast
    and promote), "linear" (in its one input), "multilinear" (in each) or "operator" (else, and the default).
    Further options are those of `plugrad.op.Op`: `result`, `node`, `outputs`, `holomorphic`, `ordered`, `operands`,
    `promotes`, `jvp`.

    With formulas, or a kind, the function is the kernel wherever a device has none of its own: it is given raw arrays,
    and computes with Python's operators and `plugrad.ops`. An input without a formula has no derivative. With neither,
    the function is given tensors, and recorded op by op.

    >>> import plugrad
    >>> @plugrad.op("docs::logistic", kind="elementwise", x=lambda g, y, rate: g * rate * y * (1 - y))
    ... def logistic(x, rate=1.0):
    ...     return 1 / (1 + plugrad.ops.exp(-rate * x))
    >>> x = plugrad.tensor([0.0, 1.0], requires_grad=True)
    >>> logistic(x, rate=2.0)
    tensor([0.5000, 0.8808], grad_fn=<LogisticBackward0>)
    >>> plugrad.ops.docs.logistic is logistic
    True
    """
    _check_name(name)
    if kind is not None and kind not in KINDS:
        raise ValueError(f"op {name!r}: kind is {kind!r}: give one of {', '.join(map(repr, KINDS))}")
    options = {key: value for key, value in given.items() if key in _OPTIONS}
    formulas = {key: value for key, value in given.items() if key not in _OPTIONS}
    if "default" in options:
        raise TypeError(f"op {name!r}: found default=: the decorated function is the default kernel")

    def declare(function: Callable[..., Any]) -> Op | Composite:
        inputs, params = _signature(name, function)
        _forget(name, function)
        made: Op | Composite
        if not formulas and kind is None:
            if options:
                raise TypeError(
                    f"op {name!r}: found {', '.join(options)}, which need formulas or a kind: without them, the function "
                    "is recorded op by op"
                )
            made = composite(name)(function)
        else:
            check_names(name, (*inputs, *params))
            _check_formulas(name, formulas, inputs, params)
            what = kind or "operator"
            options.setdefault("result", _RESULTS.get(what, "own"))
            made = Op(name, " ".join(inputs), formulas, kind=what, default=function, **options)
            made.params = params
        for attribute in ("__doc__", "__module__", "__name__", "__qualname__"):
            if hasattr(function, attribute):
                setattr(made, attribute, getattr(function, attribute))
        made.__wrapped__ = function  # type: ignore[union-attr]
        return made

    return declare


def _check_name(name: str) -> None:
    from .plugins.specs import OpSpec

    OpSpec(name, "declared.here:op")  # which says what a name must be


def _signature(name: str, function: Callable[..., Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The inputs and the parameters with their defaults, of a function."""
    import inspect

    inputs, params = [], {}
    try:
        if hasattr(function, "nin"):  # a ufunc, which has a signature, but no names for its inputs
            raise ValueError
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # NumPy's functions, for example
        raise TypeError(
            f"op {name!r}: {function!r} does not tell its arguments, the inputs: write lambda x: "
            f"{getattr(function, '__name__', 'f')}(x)"
        ) from None
    for argument in arguments:
        where = f"op {name!r}: argument {argument.name!r} of {getattr(function, '__name__', function)!r}"
        if argument.kind not in (argument.POSITIONAL_ONLY, argument.POSITIONAL_OR_KEYWORD):
            raise TypeError(
                f"{where} cannot be given by position: kernels are called so; write it without '*' or '**'"
            )
        if argument.name in _OPTIONS or argument.name == "kind":
            raise TypeError(f"{where} has the name of an option of plugrad.op: give it another one")
        if argument.default is argument.empty:
            inputs.append(argument.name)
        else:
            params[argument.name] = argument.default
    if not inputs:
        raise TypeError(f"op {name!r}: the function has no input: an argument without default is one")
    taken = [each for each in ("g", "y") if each in inputs or each in params]
    if taken:
        check_names(name, taken)
    return tuple(inputs), params


def _check_formulas(
    name: str, formulas: dict[str, Any], inputs: tuple[str, ...], params: dict[str, Any]
) -> None:
    known = ("g", "y", *inputs, *params)
    for of, formula in formulas.items():
        if of not in inputs:
            raise TypeError(
                f"op {name!r}: {of!r} is neither one of its inputs ({', '.join(inputs)}) nor an option"
            )
        code = getattr(formula, "__code__", None)
        if code is None:
            raise TypeError(
                f"op {name!r}: the formula of {of!r} is {formula!r}: give a function such as a lambda"
            )
        for read in code.co_varnames[: code.co_argcount]:
            if read not in known:
                raise TypeError(
                    f"op {name!r}: the formula of {of!r} reads {read!r}: what there is to read is {', '.join(known)}"
                )


def _forget(name: str, function: Callable[..., Any]) -> None:
    """Let a function be declared again by the code that declared it: a notebook's cell, or a module that is reloaded."""
    before = getattr(OPS.get(name), "__wrapped__", None)
    if before is not None and _home(before) == _home(function):
        del OPS[name]


def _home(function: Any) -> tuple[Any, Any]:
    return getattr(function, "__module__", None), getattr(function, "__qualname__", type(function))
