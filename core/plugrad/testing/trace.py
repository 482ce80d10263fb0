"""What `compare` sees of one run: every op and every step of a backward, held against those of the first run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backend import BY_ARRAY, backend_of
from ..codegen import ZerosBackward0
from ..graph import Node, Port, wrap
from ..modes import NO_GRAD, set_mode, thread, tidy
from ..op import OPS, Op
from ..strict import user_place
from .divergence import Divergence
from .tolerances import difference


class Step(NamedTuple):
    """One call of an op."""

    number: int
    name: str
    place: tuple[str, int]
    forms: list[str]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


class BackwardStep(NamedTuple):
    """One call of a node: the op that made it, and the gradients that arrived and left, None where there is none."""

    number: int
    arrived: list[Any]
    left: list[Any]


class Trace:
    """The watcher of a run: it keeps what it sees, or compares it with `reference`, until something differs."""

    def __init__(self, device: str, options: dict[str, Any], reference: Trace | None = None) -> None:
        self.device, self.options, self.reference = device, options, reference
        self.steps: list[Step] = []
        self.backward: list[BackwardStep] = []
        self.results: list[tuple[str, np.ndarray]] = []
        self.found: Divergence | None = None
        self._kept: dict[Any, np.ndarray] = {}  # equal arrays are kept once

    @property
    def backward_seen(self) -> bool:
        """Whether a backward has run."""
        return bool(self.backward)

    # --- what is seen -------------------------------------------------------------------------------------------

    def __call__(
        self, op: Any, inputs: Sequence[Any], params: Sequence[Any], outputs: Sequence[Any], node: Node | None
    ) -> None:
        """An op or a Function was called on tensors: the watcher of `modes`."""
        if self.found is not None or any(_is_transform(y) for y in outputs):
            return  # the ops on what is in an array of a transform are seen themselves
        if op is OPS.get("to_device"):
            return  # which only some devices need
        step = Step(
            len(self.steps),
            op.name if isinstance(op, Op) else op.__name__,
            user_place(),
            [_form(x) for x in inputs],
            [self._keep(x) for x in inputs if hasattr(x, "dtype")],
            [self._keep(y) for y in outputs],
        )
        if self.reference is not None and not self._agrees(step):
            if self.found is not None and self.found.kind == "value" and isinstance(op, Op):
                self._try_exactly(op, inputs, params)
            return
        self.steps.append(step if self.reference is None else step._replace(inputs=[], outputs=[]))
        node = node.node if isinstance(node, Port) else node
        if node is not None and not isinstance(node, ZerosBackward0):
            node.register_hook(lambda left, arrived, i=step.number: self._backward(i, arrived, left))  # type: ignore[misc]

    def _backward(self, index: int, arrived: Sequence[Any], left: Sequence[Any]) -> None:
        """The node of an op was called: the hook of each node."""
        if self.found is not None or any(g is not None and _is_transform(g._raw) for g in (*arrived, *left)):
            return
        step = BackwardStep(
            index,
            [None if g is None else self._keep(g._raw) for g in arrived],
            [None if g is None else self._keep(g._raw) for g in left],
        )
        if self.reference is None or self._agrees_backward(step):
            self.backward.append(step)

    def finish(self, results: list[tuple[str, Any]]) -> None:
        """What the run came to, by name."""
        self.results = [(name, host_of(raw)) for name, raw in results]

    def _keep(self, raw: Any) -> np.ndarray:
        values = host_of(raw)
        if self.reference is not None:
            return values
        digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
        return self._kept.setdefault((values.shape, values.dtype, digest), values)

    # --- comparisons --------------------------------------------------------------------------------------------

    def _agrees(self, step: Step) -> bool:
        """Whether an op and its results are those of the reference."""
        known = self.reference.steps  # type: ignore[union-attr]
        if step.number >= len(known):
            self._parts(step, None)
            return False
        there = known[step.number]
        if (step.name, len(step.inputs), len(step.outputs)) != (
            there.name,
            len(there.inputs),
            len(there.outputs),
        ):
            self._parts(step, there)
            return False
        for i, (a, b) in enumerate(zip(step.outputs, there.outputs, strict=True)):
            d = difference(a, b, **self.options)
            if d is None:
                continue
            for k, (x, e) in enumerate(zip(step.inputs, there.inputs, strict=True)):
                if (wrong := difference(x, e, **self.options)) is not None:
                    what = (
                        f"operand {k} differs already, and no op made it so: random numbers, a write into the tensor, or "
                        "values that came from the host"
                    )
                    self.found = Divergence("input", self, what, step, wrong)
                    return False
            which = f"result {i}" if len(step.outputs) > 1 else "the result"
            self.found = Divergence("value", self, f"{which} differs", step, d)
            self.found.input_error = max(
                (_distance(x, e) for x, e in zip(step.inputs, there.inputs, strict=True)), default=0.0
            )
            return False
        return True

    def _try_exactly(self, op: Op, inputs: Sequence[Any], params: Sequence[Any]) -> None:
        """Say of an op whose value differs whether it does so for the operands of the reference, too."""
        found: Any = self.found
        if not found.input_error:
            return
        there = self.reference.steps[found.position]  # type: ignore[union-attr]
        values = iter(there.inputs)
        was = thread.mode
        try:
            set_mode(NO_GRAD)
            operands = [
                wrap(backend_of(x).from_numpy(next(values).copy())) if hasattr(x, "dtype") else x
                for x in inputs
            ]
            y = op.call(operands, *params) if op.variadic else op.call(*operands, *params)
            outputs = [host_of(v._raw) for v in (y if op.outputs else [y])]
            pairs = zip(outputs, there.outputs, strict=True)
            found.magnifies = all(difference(a, b, **self.options) is None for a, b in pairs)
        except Exception:  # it takes no such arrays: nothing can be said
            pass
        finally:
            thread.mode = was  # in one step: see `tidy`
            tidy()

    def _parts(self, step: Step, there: Step | None) -> None:
        if there is None:
            what = f"it calls {step.name}, where {self.reference.device!r} has ended"  # type: ignore[union-attr]
        else:
            what = (
                f"it calls {step.name}({', '.join(step.forms)}), where {self.reference.device!r} calls "  # type: ignore[union-attr]
                f"{there.name}({', '.join(there.forms)}), at {there.place[0]}:{there.place[1]}"
            )
        self.found = Divergence("sequence", self, what, step)

    def _agrees_backward(self, step: BackwardStep) -> bool:
        """Whether a step of a backward and its gradients are those of the reference."""
        reference: Any = self.reference
        known, op = reference.backward, self.steps[step.number]
        i = len(self.backward)
        there = known[i] if i < len(known) else None
        if there is None or there.number != step.number:
            expected = "has ended" if there is None else f"comes to {reference.steps[there.number].name}"
            what = f"its backward comes to {op.name}, where that of {reference.device!r} {expected}"
            self.found = Divergence("sequence", self, what, op, backward=True)
            return False
        for kind, found, expected in (
            ("arriving", step.arrived, there.arrived),
            ("gradient", step.left, there.left),
        ):
            for k, (a, b) in enumerate(zip(found, expected, strict=True)):
                if a is None and b is None:
                    continue
                d = None
                if a is not None and b is not None and (d := difference(a, b, **self.options)) is None:
                    continue
                what = f"the gradient that it passes to {_operand(op.name, k)} differs, and what arrives at it agrees"
                if kind == "arriving":
                    what = (
                        "the gradient that arrives differs, and what the ops after it passed on agrees: their sum, a hook, or "
                        "the derivative of a write"
                    )
                if d is None:
                    what += f": {'none' if a is None else 'one'}, expected {'none' if b is None else 'one'}"
                self.found = Divergence(kind, self, what, op, d, backward=True)  # type: ignore[arg-type]
                return False
        return True

    def raised(self, error: Exception) -> None:
        """The run ended with an error."""
        reference: Any = self.reference
        there = reference.steps[len(self.steps)] if len(self.steps) < len(reference.steps) else None
        self.found = Divergence("error", self, f"it raises {type(error).__name__}: {error}", there)

    def ended(self) -> None:
        """The run is over: compare what is left."""
        reference: Any = self.reference
        if len(self.steps) < len(reference.steps):
            step = reference.steps[len(self.steps)]
            what = f"it has ended, where {reference.device!r} calls {step.name}"
            self.found = Divergence("sequence", self, what, step)
            return
        if len(self.backward) < len(reference.backward):
            step = reference.steps[reference.backward[len(self.backward)].number]
            what = f"its backward has ended, where that of {reference.device!r} comes to {step.name}"
            self.found = Divergence("sequence", self, what, step, backward=True)
            return
        names = [[name for name, _ in trace.results] for trace in (self, reference)]
        if names[0] != names[1]:
            what = f"it comes to {', '.join(names[0])}, and {reference.device!r} to {', '.join(names[1])}"
            self.found = Divergence("result", self, what, backward=True)
            return
        for (name, a), (_, b) in zip(self.results, reference.results, strict=True):
            if (d := difference(a, b, **self.options)) is not None:
                what = f"{name} differs, though all ops agree: a write, an accumulated gradient, or values from the host"
                self.found = Divergence("result", self, what, None, d, backward=True)
                return


def host_of(raw: Any) -> np.ndarray:
    """The values of a raw array, a NumPy array of their own."""
    backend = BY_ARRAY[type(raw)]
    return np.array(backend.to_numpy(backend.asarray(raw)))


def _is_transform(raw: Any) -> bool:
    return BY_ARRAY[type(raw)].is_transform


def _form(x: Any) -> str:
    """An operand in words."""
    if not hasattr(x, "dtype"):
        return repr(x)
    return f"{str(x.dtype).rpartition('.')[2]}{list(x.shape)}"


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two arrays, NaN aside."""
    if not a.size or a.dtype.kind not in "fc":
        return 0.0
    with np.errstate(all="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a - b))
    return float(np.nanmax(apart, initial=0.0)) if not np.isnan(apart).all() else 0.0


def _operand(name: str, k: int) -> str:
    """What an op calls its operand `k`."""
    op = OPS.get(name)
    if isinstance(op, Op) and not op.variadic and k < len(op.inputs):
        return f"its operand {op.inputs[k]!r}"
    return f"its operand {k}"
