"""A plugin whose backend takes its time; this module does not."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """Its device."""
    return [BackendSpec("slow", "plugrad_hostile_slow.backend:Backend")]
