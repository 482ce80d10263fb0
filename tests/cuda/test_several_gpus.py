"""Several GPUs: the double refuses a kernel whose operands are not on the current GPU, as CuPy would run it on the wrong one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cupy")

import plugrad as torch
from plugrad.errors import DeviceError
from plugrad.testing import Conformance
from plugrad_backends.cupy.backend import CuPyBackend

from . import strict_double as double


@pytest.fixture
def gpus(cuda: str) -> int:
    """Three GPUs, of which 0 is the current one."""
    double.STATE.devices = 3
    return 3


def test_tensors_stay_where_they_are(gpus: int) -> None:
    assert torch.cuda.device_count() == 3
    x = torch.tensor([1.0, 2.0], device="cuda:1", requires_grad=True)
    y = torch.tensor([3.0, 4.0], device="cuda:2")
    assert (str(x.device), y.get_device(), x.is_cuda) == ("cuda:1", 2, True)
    ((x * x + 1 / x).exp().log() @ torch.ones(2, device="cuda:1")).backward()
    assert str(x.grad.device) == "cuda:1"
    np.testing.assert_allclose(x.grad.tolist(), [1.0, 3.75], rtol=1e-6)
    assert torch.cuda.current_device() == 0 and double.STATE.current == 0
    with pytest.raises(DeviceError, match=r"tensors on 'cuda:1' and 'cuda:2': move one with \.to\("):
        x + y
    with pytest.raises(
        DeviceError, match=r"'cuda:3' is not there: the driver sees 3 GPUs, 'cuda:0' … cuda:2"
    ):
        torch.ones(1, device="cuda:3")


def test_a_model_learns_on_any_gpu_while_another_one_is_current(gpus: int) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.GELU(), torch.nn.Linear(8, 3)
    ).to("cuda:2")
    steps = torch.optim.Adam(net.parameters(), lr=0.05)
    x, target = torch.randn(6, 4).to("cuda:2"), torch.tensor([0, 1, 2, 0, 1, 2], device="cuda:2")
    losses = []
    for current in (0, 1, 2, 0, 1):
        torch.cuda.set_device(current)
        with double.no_sync():
            steps.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), target)
            loss.backward()
            steps.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert {str(p.grad.device) for p in net.parameters()} == {"cuda:2"}


def test_the_current_gpu(gpus: int) -> None:
    with torch.cuda.device(1):
        assert torch.cuda.current_device() == 1 and str(torch.ones(1, device="cuda").device) == "cuda:1"
        with torch.cuda.device_of(torch.ones(1, device="cuda:2")):
            assert str(torch.ones(1).cuda().device) == "cuda:2"
        with torch.cuda.device_of(torch.ones(1)):
            assert torch.cuda.current_device() == 1
    assert str(torch.ones(1, device="cuda").device) == "cuda:0"
    torch.cuda.set_device("cuda:2")
    assert str(torch.zeros(1, device="cuda").device) == "cuda:2"
    side = torch.cuda.Stream(1)
    with torch.cuda.stream(side):
        assert torch.cuda.current_device() == 1 and torch.cuda.current_stream() == side
    assert torch.cuda.current_device() == 2 and torch.cuda.current_stream() != side


def test_from_gpu_to_gpu_without_the_host(gpus: int) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda:1", requires_grad=True)
    with double.no_sync():
        y = x.T.to("cuda:2") * 2
        y.sum().backward()
    assert str(y.device) == "cuda:2" and y.tolist() == [[2, 6], [4, 8]]
    assert str(x.grad.device) == "cuda:1" and x.grad.tolist() == [[2, 2], [2, 2]]
    assert x.to("cuda:1") is x and x.cuda(0).cpu().tolist() == x.tolist()


def test_arrays_of_others_keep_their_gpu(gpus: int) -> None:
    double.STATE.current = 2
    array = double.wrap(np.ones(2, np.float32))
    double.STATE.current = 0
    for take in (torch.as_tensor, torch.from_dlpack, torch.tensor):
        x = take(array)
        assert str(x.device) == "cuda:2", take
        assert (x + 1).tolist() == [2, 2]


def test_random_numbers_and_indices(gpus: int) -> None:
    torch.cuda.manual_seed_all(3)
    x = torch.rand(4, device="cuda:1")
    assert torch.equal(x.cpu(), torch.rand(4, device="cuda:2").cpu()) and x.get_device() == 1
    y = x[torch.tensor([7], device="cuda:1")]
    with pytest.raises(IndexError, match="index 7 is out of bounds for dimension 0 with size 4"):
        y.tolist()
    z = torch.zeros(3, device="cuda:2")
    z[1:] += 1
    z[z > 0] = 5
    assert z.tolist() == [0, 5, 5]


def test_stride_and_view_logic_of_the_real_arrays(gpus: int) -> None:
    x = torch.arange(6.0, device="cuda:1").reshape(2, 3)
    v = x.T[1:]
    v[0] = 9
    assert (
        x.tolist() == [[0, 9, 2], [3, 9, 5]] and v.stride() == (1, 3) and type(v._raw).__name__ == "Array_1"
    )
    w = x.detach().requires_grad_()
    y = (w * w).sum()
    with torch.no_grad():
        w += 1
    y.backward()
    assert w.grad.tolist() == [[0, 18, 4], [6, 18, 10]]


def test_kernels_that_a_backend_makes_compute_on_its_gpu(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What plugrad's own kernels do on a real GPU: fused functions, C statements, random numbers."""
    where: list[int] = []

    def seen(x: Any) -> Any:
        where.append(double.STATE.current)
        return x

    class Stream:
        initial_seed = 7

        def uniform(self, shape: Any, dtype: Any, *limits: Any) -> Any:
            return seen(double.new(shape, dtype))

    backend = CuPyBackend
    made = {
        "fused": lambda self, name, function, inputs: lambda *args, out=None: seen(args[0].copy()),
        "elementwise_kernel": lambda self, *asked: lambda *args: seen(args[0].copy()),
        "stream": lambda self, algorithm, seed: Stream() if algorithm == "philox" else None,
    }
    for name, member in made.items():
        monkeypatch.setattr(backend, name, member, raising=False)
    on_two = torch.device("cuda:2").backend
    x = on_two.zeros((3,), torch.float32)
    for y in (
        on_two.fused("f", None, 1)(x),
        on_two.elementwise_kernel("k", "", [], [])(x),
        on_two.stream("philox", 7).uniform((3,), np.float32),
    ):
        assert type(y) is on_two.array_type and y.data.device_id == 2
    assert where == [2, 2, 2] and double.STATE.current == 0
    assert on_two.stream("philox", 7).initial_seed == 7 and on_two.stream("mt19937", 7) is None


def test_threads_have_a_current_gpu_each(gpus: int) -> None:
    inside, asked = threading.Event(), threading.Event()
    answers: list[Any] = []

    def work() -> None:
        with torch.cuda.device(1):
            inside.set()
            asked.wait(10)
            answers.append(str(torch.ones(1, device="cuda").device))

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(10)
    answers.append(str(torch.ones(1, device="cuda").device))
    asked.set()
    thread.join()
    assert answers == ["cuda:0", "cuda:1"]


class TestSecondGPU(Conformance):
    """The whole kit on a GPU that is not the current one."""

    device, plugins = "cuda:1", ("tests.cuda.double_plugin:SeveralPlugin",)


def test_kernels_that_are_made_compute_on_their_gpu(gpus: int) -> None:
    """One call, and many together, while another GPU is current."""
    from plugrad.backend import for_device

    backend: Any = for_device("cuda", 2)
    current: list[int] = []

    class Kernel:
        def __call__(self, x: Any) -> Any:
            current.append(double.STATE.current)
            return x

        def many(self, calls: Any, rest: Any) -> bool:
            current.append(double.STATE.current)
            return True

    x = torch.ones(2, device="cuda:2")._raw
    made = backend._made_on(2, lambda *asked: Kernel())("name")
    assert made(x) is x and made.many([((x,), (x,))], ()) is True
    assert current == [2, 2] and double.STATE.current == 0
    plain = backend._made_on(2, lambda *asked: lambda x: x)("name")
    assert not hasattr(plain, "many") and backend._made_on(2, lambda *asked: None)() is None
