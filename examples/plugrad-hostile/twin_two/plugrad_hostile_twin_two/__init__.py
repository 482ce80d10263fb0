"""A plugin whose device another one offers, too."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """Its device."""
    return [BackendSpec("twin", "plugrad_hostile_twin_two.backend:Backend")]
