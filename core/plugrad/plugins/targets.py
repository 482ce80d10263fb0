"""From a spec's import string to the object that it names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib import metadata

from ..errors import DeviceError, PluginError
from .loader import describe
from .specs import RESERVED_DEVICES, BackendSpec, Spec


def load(spec: Spec) -> object:
    """Import what a spec names, when everything that it requires is installed.

    Raises DeviceError for a backend and PluginError for an operator or kernel.
    """
    failure = DeviceError if isinstance(spec, BackendSpec) else PluginError
    if isinstance(spec, BackendSpec):
        check_requirements(spec)
    module_name, _, path = spec.target.partition(":")
    try:
        target: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise failure(_no_such_module(spec, module_name)) from error
        raise failure(f"{spec.what}: importing {module_name!r} failed: {describe(error)}") from error
    for name in path.split("."):
        try:
            target = getattr(target, name)
        except AttributeError as error:
            raise failure(
                f"{spec.what}: {module_name!r} has no {path!r}, which its plugin names: "
                "upgrade or reinstall the plugin's package"
            ) from error
    return target


def check_requirements(spec: BackendSpec) -> None:
    """Raise DeviceError where something that a backend requires is not installed; nothing is imported."""
    missing = [name for name in spec.requires if not _is_installed(name)]
    if missing:
        names = ", ".join(map(repr, missing))
        verb = "is" if len(missing) == 1 else "are"
        cure = f'pip install "plugrad[{spec.extra}]"' if spec.extra else f"install {names} first"
        raise DeviceError(f"{spec.what} needs {names}, which {verb} not installed: {cure}")


def _is_installed(requirement: str) -> bool:
    """Whether a module or a distribution of this name is there; nothing is imported."""
    top = requirement.partition(".")[0]
    if sys.modules.get(top) is not None or importlib.util.find_spec(top) is not None:
        return True
    try:
        metadata.distribution(requirement)
    except metadata.PackageNotFoundError:
        return False
    return True


def _no_such_module(spec: Spec, module_name: str) -> str:
    # A reserved device type can only be plugrad's own: its backend comes with another release.
    if isinstance(spec, BackendSpec) and spec.device_type in RESERVED_DEVICES:
        return (
            f"this release of plugrad has no backend for {spec.what} yet (no module {module_name!r}): "
            "use device 'cpu', or upgrade plugrad"
        )
    return (
        f"{spec.what}: there is no module {module_name!r}, which its plugin names: "
        "upgrade or reinstall the plugin's package"
    )
