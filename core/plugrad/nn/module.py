"""`Module`: a part of a model, which knows its parameters, buffers and submodules by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..device import device as Device
from ..dtypes import dtype as Dtype
from ..modes import no_grad
from ..tensor import Tensor
from .members import Members
from .state import IncompatibleKeys, load

if TYPE_CHECKING:
    from typing import Self


class Module(Members):
    """The base of every layer and model: `__init__` makes the parts, `forward` computes with them.

    Parameters, submodules and registered buffers are found by assigning them to attributes.

    >>> import plugrad as torch
    >>> class Double(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = torch.nn.Parameter(torch.tensor(2.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> double = Double()
    >>> [name for name, _ in double.named_parameters()], double(torch.ones(2)).tolist()
    (['factor'], [2.0, 2.0])
    """

    training: bool
    _forward_pre_hooks: dict[Handle, Callable[..., Any]]
    _forward_hooks: dict[Handle, Callable[..., Any]]

    def __init__(self) -> None:
        super().__init__()
        self.training, self._forward_pre_hooks, self._forward_hooks = True, {}, {}

    # --- computing ------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, between the hooks."""
        if not (self._forward_pre_hooks or self._forward_hooks):
            return self.forward(*args, **kwargs)
        for hook in list(self._forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments."""
        return Handle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the output."""
        return Handle(self._forward_hooks, hook)

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` with every module below this one, then with this one; returns the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # --- saved state ----------------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The parameters and persistent buffers by dotted name, sharing the memory of the module.

        They are outside the graph unless `keep_vars`.
        """
        found: dict[str, Any] = OrderedDict() if destination is None else destination
        for path, module in self.named_modules(remove_duplicate=False):
            dotted = prefix + (path + "." if path else "")
            buffers = (b for b in module._buffers.items() if b[0] not in module._non_persistent_buffers_set)
            for name, tensor in chain(module._parameters.items(), buffers):
                if tensor is not None:
                    found[dotted + name] = tensor if keep_vars else tensor.detach()
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy tensors or arrays by name into parameters and buffers; returns the names that did not match.

        RuntimeError where a shape differs and, if `strict`, where a name is missing or unknown. Nothing is
        copied then.
        """
        return load(type(self).__name__, self.state_dict(keep_vars=True), state_dict, strict)

    # --- modes, dtypes, devices -----------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Put the module and all below it into training mode, or out of it; returns the module."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, found {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """`train(False)`: dropout and the like do nothing."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say whether the parameters are trained; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, or make them zero."""
        clear_gradients(self.parameters(), set_to_none)

    def to(self, *args: Any, non_blocking: bool = False, **kwargs: Any) -> Self:
        """Move to a device, convert to a floating-point dtype, or both; returns the module itself.

        Takes `(device)`, `(dtype)`, `(device, dtype)` or `(tensor)`. Integer buffers keep their dtype.
        `non_blocking` is that of `Tensor.to`.
        """
        device, dtype = _destination(*args, **kwargs)
        return self._apply(
            lambda t: t.to(
                device=device,
                dtype=dtype if t.dtype.category >= dtypes.FLOAT else None,
                non_blocking=non_blocking,
            )
        )

    def float(self) -> Self:
        """Convert to float32."""
        return self.to(dtypes.float32)

    def double(self) -> Self:
        """Convert to float64."""
        return self.to(dtypes.float64)

    def half(self) -> Self:
        """Convert to float16."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Self:
        """Convert to bfloat16."""
        return self.to(dtypes.bfloat16)

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Move to a CUDA device, the current one unless given as a number, a string or a device."""
        return self.to(
            Device("cuda", device) if device is None or isinstance(device, int) else Device(device)
        )

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Replace the values of parameters and buffers; optimizers hold the parameters, so these stay."""
        with no_grad():
            for module in self.modules():
                for parameter in module._parameters.values():
                    if parameter is not None:
                        grad, parameter.grad = parameter.grad, None
                        parameter.data = fn(parameter.data)
                        parameter.grad = None if grad is None else fn(grad)
                for name, buffer in module._buffers.items():
                    module._buffers[name] = None if buffer is None else fn(buffer)
        return self

    # --- text -----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses of the repr; subclasses define it."""
        return ""

    def __repr__(self) -> str:
        own = self.extra_repr()
        children = [f"({name}): {module!r}" for name, module in self._modules.items()]
        return layout(type(self).__name__, own.split("\n") if own else [], children)


def layout(name: str, own: list[str], children: list[str]) -> str:
    """The repr of a module: on one line where there is no more than one line of its own to show."""
    if not children and len(own) <= 1:
        return f"{name}({''.join(own)})"
    lines = "\n".join([*own, *children]).replace("\n", "\n  ")
    return f"{name}(\n  {lines}\n)"


class Handle:
    """What registering a hook returns: `remove()` takes the hook away; as a context manager, at its end."""

    def __init__(self, hooks: dict[Handle, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        """Take the hook away; once is enough."""
        self._hooks.pop(self, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def clear_gradients(parameters: Any, set_to_none: bool) -> None:
    """Forget the gradients of parameters, or make them zeros outside any graph."""
    for p in parameters:
        if p.grad is None:
            continue
        if set_to_none:
            p.grad = None
        elif p.grad.requires_grad:
            p.grad = p.grad.detach() * 0
        else:
            p.grad.zero_()


def _destination(*args: Any, device: Any = None, dtype: Dtype | None = None) -> tuple[Any, Dtype | None]:
    """The device and the dtype that the arguments of `Module.to` name; None where they name none."""
    for value in args:
        if isinstance(value, Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, Dtype):
            dtype = value
        elif value is not None:
            device = Device(value)
    if dtype is not None and dtype.category < dtypes.FLOAT:
        raise TypeError(
            f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
        )
    return device, dtype
