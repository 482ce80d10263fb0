"""`device("strict")`: plugrad on array-api-strict."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """The backend, imported when the device is first used."""
    return [
        BackendSpec(
            "strict",
            "plugrad_array_api_strict.backend:StrictBackend",
            requires=("array_api_strict",),
            array_types=("array_api_strict._array_object:Array",),
        )
    ]
