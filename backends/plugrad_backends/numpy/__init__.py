"""NumPy: the device `cpu`.

A member named like an op is that op's kernel. NumPy's own functions serve unwrapped where they mean the same.
"""

from __future__ import annotations

from .backend import NumPyBackend

__all__ = ["NumPyBackend"]
