"""A plugin whose array library is missing."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """Its device."""
    return [
        BackendSpec("needy", "plugrad_hostile_needy.backend:Backend", requires=("no_such_array_library",))
    ]
