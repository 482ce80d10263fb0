"""Small programs over tensors, run on the device and on the CPU: in-place writes, views, and what graphs keep of them.

Each takes the device and returns tensors; both devices must give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import plugrad as torch


def leaf(device: str, shape: tuple[int, ...] = (2, 3)) -> Any:
    """A float32 leaf of the numbers 0.1, 0.2, … on a device."""
    data = np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape) / 10
    return torch.tensor(data, device=device, requires_grad=True)


def in_place_arithmetic(device: str) -> list[Any]:
    x = leaf(device)
    y = x * 2
    y += 1
    y.mul_(x)
    y -= x.sum()
    y.div_(3)
    y.sum().backward()
    return [y, x.grad]


def saved_values_stay(device: str) -> list[Any]:
    """What a graph needs survives a write to it."""
    x = leaf(device)
    y = x.exp()
    z = y * y
    y.zero_()
    w = x.tanh()
    w.add_(5)
    (z.sum() + (w * z).sum()).backward()
    return [y, z, w, x.grad]


def leaves_change_without_grad(device: str) -> list[Any]:
    x = leaf(device)
    (x * x).sum().backward()
    with torch.no_grad():
        x -= 0.1 * x.grad
        x[0] = 7
        x.clamp_(max=3)
    x.grad.zero_()
    (x * x).sum().backward()
    return [x, x.grad]


def views_write_through(device: str) -> list[Any]:
    x = leaf(device, (4, 3))
    y = x * 1
    row, column, turned, flat = y[1], y[:, 2], y.T, y.view(12)
    row.mul_(10)
    column += 1
    turned[0, 3] = -1
    flat[4:6] = x[0, 0] * 2
    y[2:].zero_()
    (y * y).sum().backward()
    return [y, row, column, turned, flat, x.grad]


def views_of_saved_values(device: str) -> list[Any]:
    x = leaf(device, (4, 3))
    y = x.exp()
    part = y[1:3]
    z = part * part
    y[2] = 0
    z.sum().backward()
    return [y, part, z, x.grad]


def writes_by_index(device: str) -> list[Any]:
    x = leaf(device, (3, 4))
    y = torch.zeros(3, 4, device=device)
    y[1] = x[0]
    y[:, ::2] = x[:, 1:3] * 2
    y[x > 0.9] = 5
    rows = torch.tensor([0, 2, 0], device=device)
    y[rows, torch.tensor([0, 1, 3], device=device)] = x[2, :3]
    y.index_add_(0, rows, x)
    y.masked_fill_(x < 0.2, -1)
    (y * y).sum().backward()
    return [y, x.grad]


def recurrence(device: str) -> list[Any]:
    """Each element is written from the one before."""
    x = leaf(device, (6,))
    y = torch.zeros(6, device=device)
    y[0] = x[0]
    for i in range(1, 6):
        y[i] = y[i - 1] * x[i] + 1
    y.sum().backward()
    return [y, x.grad]


def overlapping_write(device: str) -> list[Any]:
    y = leaf(device, (6,)) * 1
    y[1:] = y[:-1]
    y[:-2] += y[2:]
    return [y]


def copies_are_apart(device: str) -> list[Any]:
    x = leaf(device).detach()
    clone, moved, there = x.clone(), x.to("cpu", copy=True), x.to(device)
    moved.zero_()
    clone += 1
    back = torch.tensor(np.ones((2, 3), np.float32)).to(device)
    back += x
    return [x, clone, there, back]


def broadcast_views(device: str) -> list[Any]:
    x = leaf(device, (3, 1))
    y = x.expand(3, 4) * 1
    y[0] += 1
    z = x.expand(3, 4).clone()
    z.mul_(y)
    z.sum().backward()
    return [y, z, x.grad]


def second_order_with_writes(device: str) -> list[Any]:
    x = leaf(device)
    y = x.sin()
    y *= x
    (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    g.add_(1)
    (h,) = torch.autograd.grad((g * g).sum(), x)
    return [g, h]


def an_optimizer(device: str) -> list[Any]:
    x = leaf(device)
    optimizer = torch.optim.Adam([x], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        ((x - 1) ** 2).sum().backward()
        optimizer.step()
    return [x]


PROGRAMS: list[Callable[[str], list[Any]]] = [
    in_place_arithmetic, saved_values_stay, leaves_change_without_grad, views_write_through, views_of_saved_values,
    writes_by_index, recurrence, overlapping_write, copies_are_apart, broadcast_views, second_order_with_writes, an_optimizer,
]  # fmt: skip
