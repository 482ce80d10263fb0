"""How a small change of an op's inputs changes its output: see `transforms.jvp`."""

from __future__ import annotations

from ..transforms.jvp import jvp

__all__ = ["jvp"]
