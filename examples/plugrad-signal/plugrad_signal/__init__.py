"""Operators on signals for plugrad: `plugrad.ops.signal`. This module only says what there is, and where."""

from plugrad.plugins import OpSpec, hookimpl


@hookimpl
def plugrad_ops():
    """The operators, imported when they are first used."""
    return [
        OpSpec(f"signal::{name}", f"plugrad_signal.ops:{name}")
        for name in ("integrate", "mu_law", "decibels")
    ]
