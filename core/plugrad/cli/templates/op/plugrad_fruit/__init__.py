"""The operators of the library fruit: the plugin, thin, so that reading it costs nothing. The rest is imported at first use."""

from plugrad.plugins import KernelSpec, OpSpec, hookimpl


@hookimpl
def plugrad_ops():
    """The operators: `plugrad.ops.fruit.ripen`."""
    return [OpSpec("fruit::ripen", "plugrad_fruit.ops:ripen")]


@hookimpl
def plugrad_kernels():
    """The kernels; a device that is not here computes the operator as its declaration says."""
    return [KernelSpec("fruit::ripen", "cpu", "plugrad_fruit.kernels:ripen")]
