"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .fused_updates import one_kernel
from .optimizer import Optimizer, not_negative, number


def _sgd(
    p: Any, grad: Any, velocity: Any, lr: float, weight_decay: float, momentum: float, gain: float,
    decays: bool, has_momentum: bool, nesterov: bool, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """A step on raw arrays: the new p and velocity."""
    grad = -grad if maximize else grad
    if decays:
        grad = grad + weight_decay * p
    if not has_momentum:
        return (p - lr * grad,)
    velocity = momentum * velocity + gain * grad
    return p - lr * (grad + momentum * velocity if nesterov else velocity), velocity


def _arguments(
    sgd: SGD, p: Any, state: dict[str, Any], group: dict[str, Any]
) -> tuple[list[Any], list[Any]] | None:
    """Those of `_sgd`; None at the first step with momentum, which makes the velocity."""
    momentum, velocity = group["momentum"], state.get("momentum_buffer")
    if momentum and velocity is None:
        return None
    numbers = [group["lr"], group["weight_decay"], momentum, 1 - group["dampening"]]
    flags = [bool(group["weight_decay"]), bool(momentum), group["nesterov"], group["maximize"]]
    return ([velocity], [*numbers, *flags]) if momentum else ([], [0.0, *numbers, *flags])


class SGD(Optimizer):
    """p ← p - lr · v, where v is the gradient g or, with `momentum`, v ← momentum · v + (1 - dampening) · g.

    `weight_decay` adds weight_decay · p to g; `nesterov` looks ahead along v; `maximize` goes uphill.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                "nesterov": nesterov, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: dict[str, Any]) -> None:
        """Also momentum, and nesterov, which needs it."""
        super().check(group)
        not_negative(group, "momentum", "momentum value")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    @one_kernel(_sgd, 7, _arguments)
    def update(self, p: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step."""
        momentum, weight_decay = group["momentum"], group["weight_decay"]
        if weight_decay:
            grad = grad.add(p, alpha=weight_decay)
        if momentum:
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = grad.clone()
            else:
                velocity.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad.add(velocity, alpha=momentum) if group["nesterov"] else velocity
        p.add_(grad, alpha=-number(group["lr"]))
