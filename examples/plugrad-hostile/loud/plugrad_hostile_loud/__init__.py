"""A plugin that greets."""

from plugrad.plugins import BackendSpec, hookimpl

print("Thank you for choosing loud!")


@hookimpl
def plugrad_backends():
    """Its device."""
    return [BackendSpec("loud", "plugrad_hostile_loud.backend:Backend")]
