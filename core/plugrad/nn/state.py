"""Loading a `state_dict` into a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import creation
from ..modes import no_grad
from ..tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """The names that a state dict lacked, and those that the module does not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load(name: str, own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copy `given` into the tensors `own` of a module called `name`; where one does not fit, copy nothing."""
    if not isinstance(given, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(given)}.")
    keys = IncompatibleKeys([k for k in own if k not in given], [k for k in given if k not in own])
    errors = []
    if strict:
        for problem, names in zip(("Missing", "Unexpected"), keys, strict=True):
            if names:
                errors.append(f"{problem} key(s) in state_dict: " + ", ".join(f'"{k}"' for k in names) + ". ")
    for key, tensor in own.items():
        if key not in given:
            continue
        value = given[key]
        if not hasattr(value, "shape"):
            errors.append(
                f'For the parameter named "{key}", expected a Tensor or an array, found {type(value)}.'
            )
        elif tuple(value.shape) != tuple(tensor.shape):
            errors.append(
                f"size mismatch for {key}: copying a param with shape torch.Size({list(value.shape)}) "
                f"from checkpoint, the shape in current model is {tensor.shape}."
            )
    if errors:
        raise RuntimeError(f"Error(s) in loading state_dict for {name}:\n\t" + "\n\t".join(errors))
    with no_grad():
        for key, tensor in own.items():
            if key in given:
                tensor.copy_(given[key] if isinstance(given[key], Tensor) else creation.tensor(given[key]))
    return keys
