"""Memory shared with other libraries on a GPU: DLPack, CUDA's array interface and CuPy's own arrays, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("cupy")

import plugrad as torch
from plugrad.errors import InPlaceError

from . import strict_double as double


class Foreign:
    """An array of another library, as its protocols show it."""

    def __init__(self, values: Any) -> None:
        self._array = double.wrap(np.asarray(values, np.float32))
        self.shape = self._array.shape

    def numbers(self) -> list[float]:
        return double.host(self._array).tolist()


class WithDLPack(Foreign):
    def __dlpack__(self, **options: Any) -> Any:
        self.asked = options
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


class WithInterface(Foreign):
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self._array.__cuda_array_interface__


def _of_cupy(values: Any) -> Any:
    return double.wrap(np.asarray(values, np.float32))


SHARED = [(WithDLPack, torch.from_dlpack), (WithInterface, torch.as_tensor), (_of_cupy, torch.as_tensor)]


@pytest.mark.parametrize(("make", "take"), [*SHARED, (_of_cupy, torch.from_dlpack)])
def test_arrays_of_others_are_shared(cuda: str, make: Any, take: Any) -> None:
    array = make([1.0, 2.0, 3.0])
    with double.no_sync():
        x = take(array)
        x[0] = 7.0
    assert x.is_cuda and x.tolist() == [7, 2, 3]
    numbers = array.numbers() if isinstance(array, Foreign) else double.host(array).tolist()
    assert numbers == [7, 2, 3]
    w = torch.ones(3, device=cuda, requires_grad=True)
    y = (w * x).sum()
    with pytest.raises(InPlaceError, match=r"the memory is shared"):
        x += 1  # the graph needs it, and the memory cannot move
    y.backward()
    assert w.grad.tolist() == [7, 2, 3]


def test_dlpack_is_asked_in_the_order_of_the_current_stream(cuda: str) -> None:
    array = WithDLPack([1.0])
    torch.from_dlpack(array)
    assert array.asked["stream"] == 1  # the default stream
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.from_dlpack(array)
    assert array.asked["stream"] == side.cuda_stream


@pytest.mark.parametrize("make", [WithInterface, _of_cupy])
def test_tensor_copies_arrays_of_others(cuda: str, make: Any) -> None:
    array = make([1.0, 2.0])
    with double.no_sync():
        x = torch.tensor(array)
        y = torch.tensor(array, dtype=torch.float64, device="cuda", requires_grad=True)
        x += 5
    assert x.is_cuda and x.tolist() == [6, 7] and y.tolist() == [1, 2] and y.is_leaf
    assert torch.tensor(array, device="cpu").numpy().tolist() == [1, 2]
    assert torch.as_tensor(array, device="cpu", dtype=torch.float64).numpy().tolist() == [1, 2]


def test_tensors_are_shared_with_others(cuda: str) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device=cuda)
    assert x.__dlpack_device__() == (2, 0)
    y = double.DOUBLE.from_dlpack(x.T)
    assert y.strides == (4, 8) and y.data.ptr == x.data_ptr()
    x[0, 1] = 9
    assert double.host(y).tolist() == [[1, 3], [9, 4]]
    found = x.__cuda_array_interface__
    assert found["data"][0] == x.data_ptr() and found["shape"] == (2, 2)
    torch.ones(2, 2, device=cuda, requires_grad=True) * x  # a graph that nobody keeps
    x += 1
    assert found["data"][0] == x.data_ptr()
    kept = torch.ones(2, 2, device=cuda, requires_grad=True) * x
    with pytest.raises(InPlaceError, match=r"the memory is shared"):
        x += 1
    assert kept.requires_grad


def test_what_is_refused(cuda: str) -> None:
    x = torch.ones(2, device=cuda, requires_grad=True)
    with pytest.raises(BufferError, match="require gradient"):
        x.__dlpack__()
    with pytest.raises(RuntimeError, match="requires grad"):
        x.__cuda_array_interface__  # noqa: B018
    assert not hasattr(torch.ones(2), "__cuda_array_interface__")
    with pytest.raises(AttributeError, match="non-CUDA tensor type: the tensor is on cpu"):
        torch.ones(2).__cuda_array_interface__  # noqa: B018
    with pytest.raises(TypeError, match="expected an array with __dlpack__"):
        torch.from_dlpack([1.0])
    with pytest.raises(TypeError, match=r"can't convert cuda.* tensor to numpy"):
        x.detach().numpy()


def test_a_gradient_over_memory_of_others_is_copied(cuda: str) -> None:
    array = _of_cupy([5.0, 6.0])

    class Elsewhere(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return torch.from_dlpack(array)

    x = torch.ones(2, device=cuda, requires_grad=True)
    Elsewhere.apply(x).sum().backward()
    x.grad += 1
    assert x.grad.tolist() == [6, 7] and double.host(array).tolist() == [5, 6]
