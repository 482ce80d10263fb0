"""Context managers for what graphs save: `saved_tensors_hooks` and its relatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import saved
from ..modes import thread


class saved_tensors_hooks:
    """What is saved for backward in here is packed by `pack_hook`, and read through `unpack_hook`.

    `pack_hook` gets a tensor and returns anything; `unpack_hook` gets that, and returns a tensor of the same values.
    Of nested hooks the innermost count.

    >>> import plugrad as torch
    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> with saved_tensors_hooks(lambda t: t.tolist(), lambda values: torch.tensor(values)):
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor([4.])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        saved.push((self.pack_hook, self.unpack_hook))

    def __exit__(self, *error: object) -> None:
        saved.pop()


class save_on_cpu(saved_tensors_hooks):
    """What is saved for backward in here waits in the memory of the CPU."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: (t.device, t.cpu()), lambda packed: packed[1].to(packed[0]))


class disable_saved_tensors_hooks:
    """In here `saved_tensors_hooks` raises RuntimeError with `error_message`; so does this inside of such hooks."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        if thread.saved_tensors_hooks:
            raise RuntimeError(self.error_message)
        self._before = thread.saved_tensors_hooks_refused
        thread.saved_tensors_hooks_refused = self.error_message

    def __exit__(self, *error: object) -> None:
        thread.saved_tensors_hooks_refused = self._before


class allow_mutation_on_saved_tensors:
    """Does nothing: in plugrad a write never changes what a graph has saved."""

    def __enter__(self) -> allow_mutation_on_saved_tensors:
        return self

    def clear(self) -> None:
        """Does nothing, too: there are no clones."""

    def __exit__(self, *error: object) -> None:
        pass
