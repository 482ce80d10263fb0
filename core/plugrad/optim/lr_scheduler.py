"""Learning rates that change as training goes on: call `scheduler.step()` after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .optimizer import Optimizer


class LRScheduler:
    """The base: a subclass says by `rate` how the learning rate of a group goes on in an epoch.

    A rate follows from the one before, so schedulers of one optimizer compose, and a rate that is set by hand is
    gone on from. `last_epoch` is the epoch to go on from.
    """

    #: Whether `rate` gives the rate of an epoch from `base` alone, so that it applies from the start.
    closed_form = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming a scheduler"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        if self.closed_form:
            self._set_rates()

    def rate(self, lr: float, base: float, epoch: int, group: int) -> float:
        """The learning rate of a group that started from `base` and had `lr` in the epoch before."""
        raise NotImplementedError

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        self._set_rates()

    def _set_rates(self) -> None:
        for i, group in enumerate(self.optimizer.param_groups):
            group["lr"] = self.rate(group["lr"], self.base_lrs[i], self.last_epoch, i)

    def get_last_lr(self) -> list[float]:
        """The learning rates in force."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs, functions excepted."""
        return {k: v for k, v in vars(self).items() if k not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the scheduler that gave `state_dict` stood."""
        vars(self).update(state_dict)


class LambdaLR(LRScheduler):
    """The starting rate times `lr_lambda(epoch)`; a list of functions has one for each group."""

    closed_form = True

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * count
        if len(self.lr_lambdas) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, epoch: int, group: int) -> float:
        """base · lr_lambda(epoch)."""
        return base * self.lr_lambdas[group](epoch)


class StepLR(LRScheduler):
    """Multiplies the rate by `gamma` every `step_size` epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, epoch: int, group: int) -> float:
        """lr · gamma where `step_size` divides the epoch."""
        return lr * self.gamma if epoch % self.step_size == 0 else lr


class ExponentialLR(LRScheduler):
    """Multiplies the rate by `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, epoch: int, group: int) -> float:
        """lr · gamma."""
        return lr * self.gamma


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the starting rate down to `eta_min` in `T_max` epochs, and up again."""

    def __init__(
        self, optimizer: Optimizer, T_max: float, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, epoch: int, group: int) -> float:
        """eta_min + (lr - eta_min) · w(epoch) / w(epoch - 1), w(e) = 1 + cos(π · e / T_max); up again from w = 0."""
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
        now, before = (1 + math.cos(math.pi * e / self.T_max) for e in (epoch, epoch - 1))
        return self.eta_min + (lr - self.eta_min) * now / before
