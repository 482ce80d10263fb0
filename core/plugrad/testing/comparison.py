"""`compare`: one function on several devices, op by op; the first op whose value or gradient differs is named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import creation, random
from ..device import device as as_device
from ..dtypes import FLOAT
from ..engine import grad
from ..errors import DivergenceError
from ..graph import Variable
from ..modes import WATCHED, active, set_mode, thread, tidy
from ..nn import Module
from ..transforms.tree import flatten
from .trace import Divergence, Trace

__all__ = ["Comparison", "Divergence", "DivergenceError", "compare"]


class Comparison:
    """What `compare` found: `agree`, and the `first` divergence; true where the devices agree."""

    def __init__(self, trace: Trace, device: str, found: list[Divergence]) -> None:
        #: How many ops, and how many steps of a backward, were seen on the first device.
        self.ops, self.gradients = len(trace.steps), len(trace.backward)
        self.reference, self.found = device, found

    @property
    def agree(self) -> bool:
        """Whether all devices computed what the first did."""
        return not self.found

    @property
    def first(self) -> Divergence | None:
        """The divergence that came after the fewest ops; None where there is none."""
        return min(self.found, key=lambda d: (d.backward, d.position), default=None)

    def __bool__(self) -> bool:
        return self.agree

    def __str__(self) -> str:
        if self.agree:
            return f"compare: the devices agree with {self.reference!r} in {self.ops} ops and {self.gradients} gradients"
        return "\n".join(map(str, self.found))

    def __repr__(self) -> str:
        return f"<{str(self).splitlines()[0]}>"


def compare(
    fn: Callable[..., Any],
    devices: Sequence[Any],
    *args: Any,
    rtol: float | None = None,
    atol: float | None = None,
    backward: bool = True,
    seed: int = 0,
    raise_exception: bool = False,
    **kwargs: Any,
) -> Comparison:
    """Run `fn(*args, **kwargs)` on each of `devices`, and hold every op against the same op on the first one.

    Tensors and modules among the arguments, also in lists, tuples and dicts, and `fn` if it is a module, are copied to the
    device; `fn` makes what else it needs, such as an optimizer, on the device of its arguments. Each run begins with the
    random seed `seed`. After it, unless `fn` has called backward itself or `backward` is false, the gradients of its results,
    randomly weighted, are taken by the arguments that require grad and the parameters of modules.

    Compared are: the results of each op; in each backward what arrives at and what leaves every node; at the end what `fn`
    returned, and values and gradients of the arguments. NaN agrees with NaN, integers have to be equal, floating-point
    numbers agree as `plugrad.testing.TOLERANCES` says, or within `rtol` and `atol`. What is seen on the first device is kept
    on the host until the end.

    The result is true where all agree; `.first` is the first divergence, with the op, its position, the line that called it,
    its operands, and the largest difference. With `raise_exception` it is raised as a DivergenceError.

    >>> import plugrad as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> compare(lambda x: (x * 2).exp().sum(), ["cpu", "cpu"], x)
    <compare: the devices agree with 'cpu' in 3 ops and 3 gradients>
    """
    if isinstance(devices, (str, as_device)) or len(devices) < 2:
        raise ValueError(f"compare: devices={devices!r}: give two or more, the first to compare with")
    if not callable(fn):
        raise TypeError(f"compare: fn is a {type(fn).__name__}: expected a function of tensors")
    if active and thread.mode & WATCHED:
        raise RuntimeError("compare: called within a function that is compared: call it outside")
    first, *others = map(as_device, devices)
    for device in (first, *others):
        _ = device.backend  # which says what is missing
    options = {"rtol": rtol, "atol": atol}
    run = _Run(fn, args, kwargs, backward, seed)
    reference = Trace(str(first), options)
    run.on(first, reference)
    found = []
    for device in others:
        trace = Trace(str(device), options, reference)
        try:
            run.on(device, trace)
        except Exception as error:
            if trace.found is None:
                trace.raised(error)
        if trace.found is None:
            trace.ended()
        if trace.found is not None:
            found.append(trace.found)
    result = Comparison(reference, str(first), found)
    if raise_exception and found:
        raise DivergenceError(str(result))
    return result


class _Run:
    """A function and its arguments, to be run on one device after the other."""

    def __init__(self, fn: Any, args: Any, kwargs: Any, backward: bool, seed: int) -> None:
        self.fn, self.arguments, self.backward, self.seed = fn, (args, kwargs), backward, seed
        for value in flatten(self.arguments)[0]:
            if hasattr(value, "param_groups"):
                raise TypeError(
                    f"compare: an argument is a {type(value).__name__}, which holds parameters of one device: let fn make it"
                )

    def on(self, device: Any, trace: Trace) -> None:
        """Run it there, watched by `trace`, which then holds the results."""
        moved: dict[int, Any] = {}
        fn, (args, kwargs) = _moved(self.fn, device, moved), _moved(self.arguments, device, moved)
        was, states = thread.mode, random.get_all_states()
        try:
            random.manual_seed(self.seed)
            thread.watcher = trace
            set_mode(was | WATCHED)
            y = fn(*args, **kwargs)
            outputs = [v for v in flatten(y)[0] if isinstance(v, Variable)]
            leaves = _leaves(moved)
            gs = {} if trace.backward_seen else self._gradients(outputs, leaves)
        finally:
            thread.mode = thread.mode & ~WATCHED | was & WATCHED  # in one step: see `tidy`
            thread.watcher = None
            tidy()
            random.set_all_states(states)
        results = [(f"result {i}", v._raw) for i, v in enumerate(outputs)]
        for i, x in enumerate(leaves):
            name = f"argument {x[0]}"
            results.append((name, x[1]._raw))
            for g in (gs.get(i), x[1].grad):
                if g is not None:
                    results.append((f"the gradient of {name}", g._raw))
        trace.finish(results)

    def _gradients(self, outputs: list[Any], leaves: list[tuple[str, Any]]) -> dict[int, Any]:
        ys = [y for y in outputs if y.requires_grad and y.dtype.category >= FLOAT]
        wanted = {i: x for i, (_, x) in enumerate(leaves) if x.requires_grad and x.is_leaf}
        if not (self.backward and ys and wanted):
            return {}
        rng = np.random.default_rng(self.seed)
        weights = [
            creation.tensor(rng.standard_normal(tuple(y.shape)), dtype=y.dtype, device=y.device) for y in ys
        ]
        return dict(zip(wanted, grad(ys, list(wanted.values()), weights, allow_unused=True), strict=True))


def _moved(value: Any, device: Any, moved: dict[int, Any]) -> Any:
    """A copy of tensors and modules on a device, each once; `moved` maps what was there to what is."""
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(_moved(v, device, moved) for v in value)
    if type(value) is dict:
        return {k: _moved(v, device, moved) for k, v in value.items()}
    if not isinstance(value, (Variable, Module)):
        return value
    if id(value) not in moved:
        if isinstance(value, Module):
            made: Any = copy.deepcopy(value).to(device)
        else:
            tensor: Any = value
            made = tensor.detach().to(device).clone()
            made = made.requires_grad_(tensor.requires_grad)
        moved[id(value)] = made
    return moved[id(value)]


def _leaves(moved: dict[int, Any]) -> list[tuple[str, Any]]:
    """The tensors that were moved, parameters and buffers of modules included, each with what it is called."""
    found: list[tuple[str, Any]] = []
    for i, value in enumerate(moved.values()):
        if isinstance(value, Module):
            found += [(name, p) for name, p in value.state_dict(keep_vars=True).items()]
        else:
            found.append((str(i), value))
    return found
