"""`device("jax")`: plugrad on JAX's arrays, which are never written."""

from plugrad.plugins import BackendSpec, hookimpl


@hookimpl
def plugrad_backends():
    """The backend, imported when the device is first used."""
    return [
        BackendSpec(
            "jax",
            "plugrad_jax.backend:JaxBackend",
            requires=("jax",),
            array_types=("jaxlib._jax:ArrayImpl",),
        )
    ]
