"""The smallest operator plugin, the page to copy from: one op, one derivative, one spec.

In a package of its own, `pyproject.toml` names this module as an entry point:

    [project.entry-points.plugrad]
    smallest = "plugrad_plugins.smallest"
"""

from plugrad.sdk import OpSpec, elementwise, hookimpl

#: x / (1 + |x|), which any array library can compute: `default` is its kernel on all of them.
squash = elementwise(
    "smallest::squash", "x", result="float",
    x=lambda g, x: g / ((1 + abs(x)) * (1 + abs(x))),
    default=lambda x: x / (1 + abs(x)),
)  # fmt: skip


@hookimpl
def plugrad_ops() -> list[OpSpec]:
    """Say what there is, and where."""
    return [OpSpec("smallest::squash", "plugrad_plugins.smallest:squash")]
