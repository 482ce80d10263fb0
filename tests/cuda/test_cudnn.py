"""Convolutions by cuDNN: the graphs that it is given, executed by a cuDNN of NumPy's, through plugrad's tensors.

Where the real frontend can be imported, which needs no GPU, it is given the same graphs.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")

import plugrad as torch
from plugrad.backend import for_device
from plugrad.errors import DeviceError
from plugrad_backends.cupy.kernels import cudnn, members

from .fake_cudnn import FakeCudnn, cudnnGraphNotSupportedError, note, numerical_note, pygraph

F = torch.nn.functional
CPU = "cpu"


class Fake:
    """A `Cudnn` over the module of NumPy's, and what was asked of both."""

    def __init__(self) -> None:
        self.library, self.allocated = FakeCudnn(), []
        self.cudnn = cudnn.Cudnn(self.library, lambda: 7, self.allocate)

    def allocate(self, size: int) -> Any:
        memory = np.zeros(size, np.uint8)
        self.allocated.append(size)
        return SimpleNamespace(ptr=memory.ctypes.data, memory=memory)

    @property
    def executed(self) -> list[str]:
        return [g.name for g in self.library.graphs for _ in range(g.executed)]


@pytest.fixture
def fake(kernels_device: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """cuDNN on the device of `kernels_device`."""
    for name in ("PLUGRAD_CUDNN", "PLUGRAD_TF32"):
        monkeypatch.delenv(name, raising=False)
    made = Fake()
    monkeypatch.setattr(_device(kernels_device), "cudnn", lambda: made.cudnn)
    yield made


def _device(name: str) -> Any:
    backend: Any = for_device(name)
    return backend.convolution.__self__.device


def same(found: Any, expected: Any, tolerance: float = 1e-4) -> None:
    a, b = found.detach().cpu(), expected.detach()
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    a, b = a.to(torch.float32).numpy(), b.to(torch.float32).numpy()
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


def beside(
    device: str,
    function: Any,
    *given: Any,
    expected_by: str = CPU,
    twice: bool = True,
    tolerance: float = 1e-4,
) -> None:
    """A function and its gradients, to the second order, on the device and on the CPU."""
    results = []
    for where in (device, CPU):
        xs = [x.detach().to(where).requires_grad_() for x in given]
        y = function(*xs)
        first = torch.autograd.grad((y * y).sum(), xs, create_graph=twice)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), xs) if twice else ()
        results.append([y, *first, *second])
    for found, expected in zip(*results, strict=True):
        same(found, expected)


#: channels, outputs, size, kernel, options
CASES: dict[str, tuple[int, int, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1d": (3, 4, (9,), (3,), {"stride": 2, "padding": 1}),
    "1d in groups": (4, 6, (8,), (2,), {"groups": 2, "dilation": 3}),
    "2d": (2, 3, (6, 5), (3, 2), {}),
    "2d, odd strides": (2, 3, (9, 8), (3, 2), {"stride": (3, 2), "padding": (2, 1), "dilation": (1, 2)}),
    "2d, depthwise": (3, 6, (5, 5), (3, 3), {"groups": 3, "padding": 1}),
    "2d, padded unevenly": (2, 2, (5, 6), (2, 4), {"padding": "same"}),
    "2d, rows that nothing meets": (1, 1, (6, 6), (2, 2), {"stride": 3}),
    "3d": (2, 2, (4, 5, 4), (2, 3, 1), {"stride": (2, 1, 2), "padding": (1, 0, 1), "groups": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(fake: Fake, kernels_device: str, name: str) -> None:
    channels, outputs, size, kernel, options = CASES[name]
    function = getattr(F, f"conv{len(size)}d")
    x = torch.randn(2, channels, *size)
    w = torch.randn(outputs, channels // options.get("groups", 1), *kernel)
    b = torch.randn(outputs)
    beside(kernels_device, lambda x, w, b: function(x, w, b, **options), x, w, b)
    assert fake.executed[:1] == ["convolution"]
    assert set(fake.executed) == {"convolution", "convolution_transposed", "convolution_weight"}
    assert len(fake.library.graphs) == 3  # to the second order, too, it is these three


def test_transposed_convolutions(fake: Fake, kernels_device: str) -> None:
    x, w = torch.randn(2, 4, 3, 4), torch.randn(4, 3, 3, 2)
    options = {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2}
    beside(kernels_device, lambda x, w: F.conv_transpose2d(x, w, **options), x, w)
    assert fake.executed[0] == "convolution_transposed" and len(fake.library.graphs) == 3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("tf32", [False, True])
def test_plans_that_round_or_differ_from_run_to_run_are_not_used(
    fake: Fake, kernels_device: str, dtype: str, tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tf32:
        monkeypatch.setenv("PLUGRAD_TF32", "1")
    x, w, g = (torch.randn(*s) for s in ((2, 3, 5, 5), (4, 3, 3, 3), (2, 4, 5, 5)))
    found = []
    for where, kind in ((kernels_device, getattr(torch, dtype)), (CPU, torch.float32)):
        a, b, c = (t.to(where).to(kind).detach() for t in (x, w, g))
        y = F.conv2d(a.requires_grad_(), b.requires_grad_(), padding=1)
        found.append([t.to(torch.float32).cpu() for t in (y, *torch.autograd.grad(y, (a, b), c))])
    for one, other in zip(*found, strict=True):
        same(one, other, 2e-2 if dtype != "float32" else 1e-4)
    cores = tf32 or dtype != "float32"
    assert len(fake.library.graphs) == 3
    for graph in fake.library.graphs:
        assert graph.executed == 1
        assert graph.plans[0] == ((frozenset([note.TENSOR_CORE]), 256) if cores else (frozenset(), 0))
    assert fake.allocated == ([256] * 3 if cores else [])


def test_other_dtypes_are_not_asked_for(fake: Fake, kernels_device: str) -> None:
    x, w = torch.randn(2, 3, 5, 5, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    beside(kernels_device, lambda x, w: F.conv2d(x, w, padding=1), x, w)
    assert not fake.library.graphs


def test_operands_may_lie_anyhow(fake: Fake, kernels_device: str) -> None:
    x, w = torch.randn(3, 5, 7, 3), torch.randn(4, 3, 3, 3)
    last = x.to(kernels_device).permute(0, 3, 1, 2)
    same(F.conv2d(last[::2, :, ::2], w.to(kernels_device)), F.conv2d(x.permute(0, 3, 1, 2)[::2, :, ::2], w))
    y = torch.randn(2 * 3 * 5 * 5 + 1)
    at_odd_address = y.to(kernels_device)[1:].reshape(
        2, 3, 5, 5
    )  # as it lies, 4 bytes behind what cuDNN takes
    same(F.conv2d(at_odd_address, w.to(kernels_device)), F.conv2d(y[1:].reshape(2, 3, 5, 5), w))
    assert fake.executed == ["convolution"] * 2


def test_what_cudnn_refuses_is_computed_by_our_own_kernels_and_not_asked_again(
    fake: Fake, kernels_device: str
) -> None:
    fake.library.refuses = lambda g: cudnnGraphNotSupportedError("no") if g.name != "convolution" else None
    x, w = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3)
    for _ in range(2):
        beside(kernels_device, lambda x, w: F.conv2d(x, w, stride=2), x, w, twice=False)
    assert fake.executed == ["convolution"] * 2 and len(fake.library.graphs) == 3
    asked = cudnn.asked(
        "convolution_weight", "float32", (2, 3, 5, 5), (4, 3, 3, 3), None, (2, 2), ((0, 0),) * 2, (1, 1), 1
    )
    assert asked is not None and fake.cudnn.look_up(asked) == "no" and len(fake.library.graphs) == 3
    assert cudnn.REFUSED[-1] == (asked, "no")


def test_trouble_in_planning_is_told_once(fake: Fake, kernels_device: str) -> None:
    fake.library.refuses = lambda g: RuntimeError("CUDNN_STATUS_BAD_PARAM")
    x, w = torch.randn(2, 3, 5), torch.randn(4, 3, 2)
    with pytest.warns(
        RuntimeWarning, match=r"no plan for convolution of float32, image \[2, 3, 5\].*BAD_PARAM"
    ):
        found = F.conv1d(x.to(kernels_device), w.to(kernels_device))
    same(found, F.conv1d(x, w))
    same(F.conv1d(x.to(kernels_device), w.to(kernels_device)), F.conv1d(x, w))


def test_where_no_plan_may_be_used_there_is_none(
    fake: Fake, kernels_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = "NONDETERMINISTIC DOWN_CONVERT_INPUTS REDUCED_PRECISION_REDUCTION FFT WINOGRAD WINOGRAD_TILE_4x4 TENSOR_CORE"
    only = [(frozenset([numerical_note[name]]), 0) for name in never.split()]
    monkeypatch.setattr("tests.cuda.fake_cudnn.PLANS", only)
    x, w = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3)
    same(F.conv2d(x.to(kernels_device), w.to(kernels_device)), F.conv2d(x, w))
    assert not fake.executed and len(fake.library.graphs) == 1


def test_a_failing_execution_is_an_error(fake: Fake, kernels_device: str) -> None:
    fake.library.fails = RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")
    x, w = torch.randn(2, 3, 5, 5).to(kernels_device), torch.randn(4, 3, 3, 3).to(kernels_device)
    with pytest.raises(
        DeviceError,
        match=r"cuDNN failed in convolution of float32, image \[2, 3, 5, 5\], weight \[4, 3, 3, 3\], result \[2, 4, 3, 3\], "
        r".*CUDNN_STATUS_EXECUTION_FAILED: set PLUGRAD_CUDNN=0",
    ):
        F.conv2d(x, w)


def test_graphs_are_kept_and_bounded(
    fake: Fake, kernels_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cudnn, "GRAPHS", 2)
    fake.cudnn = cudnn.Cudnn(fake.library, lambda: 7, fake.allocate)
    w = torch.randn(4, 3, 2).to(kernels_device)
    xs = [torch.randn(2, 3, n).to(kernels_device) for n in (5, 6, 7)]
    for x, built in [(xs[0], 1), (xs[0], 1), (xs[1], 2), (xs[0], 2), (xs[2], 3), (xs[0], 3), (xs[1], 4)]:
        F.conv1d(x, w)
        assert len(fake.library.graphs) == built


def test_a_network_trains_as_on_the_cpu(fake: Fake, kernels_device: str) -> None:
    losses: dict[str, list[float]] = {}
    for where in (CPU, kernels_device):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 3, stride=2), torch.nn.Flatten()
        )  # fmt: skip
        net, x, labels = (
            net.to(where),
            torch.randn(5, 1, 8, 8).to(where),
            torch.randint(0, 10, (5,)).to(where),
        )
        steps, losses[where] = torch.optim.SGD(net.parameters(), lr=0.1), []
        for _ in range(3):
            steps.zero_grad()
            loss = F.cross_entropy(net(x), labels)
            loss.backward()
            steps.step()
            losses[where].append(loss.item())
    np.testing.assert_allclose(losses[kernels_device], losses[CPU], rtol=1e-4)
    assert len(fake.library.graphs) == 5 and len(fake.executed) == 15  # the first image needs no gradient


# --- what is asked for --------------------------------------------------------------------------------------------------

PLAIN = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)


@pytest.mark.parametrize(
    ("dtype", "image", "weight", "result", "where"),
    [
        ("float64", (2, 3, 5, 5), (4, 3, 3, 3), None, PLAIN),
        ("complex64", (2, 3, 5, 5), (4, 3, 3, 3), None, PLAIN),
        ("float32", (2, 4, 5, 5), (4, 3, 3, 3), None, PLAIN),  # channels
        ("float32", (2, 6, 5, 5), (3, 3, 3, 3), None, (*PLAIN[:3], 2)),  # outputs in groups
        ("float32", (2, 3, 5, 5), (4, 3, 3, 3), (2, 4, 4, 3), PLAIN),  # the result's size
        ("float32", (2, 3, 5, 5), (4, 3, 3, 3), (1, 4, 3, 3), PLAIN),  # the number of images
        ("float32", (0, 3, 5, 5), (4, 3, 3, 3), None, PLAIN),
        ("float32", (2, 3, 2, 5), (4, 3, 3, 3), None, PLAIN),  # no window
        ("float32", (2, 3, 5, 5), (4, 3, 3, 3), None, ((1, 1), ((-1, 0), (0, 0)), (1, 1), 1)),
        ("float32", (3, 5, 5), (4, 3, 3, 3), None, PLAIN),
        ("float32", (1, 1, 3, 3, 3, 3), (1, 1, 1, 1, 1, 1), None, ((1,) * 4, ((0, 0),) * 4, (1,) * 4, 1)),
    ],
)
def test_what_cudnn_is_not_asked_for(dtype: str, image: Any, weight: Any, result: Any, where: Any) -> None:
    assert cudnn.asked("convolution", dtype, image, weight, result, *where) is None


def test_errors_are_those_of_our_own_kernels(fake: Fake, kernels_device: str) -> None:
    texts = []
    for where in (CPU, kernels_device):
        with pytest.raises(RuntimeError) as caught:
            F.conv2d(torch.ones(2, 3, 5, 5).to(where), torch.ones(4, 2, 3, 3).to(where))
        texts.append(str(caught.value))
    assert texts[0] == texts[1] and not fake.library.graphs


# --- finding it -----------------------------------------------------------------------------------------------------------


def test_the_switch_and_one_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [0]
    runtime = SimpleNamespace(getDevice=lambda: current[0])
    device = members.Device(
        SimpleNamespace(ndarray=object, argsort=None, cuda=SimpleNamespace(runtime=runtime))
    )
    found: list[Any] = []
    monkeypatch.setattr(cudnn, "find", lambda: found.append(object()) or found[-1])
    monkeypatch.setenv("PLUGRAD_CUDNN", "0")
    assert device.cudnn() is None and not found
    monkeypatch.delenv("PLUGRAD_CUDNN")
    assert device.cudnn() is device.cudnn() is found[0]
    current[0] = 1
    assert device.cudnn() is found[1] and len(found) == 2
    monkeypatch.setenv("PLUGRAD_CUDNN", "0")
    assert device.cudnn() is None


def test_a_package_that_is_missing_is_none_and_one_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *[p for p in sys.path if "cudnn_target" not in p]])
    monkeypatch.delitem(sys.modules, "cudnn", raising=False)
    if not (found := cudnn.importlib.util.find_spec("cudnn")):  # type: ignore[attr-defined]
        assert cudnn.find() is None
    assert found is None or "site-packages" in str(found.origin)
    (tmp_path / "cudnn.py").write_text("def create_handle():\n    raise RuntimeError('no libcudnn.so.9')\n")
    cudnn.importlib.invalidate_caches()  # type: ignore[attr-defined]
    with pytest.warns(
        RuntimeWarning, match=r"does not start.*no libcudnn.so.9: pip install \"plugrad\[cudnn\]\""
    ):
        assert cudnn.find() is None
    sys.modules.pop("cudnn")


# --- the real frontend ------------------------------------------------------------------------------------------------------


@pytest.fixture
def real() -> Any:
    return pytest.importorskip("cudnn", reason="nvidia-cudnn-frontend is not installed")


def convolutions() -> list[cudnn.Convolution]:
    found = []
    for op in ("convolution", "convolution_transposed", "convolution_weight"):
        for dtype in cudnn.DTYPES:
            for image, weight, *where in [
                ((2, 4, 9), (6, 2, 3), (2,), ((1, 2),), (3,), 2),
                ((2, 3, 9, 8), (4, 3, 3, 2), (3, 2), ((2, 2), (0, 1)), (1, 2), 1),
                ((2, 4, 4, 5, 4), (2, 2, 2, 3, 1), (2, 1, 2), ((1, 1), (0, 0), (1, 0)), (1, 1, 1), 2),
            ]:
                c = cudnn.asked(op, dtype, image, weight, None, *where)  # type: ignore[arg-type]
                assert c is not None
                found.append(c)
    return found


def properties(graph: Any) -> Any:
    (node,) = graph.nodes
    tensors = {
        port: (t.uid, list(t.dim), list(t.stride), t.data_type.name, t.is_virtual)
        for port, t in node.inputs.items()
    }
    (y,) = node.outputs.values()
    made = y.uid, list(y.dim), list(y.stride), y.data_type.name, y.is_virtual
    return tensors, made, dict(node.params), node.compute_data_type.name


@pytest.mark.parametrize("c", convolutions(), ids=lambda c: f"{c.op}-{c.dtype}-{len(c.stride)}d")
def test_the_real_frontend_is_told_the_same(real: Any, c: cudnn.Convolution) -> None:
    assert properties(cudnn.describe(real, None, c)) == properties(cudnn.describe(FakeCudnn(), None, c))


def test_what_graphs_tell() -> None:
    c = cudnn.asked("convolution_transposed", "float16", (2, 4, 9), (6, 2, 3), None, (2,), ((1, 2),), (3,), 2)
    assert c is not None
    assert properties(cudnn.describe(FakeCudnn(), None, c)) == (
        {
            "loss": (1, [2, 6, 1, 3], [18, 3, 3, 1], "HALF", False),
            "filter": (2, [6, 2, 1, 3], [6, 3, 3, 1], "HALF", False),
        },
        (3, [2, 4, 1, 9], [36, 9, 9, 1], "HALF", False),
        {"pre_padding": [0, 1], "post_padding": [0, 2], "stride": [1, 2], "dilation": [1, 3]},
        "FLOAT",
    )


def test_the_fake_has_the_names_and_signatures_of_the_real_one(real: Any) -> None:
    for enum in ("data_type", "heur_mode", "numerical_note"):
        for member in getattr(FakeCudnn, enum):
            assert hasattr(getattr(real, enum), member.name)
    assert issubclass(real.cudnnGraphNotSupportedError, Exception)
    pairs = [(pygraph.__init__, real.pygraph.__init__)]
    pairs += [
        (getattr(pygraph, n), getattr(real.pygraph, n))
        for n in (*pygraph.STEPS, "tensor", "conv_fprop", "conv_dgrad", "conv_wgrad")
    ]
    pairs += [(getattr(FakeCudnn, n), getattr(real, n)) for n in ("create_handle", "set_stream")]
    pairs += [
        (getattr(type(FakeCudnn().pygraph(*[None] * 2, *[FakeCudnn.data_type.FLOAT] * 2).tensor((1,), (1,))), n),
         getattr(real.Tensor, n))
        for n in ("set_output", "set_data_type", "set_dim", "set_stride", "set_uid")
    ]  # fmt: skip
    for ours, theirs in pairs:
        names = [p for p in inspect.signature(ours).parameters if p != "self"]
        known = [p for p in inspect.signature(theirs).parameters if p != "self"]
        assert [p for p in known if p in names] == names, ours
    # addresses are taken as integers, the workspace's, too
    assert real._pybind_module.read_buffer_extent(4096) is None


def test_the_real_cudnn_has_plans(real: Any) -> None:
    """For GPUs that are described to it: of all convolutions here, except in bfloat16 where a GPU has none."""
    command = [sys.executable, "-m", "tests.cuda.cudnn_without_gpu"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300)
    if ran.returncode == 77:
        pytest.skip(ran.stdout.strip().splitlines()[-1])
    assert ran.returncode == 0, ran.stderr[-3000:]
    planned = dict(re.findall(r"(?m)^(.+): planned (\S+), number \d+, \d+ bytes$", ran.stdout))
    refused = re.findall(r"(?m)^(.+): refused", ran.stdout)
    assert refused and all(line.startswith("sm_75 bfloat16") for line in refused)
    assert len(planned) + len(refused) == 5 * 4 * 9 * 3
    tf32 = "sm_90 float32 TF32 3×3 convolution"
    assert planned[tf32] != planned[tf32.replace("TF32 ", "")]  # other plans where float32 may be rounded
