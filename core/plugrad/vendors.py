"""`use_kernels`: let a package's kernels replace those that devices have."""

from __future__ import annotations

import threading
import warnings

from . import kernels, plugins
from .errors import PluginWarning
from .op import OPS, forget_kernels

_lock = threading.Lock()


class use_kernels:
    """Compute with the kernels of `vendor`, a plugin or distribution, wherever it offers one; None: of no vendor.

    Without it, a package's kernels serve where a device has none. With it, they come before the device's own, in the whole
    process, and before those of vendors that were chosen earlier. As a context manager it holds inside the block.
    Raises PluginError where nobody of that name offers kernels, with the reason.

    >>> import plugrad
    >>> plugrad.use_kernels("acme")
    Traceback (most recent call last):
        ...
    plugrad.errors.PluginError: use_kernels: no plugin that is called 'acme' is loaded; those that offer kernels: ...
    """

    def __init__(self, vendor: str | None) -> None:
        if vendor is not None and not isinstance(vendor, str):
            raise TypeError(
                f"use_kernels: found {vendor!r}: give the name of a plugin or distribution, or None for no vendor"
            )
        from .plugins.choice import kernels_of

        self.vendor = vendor
        self._added = [] if vendor is None else [kernels_of(plugins.installed(), vendor)]
        for name, _device in self._added[0] if vendor is not None else ():
            _check(vendor, name)
        with _lock:
            self._dropped = kernels.chosen[:] if vendor is None else []
            kernels.chosen[:] = [*([] if vendor is None else kernels.chosen), *self._added]
        forget_kernels()

    def __enter__(self) -> use_kernels:
        return self

    def __exit__(self, *error: object) -> None:
        with _lock:
            kept = [each for each in kernels.chosen if not any(each is mine for mine in self._added)]
            kernels.chosen[:] = [*self._dropped, *kept]
        forget_kernels()

    def __repr__(self) -> str:
        return f"use_kernels({self.vendor!r})"


def _check(vendor: str | None, name: str) -> None:
    """Warn of a kernel that nothing can call."""
    op = OPS.get(name)
    if op is None and "::" not in name:
        reason = "plugrad has no operator of that name"
    else:
        return
    warnings.warn(
        f"the kernel of {name!r} that {vendor!r} offers is never used: {reason}", PluginWarning, stacklevel=4
    )
