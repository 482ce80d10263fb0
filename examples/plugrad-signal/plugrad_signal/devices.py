"""A second entry point: kernels for two devices. The package of the strict device need not be there."""

from plugrad.plugins import KernelSpec, hookimpl


@hookimpl
def plugrad_kernels():
    """The kernels, imported when their device first runs the operator."""
    here = "plugrad_signal"
    return [
        KernelSpec("signal::integrate", "cpu", f"{here}.numpy_kernels:integrate"),
        KernelSpec("signal::integrate", "strict", f"{here}.strict_kernels:integrate"),
        KernelSpec("signal::mu_law", "strict", f"{here}.strict_kernels:mu_law"),
    ]
