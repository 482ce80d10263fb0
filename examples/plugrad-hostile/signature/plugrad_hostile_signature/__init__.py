"""A plugin that asks for an argument that no hook has."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends(config):
    """Its device."""
    return [BackendSpec("signature", config["target"])]
