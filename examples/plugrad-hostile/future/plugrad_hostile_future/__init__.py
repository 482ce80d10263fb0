"""A plugin for a plugrad that is not written yet."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """Its device."""
    return [BackendSpec("future", "plugrad_hostile_future.backend:Backend", api=(9, 0))]
