"""The op that `opcheck` looks at, and its sample calls, each as a function of tensors alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import creation, ops, random
from ...device import device as as_device
from ...dtypes import float64
from ...engine import grad
from ...function import Function
from ...graph import Variable
from ...nn import Module
from ...op import Composite, Op
from ..rows.row import In
from .report import Fault


class Subject:
    """What is checked: an `Op`, a `Composite`, a `Function` subclass or a function of tensors."""

    def __init__(self, target: Any, elementwise: bool | None, device: Any) -> None:
        self.target, self.device = target, as_device(device)
        self.backend: Any = self.device.backend
        self.op: Op | None = target if isinstance(target, Op) else None
        self.function = target if isinstance(target, type) and issubclass(target, Function) else None
        if isinstance(target, (Op, Composite)):
            self.name, self.expression = target.name, _expression(target)
        elif isinstance(target, Module):
            raise TypeError(
                f"opcheck: a {type(target).__name__} is no op, for it has state: pass a function of its input and parameters, "
                "such as lambda x, w, b: torch.nn.functional.linear(x, w, b)"
            )
        elif callable(target):
            self.name = getattr(target, "__name__", type(target).__name__)
            known = f"{getattr(target, '__module__', '?')}.{getattr(target, '__qualname__', '?')}"
            self.expression = "fn" if "<" in known or "?" in known else known
        else:
            raise TypeError(
                f"opcheck: expected an Op, a Composite, a Function subclass or a function of tensors, found "
                f"{type(target).__name__}"
            )
        declared = self.op is not None and self.op.broadcasts
        self.elementwise = declared if elementwise is None else elementwise

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The op on tensors."""
        target = self.target.apply if self.function is not None else self.target
        return self.op.call(*args, **kwargs) if self.op is not None else target(*args, **kwargs)

    @property
    def inputs(self) -> list[str]:
        """The names of the tensors that it takes."""
        if self.op is not None:
            return list(self.op.inputs) * (2 if self.op.variadic else 1)
        import inspect

        target = self.target.body if isinstance(self.target, Composite) else self.target
        skipped = 0
        if self.function is not None:
            target = self.function.forward
            skipped = self.function.setup_context is Function.setup_context
        parameters = list(inspect.signature(target).parameters.values())[skipped:]
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def _expression(op: Op | Composite) -> str:
    """Python that an op is the value of."""
    if "::" in op.name:
        return "plugrad.ops." + op.name.replace("::", ".")
    names = [name for name, value in vars(ops).items() if value is op]
    return f"plugrad.ops.{names[0]}" if names else f"OPS[{op.name!r}]"


class _Slot:
    """Where the tensor of number `i` stands in the arguments of a call."""

    def __init__(self, i: int) -> None:
        self.i = i


class Case:
    """One call of the subject: host arrays for its tensors, everything else fixed."""

    def __init__(
        self,
        subject: Subject,
        index: int,
        args: Sequence[Any],
        params: dict[str, Any],
        seed: int,
        domains: list[tuple[float, float]] | None = None,
    ) -> None:
        self.subject, self.index, self.domains = subject, index, domains
        self.drawn = domains is not None
        self.rng = np.random.default_rng([seed, index])
        self.arrays: list[np.ndarray] = []
        self._asked: list[bool] = []
        #: For each tensor its position among the inputs of an op.
        self.places: list[int] = []
        op = subject.op
        count = len(args) if op is None else 1 if op.variadic else len(op.inputs)
        self._args: list[Any] = []
        for place, value in enumerate(args):
            if place < count:
                self._args.append(self._template(value, place))
            else:
                self._args.append(self._parameter(value))
        take = self._parameter if op is not None else lambda v: self._template(v, -1)
        self._params = {k: take(v) for k, v in params.items()}
        self.differentiable = self._differentiable()

    def _template(self, value: Any, place: int) -> Any:
        """`value` with slots in the place of tensors and arrays, which are taken note of."""
        if isinstance(value, (list, tuple)):
            return type(value)(self._template(v, place) for v in value)
        asked = False
        if isinstance(value, In):
            value = value.make(self.rng)
        elif isinstance(value, Variable):
            asked = value._edge is not None
            value = host(value)
        if not isinstance(value, np.ndarray):
            return value
        wide = self.subject.backend.dtypes
        if value.dtype.kind == "f":
            value = value.astype(np.float64 if float64 in wide else np.float32)
        elif value.dtype.kind == "c" and float64 in wide:
            value = value.astype(np.complex128)
        self.arrays.append(np.array(value))
        self._asked.append(asked)
        self.places.append(place)
        return _Slot(len(self.arrays) - 1)

    def _parameter(self, value: Any) -> Any:
        """A parameter of an op, its arrays on the host."""
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._parameter, value))
        if isinstance(value, In):
            return value.make(self.rng)
        return host(value) if isinstance(value, Variable) else value

    def _differentiable(self) -> list[int]:
        """The tensors to take derivatives by: those that require grad, if any does; of an op, those with formulas."""
        inexact = [i for i, a in enumerate(self.arrays) if a.dtype.kind in "fc"]
        op = self.subject.op
        if op is not None:
            names = [op.inputs[0 if op.variadic else self.places[i]] for i in inexact]
            inexact = [i for i, name in zip(inexact, names, strict=True) if name in op.formulas]
        return [i for i in inexact if self._asked[i]] or inexact

    # --- calls --------------------------------------------------------------------------------------------------

    def tensors(
        self, arrays: Sequence[np.ndarray] | None = None, grad: bool = False, device: Any = None
    ) -> list[Any]:
        """New tensors of these arrays, those to differentiate by as leaves with `grad`."""
        made = []
        for i, a in enumerate(self.arrays if arrays is None else arrays):
            x = creation.tensor(np.array(a), device=self.subject.device if device is None else device)
            made.append(x.requires_grad_() if grad and i in self.differentiable else x)
        return made

    def fill(self, values: Sequence[Any], backend: Any) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with `values` in the place of tensors, and arrays of the device in that of an op's parameters."""
        args = [_filled(a, values, backend) for a in self._args]
        return args, {k: _filled(p, values, backend) for k, p in self._params.items()}

    def __call__(self, *tensors: Any) -> list[Any]:
        """What the subject returns for these tensors: a list."""
        backend: Any = self.subject.backend
        if tensors and tensors[0].device.type != backend.device_type:
            backend = tensors[0].device.backend
        args, params = self.fill(tensors, backend)
        for generator in random._default.values():  # which make their streams at the first draw
            generator._stream, generator._seed = None, 0
        y = self.subject.call(*args, **params)
        ys = list(y) if isinstance(y, (tuple, list)) else [y]
        if any(isinstance(v, Variable) for v in ys):  # beside which others may be
            ys = [v for v in ys if not (v is None or isinstance(v, (int, float, complex, str)))]
        for v in ys:
            if not isinstance(v, Variable):
                raise Fault(
                    f"it returned a {type(v).__name__}",
                    "return a Tensor or a tuple of them; a kernel returns arrays of its library",
                )
        return ys

    def weights(self, outputs: Sequence[Any]) -> list[np.ndarray]:
        """A random cotangent for each output, the same ones each time."""
        rng = np.random.default_rng(7)
        return [noise(rng, y) for y in outputs]

    def gradients(self, tensors: Sequence[Any], weights: Sequence[Any] | None = None) -> list[Any]:
        """The gradients of the outputs, randomly weighted, by the tensors to differentiate by; None where there is none."""
        outputs = [y for y in self(*tensors) if y.requires_grad]
        leaves = [tensors[i] for i in self.differentiable]
        if not outputs or not leaves:
            return [None] * len(leaves)
        if weights is None:
            device = outputs[0].device
            given = [creation.tensor(w, device=device) for w in self.weights(outputs)]
            weights = [w.to(y.dtype) for w, y in zip(given, outputs, strict=True)]
        return list(grad(outputs, leaves, weights, allow_unused=True))

    def raw_arguments(self, tensors: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Operands and parameters for a kernel of the op, by position."""
        op: Any = self.subject.op
        args, params = self.fill([t._raw for t in tensors], self.subject.backend)
        count = 1 if op.variadic else len(op.inputs)
        return args[:count], [*args[count:], *op.positional(tuple(args), params)]

    def constants(self) -> list[Any]:
        """What is no tensor among the arguments."""
        return [v for v in [*self._args, *self._params.values()] if not _holds_slot(v)]

    # --- for people ---------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        parts = [f"{a.dtype}{list(a.shape)}" for a in self.arrays]
        rest = [_shown(v) for v in self._args if not _holds_slot(v)]
        named = [f"{k}={_shown(v)}" for k, v in self._params.items() if not _holds_slot(v)]
        return f"sample {self.index} ({', '.join([*parts, *rest, *named])})"

    def literal(self) -> str | None:
        """The arguments as Python; None where they are too many numbers."""
        held = [v for v in [*self._args, *self._params.values()] if isinstance(v, np.ndarray)]
        if sum(a.size for a in [*self.arrays, *held]) > 40:
            return None

        def text(v: Any) -> str:
            if isinstance(v, _Slot):
                a = self.arrays[v.i]
                return f"torch.tensor({_numbers(a)}, dtype=torch.{a.dtype})"
            if isinstance(v, np.ndarray):
                return f"np.array({_numbers(v)}, {str(v.dtype)!r})"
            if isinstance(v, (list, tuple)):
                inside = ", ".join(map(text, v))
                return (
                    f"[{inside}]" if isinstance(v, list) else f"({inside},)" if len(v) == 1 else f"({inside})"
                )
            return repr(v)

        args = [text(v) for v in self._args]
        if self._params:
            params = ", ".join(f"{k}={text(v)}" for k, v in self._params.items())
            return f"S({', '.join(args)}, {params})"
        return f"({', '.join(args)}{',' if len(args) == 1 else ''})"


def _filled(v: Any, values: Sequence[Any], backend: Any) -> Any:
    if isinstance(v, _Slot):
        return values[v.i]
    if isinstance(v, np.ndarray) and backend is not None:
        return backend.from_numpy(v.copy())
    return type(v)(_filled(e, values, backend) for e in v) if isinstance(v, (list, tuple)) else v


def _numbers(a: np.ndarray) -> str:
    if not a.size:
        return f"np.zeros({a.shape})"
    return str(a.tolist()).replace("nan", "float('nan')").replace("inf", "float('inf')")


def _holds_slot(v: Any) -> bool:
    return any(map(_holds_slot, v)) if isinstance(v, (list, tuple)) else isinstance(v, _Slot)


def _shown(v: Any) -> str:
    return f"{v.dtype}{list(v.shape)}" if isinstance(v, np.ndarray) else repr(v)


def host(tensor: Any) -> Any:
    """The values of a tensor, a NumPy array of their own."""
    return np.array(tensor.detach()._host())


def noise(rng: np.random.Generator, like: Any) -> np.ndarray:
    """Random numbers of the shape and dtype of an array or tensor."""
    dtype = getattr(like.dtype, "numpy", like.dtype)
    x = rng.standard_normal(tuple(like.shape))
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(tuple(like.shape))
    return np.asarray(x).astype(dtype)
