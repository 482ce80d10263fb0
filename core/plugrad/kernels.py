"""Where the kernel of an op comes from on a device; asked once for each op and array type, at the first call.

In this order: the kernel of a vendor that the user chose by `plugrad.use_kernels` ("plugin"), the backend's own member
of the op's name ("native"), the kernel that the package of the device or of the op offers ("plugin"), what the op itself
or `composites` makes of the required members ("composite"), a kernel that a plugin offers where there is none of these
("plugin"), and NumPy on the host ("host"), which the user must allow by `fallback`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from . import fusion, plugins
from .contract import REQUIRED, Backend, Lowering, defines
from .errors import DeviceError, PluginError
from .several import SeveralDevices

Kernel = Callable[..., Any]
Origin = Literal["native", "plugin", "composite", "host"]
Policy = Literal["error", "warn", "allow"]

#: How often an op was computed on the host, by device type and name.
fallbacks: Counter[tuple[str, str]] = Counter()
_policy: Policy = "error"

#: The kernels of vendors that the user chose, by op and device type; a later one comes before an earlier one.
chosen: list[dict[tuple[str, str], plugins.KernelSpec]] = []
#: Counts the changes of `chosen`: a kernel that was found before one must not be kept after it.
generation = 0


class fallback:
    """Say what happens when a device lacks an op: "error", the default, "warn" once an op, or "allow".

    Allowed, the operands are copied to the host, NumPy computes, and the result is copied back: right, and slow. As a
    context manager it holds inside the block. Applies to the process, and so do the counts, `plugrad.kernels.fallbacks`, which
    the doctor lists where it runs in that process: `plugrad.cli.main(["doctor"])`.
    """

    def __init__(self, policy: Policy) -> None:
        global _policy
        if policy not in ("error", "warn", "allow"):
            raise ValueError(f'fallback: found {policy!r}: give "error", "warn" or "allow"')
        self._before, _policy = _policy, policy

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        global _policy
        _policy = self._before


def find(op: Any, backend: Backend) -> tuple[Kernel, Origin]:
    """The kernel of `op` and where it comes from; DeviceError where there is none, even on the host."""
    if isinstance(backend, SeveralDevices):
        found = {instance: find(op, instance) for instance in backend.instances.values()}
        return backend.dispatched(lambda instance: found[instance][0], op.name), next(iter(found.values()))[1]
    key = op.name, backend.device_type
    for kernels in reversed(chosen):
        if key in kernels:
            return _loaded(kernels[key]), "plugin"
    if defines(backend, op.name):
        return getattr(backend, op.name), "native"
    from .plugins.choice import own_kernel, sole_kernel

    own = own_kernel(plugins.installed(), *key)
    if own is not None:
        return _loaded(own), "plugin"
    if op.kernel_for is not None:
        made = op.kernel_for(backend)
        if made is not None:
            return made, "native"
    if hasattr(op.default, "kernels"):  # another op, whose kernel serves for this one, too
        return find(op.default, backend)
    one_kernel = op.kind == "elementwise" and not op.view  # of which a device may make one
    if op.default is not None:
        made = fusion.fused(backend, op.python_name, op.default, len(op.inputs)) if one_kernel else None
        return made or op.default, "composite"
    composite = getattr(backend, op.name, None)
    if composite is not None and op.name not in REQUIRED:
        return fusion.composite(backend, op.name, len(op.inputs)) if one_kernel else composite, "composite"
    sole = sole_kernel(plugins.installed(), *key)
    if sole is not None:
        return _loaded(sole), "plugin"
    host = _host(backend)
    if host is None:
        raise DeviceError(f"device {backend.device_type!r} has no kernel for {op.name!r}")
    try:
        kernel, _ = find(op, host)
    except DeviceError:
        raise DeviceError(
            f"device {backend.device_type!r} has no kernel for {op.name!r}, and neither has the host"
        ) from None
    return _on_host(op.name, kernel, backend), "host"


def writer(op: Any, backend: Backend) -> Kernel:
    """The kernel of `op` with one more argument, the array to write into; see `Backend.writer`."""
    if isinstance(backend, SeveralDevices):
        writers = {
            instance: instance.writer(find(op, instance)[0]) for instance in backend.instances.values()
        }
        return backend.dispatched(writers.__getitem__, op.name)
    return backend.writer(op.kernel(backend.array_type))


def lowering(composite: Any, backend: Backend) -> tuple[Any, Origin]:
    """What a device has for a composite, a kernel or a `Lowering`; None, and "composite", where its body serves."""
    if isinstance(backend, SeveralDevices):
        found = {instance: lowering(composite, instance) for instance in backend.instances.values()}
        one, origin = next(iter(found.values()))
        if not isinstance(one, Lowering):
            return one and backend.dispatched(lambda instance: found[instance][0], composite.name), origin
        forward = backend.dispatched(lambda instance: found[instance][0].forward, composite.name)
        return Lowering(forward, backend.dispatched(lambda instance: found[instance][0].vjp)), origin
    key = composite.name, backend.device_type
    for kernels in reversed(chosen):
        if key in kernels:
            return _loaded(kernels[key]), "plugin"
    if defines(backend, composite.name):
        return getattr(backend, composite.name), "native"
    from .plugins.choice import own_kernel

    own = own_kernel(plugins.installed(), *key)
    return (None, "composite") if own is None else (_loaded(own), "plugin")


def origin(op: Any, backend: Backend) -> Origin:
    """Where the kernel of an op or composite comes from; what is neither is computed by the ops that it calls."""
    if hasattr(op, "body"):
        return lowering(op, backend)[1]
    return find(op, backend)[1] if hasattr(op, "kernels") else "composite"


def _loaded(spec: plugins.KernelSpec) -> Kernel:
    kernel: Any = plugins.load(spec)
    if not callable(kernel) and not isinstance(kernel, Lowering):
        raise PluginError(f"{spec.what}: {spec.target!r} is {kernel!r}: name a function of raw arrays")
    return kernel


def _host(backend: Backend) -> Backend | None:
    from .backend import for_device

    return None if backend.device_type == "cpu" else for_device("cpu")


def _on_host(name: str, kernel: Kernel, backend: Backend) -> Kernel:
    """`kernel`, NumPy's, on arrays of another library."""
    device = backend.device_name

    def there(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(map(there, value))
        return backend.to_numpy(value) if type(value) is backend.array_type else value

    def on_host(*args: Any) -> Any:
        if _policy == "error":
            raise DeviceError(
                f"device {device!r} has no kernel for {name!r}: plugrad.fallback('warn') computes it on the host with NumPy"
            )
        if _policy == "warn" and not fallbacks[device, name]:
            warnings.warn(f"{name!r} runs on the host: device {device!r} has no kernel for it", stacklevel=2)
        fallbacks[device, name] += 1
        y = kernel(*there(args))
        return [backend.from_numpy(e) for e in y] if isinstance(y, (list, tuple)) else backend.from_numpy(y)

    return on_host
