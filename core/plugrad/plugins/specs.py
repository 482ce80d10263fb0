"""What a plugin declares: frozen data that holds import strings, so that declaring imports nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

API = (1, 0)
"""The plugin contract of this plugrad, (major, minor)."""

RESERVED_DEVICES = frozenset({"cpu", "cuda", "opencl"})
"""Device types that only plugrad's own distribution may offer, even while its own plugin is broken."""

_NAME = r"[A-Za-z_]\w*"
_DOTTED = rf"{_NAME}(?:\.{_NAME})*"
_DEVICE = (r"[a-z][a-z0-9_]*", "a device type such as 'cuda'")
_OP = (rf"{_NAME}::{_NAME}", "an operator's name such as 'mylib::blur'")
_ANY_OP = (rf"(?:{_NAME}::)?{_NAME}", "an operator's name such as 'mylib::blur', or 'exp' for plugrad's own")
_COMMAND = (r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", "a command's name such as 'tune-kernels'")
_CHECK = (r"[a-z][a-z0-9]*(?:[ _.\-][a-z0-9]+)*", "a check's name such as 'driver version'")
_LINE = (r"\S.*", "one line of text")
_TARGET = (rf"{_DOTTED}:{_DOTTED}", "an import string such as 'package.module:Class'")
_REQUIREMENT = (r"\w[\w.\-]*", "the name of a module or distribution such as 'pyopencl'")
_ARRAY_TYPE = (r"[^:\s]+:[^:\s]+", "an array type such as 'numpy:ndarray'")


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend for one device type.

    ``target`` is imported when the device is first used. ``requires`` names the modules or distributions it
    needs, ``extra`` the extra of plugrad that installs them, ``api`` the plugin contract it was written for
    (the first one unless it says so), ``array_types`` its raw array types as "module:qualname", and ``names``
    whether users may name a device, "acme:fast", beside counting them, "acme:0".

    >>> BackendSpec("banana", "acme.backend:Banana", requires=("bananalib",)).device_type
    'banana'
    """

    device_type: str
    target: str
    requires: tuple[str, ...] = ()
    extra: str | None = None
    api: tuple[int, int] = (1, 0)
    array_types: tuple[str, ...] = ()
    names: bool = False

    def __post_init__(self) -> None:
        _check_text(self, "device_type", *_DEVICE)
        _check_text(self, "target", *_TARGET)
        _check_texts(self, "requires", *_REQUIREMENT)
        if self.extra is not None:
            _check_text(self, "extra", *_REQUIREMENT)
        _check_api(self)
        _check_texts(self, "array_types", *_ARRAY_TYPE)
        if not isinstance(self.names, bool):
            raise TypeError(f"BackendSpec.names is {self.names!r}: give True or False")

    @property
    def what(self) -> str:
        """What is offered, as error messages call it."""
        return f"device {self.device_type!r}"


@dataclass(frozen=True, slots=True)
class OpSpec:
    """An operator, named "library::name", whose declaration is imported when it is first used."""

    name: str
    target: str
    api: tuple[int, int] = (1, 0)

    def __post_init__(self) -> None:
        _check_text(self, "name", *_OP)
        _check_text(self, "target", *_TARGET)
        _check_api(self)

    @property
    def what(self) -> str:
        """What is offered, as error messages call it."""
        return f"operator {self.name!r}"


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """A kernel of the operator ``op``, a plugin's "library::name" or one of plugrad's own, for one device type.

    ``target`` is a function of raw arrays of the device, then the op's parameters by position. It is used where the
    device would have none otherwise, or beside an operator of the same distribution; where it would replace
    another kernel, only after `plugrad.use_kernels`.
    """

    op: str
    device_type: str
    target: str
    api: tuple[int, int] = (1, 0)

    def __post_init__(self) -> None:
        _check_text(self, "op", *_ANY_OP)
        _check_text(self, "device_type", *_DEVICE)
        _check_text(self, "target", *_TARGET)
        _check_api(self)

    @property
    def what(self) -> str:
        """What is offered, as error messages call it."""
        return f"kernel of {self.op!r} for device {self.device_type!r}"


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command of the `plugrad` command line: ``plugrad NAME …`` calls ``target`` with the words that follow.

    ``target`` is a function of a list of str that returns the exit status, or None for 0.

    >>> CommandSpec("tune-kernels", "acme.tuning:main", "measure acme's kernels on this machine").name
    'tune-kernels'
    """

    name: str
    target: str
    help: str
    api: tuple[int, int] = (1, 0)

    def __post_init__(self) -> None:
        _check_text(self, "name", *_COMMAND)
        _check_text(self, "target", *_TARGET)
        _check_text(self, "help", *_LINE)
        _check_api(self)

    @property
    def what(self) -> str:
        """What is offered, as error messages call it."""
        return f"command {self.name!r}"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check of ``plugrad plugins doctor``: a function without arguments.

    It returns one line of text that says what it found, or raises with what is wrong and the cure.
    """

    name: str
    target: str
    api: tuple[int, int] = (1, 0)

    def __post_init__(self) -> None:
        _check_text(self, "name", *_CHECK)
        _check_text(self, "target", *_TARGET)
        _check_api(self)

    @property
    def what(self) -> str:
        """What is offered, as error messages call it."""
        return f"check {self.name!r}"


Spec = BackendSpec | OpSpec | KernelSpec | CommandSpec | CheckSpec


def _check_text(spec: Spec, field: str, pattern: str, form: str) -> None:
    value = getattr(spec, field)
    if isinstance(value, str) and re.fullmatch(pattern, value):
        return  # a plugin may have hundreds of specs, and all programs read them
    where = f"{type(spec).__name__}.{field}"
    if not isinstance(value, str):
        raise TypeError(f"{where} is {value!r} ({type(value).__name__}): give a str, {form}")
    raise ValueError(f"{where} is {value!r}: give {form}")


def _check_texts(spec: Spec, field: str, pattern: str, form: str) -> None:
    values = getattr(spec, field)
    where = f"{type(spec).__name__}.{field}"
    if isinstance(values, str):
        raise TypeError(f"{where} is the str {values!r}: give a tuple, ({values!r},)")
    if not isinstance(values, tuple) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{where} is {values!r} ({type(values).__name__}): give a tuple of str, each {form}")
    for value in values:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{where} holds {value!r}: give {form}")


def _check_api(spec: Spec) -> None:
    where = f"{type(spec).__name__}.api"
    if not (isinstance(spec.api, tuple) and all(type(number) is int for number in spec.api)):
        raise TypeError(f"{where} is {spec.api!r} ({type(spec.api).__name__}): give two integers, {API}")
    if len(spec.api) != 2 or min(spec.api) < 0:
        raise ValueError(f"{where} is {spec.api!r}: give (major, minor), {API}")
