"""An optimizer's step for many parameters in few launches: 64 a launch, of whatever sizes, on addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .launch import Kernels

__all__ = ["adam", "sgd"]

TOGETHER, CHUNK, THREADS = 64, 2048, 256


def sgd(
    kernels: Kernels, dtype: str, sizes: Sequence[int], parameters: Sequence[int], gradients: Sequence[int],
    velocities: Sequence[int] = (), *, lr: float, momentum: float = 0.0, dampening: float = 0.0,
    weight_decay: float = 0.0, nesterov: bool = False, fresh: bool = False, maximize: bool = False,
) -> None:  # fmt: skip
    """One step of SGD; `fresh`: the velocities are written, not read. Addresses of dense arrays of one dtype."""
    kernel = kernels(f"optimizers_{dtype}", "sgd")
    for table, blocks in _tables(sizes, parameters, gradients, velocities):
        kernel(
            (blocks, 1),
            (THREADS, 1),
            *table,
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov,
            fresh,
            maximize,
        )


def adam(
    kernels: Kernels, dtype: str, sizes: Sequence[int], parameters: Sequence[int], gradients: Sequence[int],
    first: Sequence[int], second: Sequence[int], largest: Sequence[int] = (), *, step: int, lr: float,
    betas: tuple[float, float], eps: float, weight_decay: float = 0.0, decoupled: bool = False,
    maximize: bool = False,
) -> None:  # fmt: skip
    """One step of Adam, of AdamW if `decoupled`, of AMSGrad with `largest`; `step` counts from 1."""
    kernel = kernels(f"optimizers_{dtype}", "adam")
    bias1, root2 = 1 - betas[0] ** step, (1 - betas[1] ** step) ** 0.5
    for table, blocks in _tables(sizes, parameters, gradients, first, second, largest):
        kernel(
            (blocks, 1), (THREADS, 1), *table, lr, *betas, eps, weight_decay, bias1, root2,
            decoupled, bool(largest), maximize,
        )  # fmt: skip


def _tables(sizes: Sequence[int], *columns: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """The parts of `struct Tensors` for up to 64 tensors at a time, and the blocks that they need."""
    for start in range(0, len(sizes), TOGETHER):
        some = sizes[start : start + TOGETHER]
        table: list[int] = []
        for i in range(5):
            addresses = list(columns[i][start : start + TOGETHER]) if i < len(columns) else []
            table += addresses + [0] * (TOGETHER - len(addresses))
        first = [0]
        for size in some:
            first.append(first[-1] + -(-size // CHUNK))
        rest = TOGETHER - len(some)
        yield [*table, *some, *[0] * rest, *first, *[first[-1]] * rest], first[-1]
