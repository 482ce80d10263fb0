"""`torch.func`: functions that take functions, and return their derivatives or batched forms.

>>> import plugrad as torch
>>> per_sample = torch.func.vmap(torch.func.grad(lambda w, x: (w * x).sum() ** 2), in_dims=(None, 0))
>>> per_sample(torch.ones(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
tensor([[ 6., 12.],
        [42., 56.]])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .functions import stack
from .graph import Variable
from .transforms.batched import fallbacks, settings
from .transforms.forward import jvp, linearize
from .transforms.jacobians import hessian, jacfwd, jacrev
from .transforms.reverse import grad, grad_and_value, vjp
from .transforms.vmap import vmap

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "stack_module_state", "vjp", "vmap", "vmap_fallbacks",
]  # fmt: skip


@contextmanager
def vmap_fallbacks(mode: str = "count") -> Iterator[Any]:
    """Watch where `vmap` has no rule for an op and calls it once for each example: a counter by the ops' names.

    With "error" such a call raises instead.

    >>> import plugrad as torch
    >>> with vmap_fallbacks() as counted:
    ...     _ = vmap(torch.exp)(torch.ones(3))
    >>> dict(counted)
    {}
    """
    if mode not in ("count", "error"):
        raise ValueError(f"vmap_fallbacks: expected 'count' or 'error', found {mode!r}")
    before, was = dict(fallbacks), settings.fallback_is_error
    settings.fallback_is_error = was or mode == "error"
    counted = type(fallbacks)()
    try:
        yield counted
    finally:
        settings.fallback_is_error = was
        counted.update({k: n - before.get(k, 0) for k, n in fallbacks.items() if n > before.get(k, 0)})


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with other parameters and buffers, given by name in a dict, or a sequence of dicts.

    With `tie_weights` a tensor that the module knows by several names is replaced under all of them. With `strict`
    the names must be exactly those of the module.

    >>> import plugrad as torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> functional_call(layer, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, torch.tensor([3.0, 4.0]))
    tensor([7.])
    """
    given: dict[str, Any] = {}
    if isinstance(parameter_and_buffer_dicts, dict):
        given = dict(parameter_and_buffer_dicts)
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        for part in parameter_and_buffer_dicts:
            if not isinstance(part, dict):
                raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
            repeated = sorted(given.keys() & part.keys())
            if repeated:
                raise ValueError(
                    f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous"
                )
            given.update(part)
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    names = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    if strict:
        missing, unexpected = sorted(names.keys() - given.keys()), sorted(given.keys() - names.keys())
        tied = {id(names[k]) for k in given if k in names} if tie_weights else set()
        missing = [k for k in missing if id(names[k]) not in tied]
        if missing or unexpected:
            found = {"Unexpected": unexpected, "Missing": missing}
            parts = [
                f"\n\t{what} key(s): {', '.join(map(repr, names))}." for what, names in found.items() if names
            ]
            raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:" + "".join(parts))
    if tie_weights:
        for name in [k for k in given if k in names]:
            for other, tensor in names.items():
                if tensor is names[name] and given.setdefault(other, given[name]) is not given[name]:
                    raise ValueError(
                        f"functional_call got multiple values for keys {sorted([name, other])}, which are tied. Consider "
                        "using tie_weights=False"
                    )
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given):
        return module(*arguments, **(kwargs or {}))


@contextmanager
def _replaced(module: Any, given: dict[str, Any]) -> Iterator[None]:
    """The tensors of `module` replaced by those given, until the end; names that it does not know are let be."""
    undo = []
    try:
        for name, tensor in given.items():
            if tensor is not None and not isinstance(tensor, Variable):
                raise TypeError(f"functional_call: {name!r}: {tensor!r} is not an instance of torch.Tensor")
            *path, last = name.split(".")
            owner = module
            for step in path:
                found = getattr(owner, "_modules", {}).get(step)
                if found is None:
                    raise AttributeError(
                        f"functional_call: {name!r}: {type(owner).__name__} has no attribute `{step}`: the names are those of "
                        "named_parameters() and named_buffers()"
                    )
                owner = found
            for members in (getattr(owner, "_parameters", {}), getattr(owner, "_buffers", {})):
                if last in members:
                    undo.append((members, last, members[last]))
                    members[last] = tensor
        yield
    finally:
        for members, last, old in reversed(undo):
            members[last] = old


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of models of one class, each stacked: for `vmap` over an ensemble.

    >>> import plugrad as torch
    >>> params, buffers = stack_module_state([torch.nn.Linear(2, 3) for _ in range(4)])
    >>> params["weight"].shape
    torch.Size([4, 3, 2])
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    params = _stacked([dict(m.named_parameters()) for m in models], leaves=True)
    return params, _stacked([dict(m.named_buffers()) for m in models], leaves=False)


def _stacked(states: Sequence[dict[str, Any]], leaves: bool) -> dict[str, Any]:
    found = {}
    for name in states[0]:
        tensors = [s[name] for s in states]
        joined = stack(tensors)
        if leaves:
            if any(t.requires_grad != tensors[0].requires_grad for t in tensors):
                raise RuntimeError(f"Expected parameters with name {name!r} to have the same .requires_grad")
            joined = joined.detach().requires_grad_(tensors[0].requires_grad)
        found[name] = joined
    return found
