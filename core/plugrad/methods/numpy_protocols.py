"""Beside NumPy: what `np.sin(t)`, `np.ones(3) * t`, `np.asarray(t)` and DLPack do with a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import creation, storage
from ..backend import for_device
from ..graph import Variable, wrap
from ..op import OPS

#: NumPy's ufuncs whose name differs from that of the op.
_OTHER_NAMES = {
    "power": "pow", "absolute": "abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arctan2": "atan2", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "true_divide": "divide",
    "conjugate": "conj", "invert": "bitwise_invert", "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift", "rint": "round",
}  # fmt: skip


class NumPyProtocols(Variable):
    """How other array libraries see a tensor."""

    __slots__ = ()

    __array_priority__ = 1000

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """The values for a NumPy function, sharing memory; refused for a tensor that requires grad."""
        values = self.numpy()
        if dtype is not None and values.dtype != dtype:
            if copy is False:
                raise ValueError(
                    f"__array__: {values.dtype} becomes {np.dtype(dtype)} only by a copy, which copy=False forbids"
                )
            return values.astype(dtype)
        return values.copy() if copy else values

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's ufuncs differentiate where plugrad has the op; others take what needs no gradient."""
        op = OPS.get(_OTHER_NAMES.get(ufunc.__name__, ufunc.__name__))
        if method == "__call__" and op is not None and not kwargs:
            return op.call(
                *(creation.tensor(x, device="cpu") if isinstance(x, np.ndarray) else x for x in inputs)
            )
        asked = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if any(isinstance(x, Variable) and x._edge is not None for x in (*inputs, *kwargs.values())):
            raise TypeError(
                f"{asked}{' with ' + ', '.join(kwargs) if kwargs else ''} does not differentiate: "
                "call .detach() first, or use plugrad's own function"
            )
        return _called(getattr(ufunc, method), asked, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions that are no ufuncs take tensors that need no gradient, as arrays over their memory."""
        return _called(func, f"np.{func.__name__}", args, kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        """A DLPack capsule over the memory of this tensor."""
        if self._edge is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return storage.of(self).lend(self._raw).__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        """The DLPack code of the device."""
        return self._raw.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """CUDA's array interface: other libraries share the memory of this tensor, which from now on never moves."""
        if not self.is_cuda:
            raise AttributeError(
                f"Can't get __cuda_array_interface__ on non-CUDA tensor type: the tensor is on {self.device}. "
                "Use tensor.cuda() to copy it to a GPU first."
            )
        if self._edge is not None:
            raise RuntimeError(
                "Can't get __cuda_array_interface__ on Variable that requires grad. If gradients aren't required, use "
                "var.detach() to get Variable that doesn't require grad."
            )
        storage.of(self).pinned = True
        return self._raw.__cuda_array_interface__


def _called(func: Any, asked: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """`func` on arrays over the memory of the tensors among its arguments."""
    out = kwargs.get("out")
    if any(isinstance(x, Variable) for x in (out if isinstance(out, tuple) else (out,))):
        raise TypeError(f"{asked}: out= cannot be a Tensor: use its .numpy(), or an in-place method")
    return func(*_arrays(args), **{name: _arrays(value) for name, value in kwargs.items()})


def _arrays(value: Any) -> Any:
    """`value` with arrays in place of tensors, also of those in lists and tuples."""
    if isinstance(value, Variable):
        return value.numpy()
    return type(value)(map(_arrays, value)) if type(value) in (list, tuple) else value


#: The device types of DLPack's codes; what is on page-locked host memory, or managed by CUDA, can be read in either place.
_DLPACK = {1: "cpu", 2: "cuda", 3: "cpu", 4: "opencl", 13: "cuda"}


def from_dlpack(ext_tensor: Any) -> Any:
    """A tensor over the memory of any array that speaks DLPack, on the device where it is."""
    if isinstance(ext_tensor, Variable):
        return ext_tensor.detach()
    if isinstance(ext_tensor, np.ndarray):
        return creation.from_numpy(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: expected an array with __dlpack__ and __dlpack_device__, found a {type(ext_tensor).__name__}"
        )
    code, index = map(int, ext_tensor.__dlpack_device__())
    kind = _DLPACK.get(code)
    if kind is None:
        raise BufferError(
            f"from_dlpack: the array is on a device of DLPack's type {code}, which plugrad does not know"
        )
    if kind == "cpu":
        return creation.from_numpy(np.from_dlpack(ext_tensor))
    backend = for_device(kind, index) if index else for_device(kind)
    shared = wrap(backend.from_dlpack(ext_tensor))
    storage.adopt(shared, ext_tensor)
    return shared
