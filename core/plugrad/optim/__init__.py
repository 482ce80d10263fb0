"""Optimizers, which change parameters by their gradients.

>>> import plugrad as torch
>>> w = torch.tensor([3.0], requires_grad=True)
>>> optimizer = torch.optim.SGD([w], lr=0.25)
>>> for _ in range(2):
...     optimizer.zero_grad()
...     (w * w).sum().backward()
...     optimizer.step()
>>> w
tensor([0.7500], requires_grad=True)
"""

from __future__ import annotations

from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD
