"""`device("banana")`: the plugin, thin, so that reading it costs nothing. plugrad imports the backend at its first use."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """The backend of the device, what it needs, and the type of its arrays."""
    return [
        BackendSpec(
            "banana",
            "plugrad_banana.backend:BananaBackend",
            requires=("array_api_strict",),
            array_types=("array_api_strict._array_object:Array",),
        )
    ]
