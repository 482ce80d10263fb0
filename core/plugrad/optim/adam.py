"""Adam, and AdamW, whose weight decay does not pass through the moments."""

from __future__ import annotations

import math
from typing import Any

from .. import creation, ops
from .fused_updates import one_kernel
from .optimizer import Optimizer, not_negative, number


def _adam(
    p: Any, grad: Any, first: Any, second: Any, largest: Any, decay: float, weight1: float, beta2: float, weight2: float,
    root: float, eps: float, rate: float, decayed: str, amsgrad: bool, maximize: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """A step on raw arrays: the new p, moments and, for amsgrad, largest second moment."""
    grad = -grad if maximize else grad
    if decayed == "p":
        p = p * decay
    elif decayed == "gradient":
        grad = grad + decay * p
    first = first + weight1 * (grad - first)
    second = beta2 * second + weight2 * (grad * grad)
    if amsgrad:
        largest = ops.maximum(largest, second)
    p = p - rate * (first / (ops.sqrt(largest if amsgrad else second) / root + eps))
    return (p, first, second, largest) if amsgrad else (p, first, second)


def _arguments(
    adam: Adam, p: Any, state: dict[str, Any], group: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """Those of `_adam`."""
    step, (beta1, beta2), decay = _count(p, state, group), group["betas"], group["weight_decay"]
    numbers = [
        1 - group["lr"] * decay if adam.decoupled else decay, 1 - beta1, beta2, 1 - beta2,
        math.sqrt(1 - beta2**step), group["eps"], group["lr"] / (1 - beta1**step),
    ]  # fmt: skip
    decayed = ("p" if adam.decoupled else "gradient") if decay else ""
    moments, largest = [state["exp_avg"], state["exp_avg_sq"]], [0.0]
    if group["amsgrad"]:
        moments, largest = [*moments, state["max_exp_avg_sq"]], []
    return moments, [*largest, *numbers, decayed, group["amsgrad"], group["maximize"]]


def _count(p: Any, state: dict[str, Any], group: dict[str, Any]) -> int:
    """The number of this step; at the first one the state is made."""
    if not state:
        state.update(step=0, exp_avg=creation.zeros_like(p), exp_avg_sq=creation.zeros_like(p))
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = creation.zeros_like(p)
    state["step"] += 1
    return int(state["step"])


class Adam(Optimizer):
    """p ← p - lr · m / (√v + eps), with m and v the moving averages of gradient and gradient².

    `betas` are their decays; both are corrected for starting at zero (Kingma and Ba, 2015). `weight_decay`
    adds weight_decay · p to the gradient; `amsgrad` takes the largest v so far (Reddi et al., 2018);
    `maximize` goes uphill.
    """

    decoupled = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: dict[str, Any]) -> None:
        """Also eps and betas; the moments of complex parameters are not defined here."""
        super().check(group)
        not_negative(group, "eps", "epsilon value")
        for i, beta in enumerate(group["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}: it must be in [0, 1)")
        if any(p.is_complex() for p in group["params"]):
            raise ValueError(
                f"{type(self).__name__}: complex parameters are not supported: "
                "optimize the real and imaginary parts"
            )

    @one_kernel(_adam, 12, _arguments)
    def update(self, p: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step."""
        lr, weight_decay, (beta1, beta2) = number(group["lr"]), group["weight_decay"], group["betas"]
        step = _count(p, state, group)
        first, second = state["exp_avg"], state["exp_avg_sq"]

        if weight_decay:
            if self.decoupled:
                p.mul_(1 - lr * weight_decay)
            else:
                grad = grad.add(p, alpha=weight_decay)
        first.lerp_(grad, 1 - beta1)
        second.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            second = state["max_exp_avg_sq"] = ops.maximum.call(state["max_exp_avg_sq"], second)
        root = second.sqrt() / math.sqrt(1 - beta2**step) + group["eps"]
        p.addcdiv_(first, root, value=-lr / (1 - beta1**step))


class AdamW(Adam):
    """`Adam` whose `weight_decay` takes lr · weight_decay · p from p (Loshchilov and Hutter, 2019)."""

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
