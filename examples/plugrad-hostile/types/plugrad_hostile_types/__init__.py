"""A plugin that did not read the hook's signature."""

from plugrad.plugins import hookimpl


@hookimpl
def plugrad_backends():
    """A name instead of a BackendSpec."""
    return ["types"]
