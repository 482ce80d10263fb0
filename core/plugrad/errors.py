"""One class per failure that a user can meet; each is also the class that PyTorch raises there."""

from __future__ import annotations


class DeviceError(RuntimeError):
    """A device that is not there, lacks something, or differs from another operand's."""


class NoDeviceError(DeviceError):
    """All that a device needs is installed, but this machine has no such device, or no driver for it."""


class OutOfMemoryError(RuntimeError):
    """A device has not as much memory left as was asked for; the program may drop something, and go on."""


class PluginError(RuntimeError):
    """A plugin that could not be loaded, is incompatible, or breaks the rules of its hook."""


class PluginWarning(UserWarning):
    """A plugin failed to load; everything else goes on without it."""


class NoDerivativeError(NotImplementedError, RuntimeError):
    """A backward or forward derivative was asked of an input that has no formula."""


class GraphFreedError(RuntimeError):
    """A backward through a graph whose saved values an earlier backward has released."""


class InPlaceError(RuntimeError):
    """An in-place write that would break a gradient, or the memory that somebody shares."""


class GradcheckError(RuntimeError):
    """An analytical derivative that disagrees with the numerical one."""


class OpCheckError(AssertionError):
    """An op that is not what an op has to be: see `plugrad.testing.opcheck`."""


class DivergenceError(AssertionError):
    """Devices that compute different numbers: see `plugrad.testing.compare`."""
