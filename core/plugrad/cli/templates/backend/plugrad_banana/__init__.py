"""`device("banana")`: the plugin, thin, so that reading it costs nothing. plugrad imports the backend at its first use."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """The backend of the device, and what it needs: add your array library to `requires`."""
    return [
        BackendSpec(
            "banana",
            "plugrad_banana.backend:BananaBackend",
            requires=("numpy",),
            array_types=("plugrad_banana.backend:Array",),
        )
    ]
