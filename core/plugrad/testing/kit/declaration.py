"""Layer 1: the backend is there, has what every backend must have, and says the truth about itself."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ... import dtypes, plugins
from ...backend import BY_ARRAY, backend_of, for_array
from ...contract import REQUIRED, Backend, defines
from ...device import device as Device
from .agreement import Disagreement
from .bench import Bench
from .checks import Skip, collector

CHECKS, check = collector("declaration", "declaration")
OPERATORS = (
    "add", "sub", "mul", "truediv", "floordiv", "pow", "radd", "rsub", "rmul", "rtruediv", "rpow", "neg",
    "and", "or", "invert", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip


@check()
def found(bench: Bench) -> None:
    """A plugin offers the device, its module can be imported, and the class makes an instance."""
    b = bench.backend
    if not isinstance(b, Backend):
        raise Disagreement(f"the backend is a {type(b).__qualname__}: let it subclass plugrad.sdk.Backend")
    place = Device(bench.device)
    if b.device_type != place.type:
        raise Disagreement(f"device_type is {b.device_type!r}, expected {place.type!r}")
    if not isinstance(b.array_type, type):
        raise Disagreement(f"array_type is {b.array_type!r}, expected the class of the raw arrays")


@check()
def required_members(bench: Bench) -> None:
    """All members of `REQUIRED` are defined."""
    b = bench.backend
    missing = [name for name in REQUIRED if not defines(b, name)]
    if missing:
        raise Disagreement(
            f"these members are missing: {', '.join(missing)}; plugrad.sdk.Backend has their law"
        )
    wrong = [name for name in REQUIRED if not callable(getattr(b, name))]
    if wrong:
        raise Disagreement(f"these members cannot be called: {', '.join(wrong)}")


@check()
def array_type(bench: Bench) -> None:
    """Raw arrays are of `array_type`, are found by it, and carry what core reads."""
    b = bench.backend
    raw = b.from_numpy(np.ones((2, 3), np.float32))
    if type(raw) is not b.array_type:
        raise Disagreement(
            f"from_numpy returns a {type(raw).__qualname__}, but array_type is {b.array_type.__qualname__}"
        )
    if b.array_type not in BY_ARRAY or backend_of(raw) is not b:
        raise Disagreement(f"array_type {b.array_type.__qualname__} belongs to another backend or device")
    if for_array(raw) is not b:
        raise Disagreement(f"no backend is found for an array of type {b.array_type.__qualname__}")
    lacking = [name for name in ("shape", "ndim", "dtype") if not hasattr(raw, name)]
    lacking += [f"__{name}__" for name in OPERATORS if not hasattr(type(raw), f"__{name}__")]
    if lacking:
        raise Disagreement(f"raw arrays lack {', '.join(lacking)}")
    try:
        weakref.ref(raw)
    except TypeError:
        raise Disagreement(
            "raw arrays cannot be referred to weakly: add '__weakref__' to their __slots__"
        ) from None


@check()
def spec(bench: Bench) -> None:
    """The array types that the plugin names are those of the arrays, so that an array finds its device."""
    b = bench.backend
    named = plugins.find_backend(b.device_type).array_types
    if not named:
        raise Skip("the plugin's BackendSpec names no array_types: an array alone does not find its device")
    own = {f"{base.__module__}:{base.__qualname__}" for base in b.array_type.__mro__}
    if not own & set(named):
        name = f"{b.array_type.__module__}:{b.array_type.__qualname__}"
        raise Disagreement(
            f"BackendSpec.array_types is {named}, but the arrays are of type {name!r}: name that"
        )


@check("dtypes")
def declared_dtypes(bench: Bench) -> None:
    """`dtypes` are plugrad's, hold what every device needs, and arrays of each can be made."""
    b = bench.backend
    strange = [d for d in b.dtypes if not isinstance(d, dtypes.dtype)]
    if strange or not b.dtypes:
        raise Disagreement(f"dtypes holds {strange or 'nothing'}, expected members of plugrad.dtypes")
    missing = {dtypes.bool_, dtypes.float32} - set(b.dtypes)
    if missing:
        raise Disagreement(
            f"dtypes lacks {', '.join(sorted(d.name for d in missing))}, which every device must have"
        )
    if not {dtypes.int64, dtypes.int32} & set(b.dtypes):
        raise Disagreement("dtypes lacks both int64 and int32: indices need one of them")
    for d in dtypes.ALL:
        if d in b.dtypes:
            raw = b.empty((2, 3), d)
            _check_dtype(raw, d, f"dtypes holds {d.name}, but empty((2, 3), {d.name})")


@check()
def other_dtypes(bench: Bench) -> None:
    """A dtype that the device lacks is refused, never replaced by another one."""
    b = bench.backend
    for d in dtypes.ALL:
        if d not in b.dtypes:
            for what, make in {
                "empty": lambda d=d: b.empty((2,), d),
                "from_numpy": lambda d=d: b.from_numpy(np.ones(2, d.numpy)) if d.numpy is not None else None,
            }.items():
                try:
                    raw = make()
                except Exception:  # as it should
                    continue
                if raw is not None:
                    _check_dtype(
                        raw, d, f"dtypes lacks {d.name}, so {what} should raise; it gives an array that"
                    )


def _check_dtype(raw: Any, d: dtypes.dtype, what: str) -> None:
    try:
        found = dtypes.of(raw.dtype)
    except TypeError as error:
        raise Disagreement(f"{what} has dtype {raw.dtype!r}, unknown to plugrad: {error}") from None
    if found is not d:
        raise Disagreement(f"{what} has dtype {found.name}")


@check()
def inplace(bench: Bench) -> None:
    """`inplace` says whether `setitem` writes into the array it is given."""
    b = bench.backend
    raw = b.from_numpy(np.zeros(3, np.float32))
    result = b.setitem(raw, ..., 1.0)
    if result is None:
        raise Disagreement("setitem returns None: it must return the array that holds the result")
    written = bool(bench.get(raw).any())
    if not bench.get(result).all():
        raise Disagreement("setitem(raw, ..., 1.0) returns an array without the value")
    if b.inplace and not (written and result is raw):
        found = "a new array" if result is not raw else "the array as it was"
        raise Disagreement(
            f"inplace is true, but setitem returns {found}: write into the given array and return it"
        )
    if not b.inplace and written:
        raise Disagreement("inplace is false, but setitem writes into the array it is given")


@check()
def capabilities(bench: Bench) -> None:
    """`capabilities()` tells what `dtypes` and the flags tell, as bools."""
    b = bench.backend
    found: dict[str, Any] = b.capabilities()
    wrong = {name: can for name, can in found.items() if type(can) is not bool}
    if wrong:
        raise Disagreement(f"capabilities() must give bools, found {wrong}")
    expected = Backend.capabilities(b)
    for name in expected:
        if found.get(name) != expected[name]:
            raise Disagreement(
                f"capabilities()[{name!r}] is {found.get(name)}, but the backend's members say {expected[name]}"
            )
