"""`Optimizer`: groups of parameters with their options, and what an algorithm remembers of each parameter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from .. import fusion
from ..modes import enable_grad, no_grad
from ..nn.module import clear_gradients
from ..tensor import Tensor
from . import fused_updates


class Optimizer:
    """The base of all optimizers; a subclass defines `update`.

    `params` are tensors, (name, tensor) pairs, or dicts: groups of them under "params", each with options of
    its own. `param_groups` may be changed between steps, e.g. the "lr" of a group.
    """

    param_groups: list[dict[str, Any]]
    state: dict[Any, dict[str, Any]]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts: "
                "put the Tensor in a list"
            )
        self.defaults = defaults
        self.state, self.param_groups = defaultdict(dict), []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, under "params", with options that differ from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        if params and isinstance(params[0], tuple):
            params = [tensor for _, tensor in params]
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}"
                )
            if not p.is_leaf:
                raise ValueError(
                    "can't optimize a non-leaf Tensor: pass the tensor that it was computed from"
                )
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if known & {id(p) for p in params} or len({id(p) for p in params}) < len(params):
            raise ValueError("some parameters appear in more than one parameter group, or twice in one")
        group = {**self.defaults, **param_group, "params": params}
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """ValueError for options that make no sense; subclasses add their own."""
        not_negative(group, "lr", "learning rate")
        not_negative(group, "weight_decay", "weight_decay value")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zero."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change each parameter that has a gradient; `closure`, if given, computes loss and gradients."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        waiting = fused_updates.Waiting()
        with no_grad():
            try:
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is None:
                            continue
                        state = self.state[p]
                        if fusion.wanted and fused_updates.run(self.update, p, p.grad, state, group, waiting):
                            continue
                        self.update(p, -p.grad if group["maximize"] else p.grad, state, group)
            finally:
                waiting.make()
        return loss

    def update(self, p: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the parameter `p` in place; `state` is empty at its first step."""
        raise NotImplementedError(f"{type(self).__name__} defines no update(p, grad, state, group)")

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later run needs: {"state": {number: …}, "param_groups": […]}.

        Parameters are numbered in their order. Tensors in it are the optimizer's own, not copies.
        """
        numbers = {id(p): i for i, p in enumerate(self._params())}
        state = {numbers[id(p)]: values for p, values in self.state.items() if values}
        groups = []
        for group in self.param_groups:
            options = {key: value for key, value in group.items() if key != "params"}
            groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the optimizer that gave `state_dict` stood; ValueError if its groups differ in size."""
        groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(groups)}, not {len(self.param_groups)}"
            )
        sizes = [
            (len(g["params"]), len(own["params"])) for g, own in zip(groups, self.param_groups, strict=True)
        ]
        if any(found != expected for found, expected in sizes):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group: "
                + ", ".join(
                    f"{found} parameters, not {expected}" for found, expected in sizes if found != expected
                )
            )
        for own, group in zip(self.param_groups, groups, strict=True):
            numbers = group.pop("params")
            own.update(group)
            for p, number in zip(own["params"], numbers, strict=True):
                found = state_dict["state"].get(number)
                self.state.pop(p, None)
                if found is not None:
                    self.state[p] = {key: _loaded(key, value, p) for key, value in found.items()}

    def _params(self) -> list[Any]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def not_negative(group: dict[str, Any], key: str, what: str) -> None:
    """ValueError for a negative option."""
    if group[key] < 0.0:
        raise ValueError(f"Invalid {what}: {group[key]}: it must not be negative")


def number(option: Any) -> Any:
    """An option as a number, where it may be a tensor, such as a learning rate: one that any device takes."""
    return option.item() if isinstance(option, Tensor) else option


def _loaded(key: str, value: Any, p: Any) -> Any:
    """A value of a state as it goes with the parameter `p`: tensors as copies, of its dtype and device."""
    if not isinstance(value, Tensor):
        return deepcopy(value)
    if key == "step":  # PyTorch counts in a tensor
        return value.item()
    return value.detach().clone().to(device=p.device, dtype=p.dtype)
