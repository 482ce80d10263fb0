"""Several devices of one type, with an array type each, and with one for all."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import backend as backends
from plugrad import plugins
from plugrad.backend import BY_ARRAY, Backend, backend_of, for_array, for_device
from plugrad.errors import DeviceError
from plugrad.plugins import BackendSpec, hookimpl, registry
from plugrad.testing import conformance
from tests import several_devices
from tests.fake_backend import FakeBackend
from tests.several_devices import SeveralBackend, SharedBackend

KINDS = ("typed", "shared")


@pytest.fixture(params=KINDS)
def kind(request: Any) -> str:
    several_devices.enter()
    return request.param


def test_the_type_alone_names_the_current_device(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert for_device(kind) is for_device(kind, 0)
    assert torch.ones(1, device=kind).device == torch.device(f"{kind}:0") != torch.device(kind)
    monkeypatch.setattr(backends, "_by_device", dict(backends._by_device))
    backends.make_current(for_device(kind, 2))
    assert for_device(kind) is for_device(kind, 2)
    assert str(torch.ones(1, device=kind).device) == f"{kind}:2"
    assert str(torch.device(kind).resolved()) == f"{kind}:2"


def test_what_a_tensor_says_of_its_place(kind: str) -> None:
    x = torch.ones(2, device=torch.device(kind, 1))
    assert (str(x.device), x.get_device(), x.is_cpu, x.is_cuda) == (f"{kind}:1", 1, False, False)
    assert repr(x) == f"tensor([1., 1.], device='{kind}:1')"
    assert (torch.ones(1).get_device(), torch.ones(1).is_cpu, str(torch.ones(1, device="cpu:0").device)) == (
        -1,
        True,
        "cpu",
    )
    assert for_device("cpu", 0) is for_device("cpu")


def test_to(kind: str) -> None:
    x = torch.tensor([1.0, 2.0], device=f"{kind}:0", requires_grad=True)
    assert x.to(kind) is x and x.to(f"{kind}:0") is x and x.to(torch.device(kind, 0), torch.float32) is x
    y = x.to(f"{kind}:1")
    assert str(y.device) == f"{kind}:1" and y.tolist() == [1, 2] and y.to(x).device == x.device
    (y * y).sum().backward()
    assert str(x.grad.device) == f"{kind}:0" and x.grad.tolist() == [2, 4]
    z = y.detach().to(f"{kind}:2", torch.float64)
    assert (str(z.device), z.dtype, str(z.cpu().device)) == (f"{kind}:2", torch.float64, "cpu")
    with torch.no_grad():
        y.mul_(10)
    assert x.tolist() == [1, 2]


def test_forward_mode_and_second_order_across_devices(kind: str) -> None:
    def f(x: Any) -> Any:
        return (x.to(f"{kind}:1").sin() * 2).to(f"{kind}:2").square()

    x = torch.tensor([0.5], device=kind)
    wanted = torch.func.jacrev(lambda x: (x.sin() * 2).square())(torch.tensor([0.5]))
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        found = jacobian(f)(x)
        assert torch.allclose(found.cpu(), wanted)
    assert torch.autograd.gradcheck(f, (x.double().requires_grad_(),))
    assert torch.autograd.gradgradcheck(f, (x.double().requires_grad_(),))


@pytest.mark.parametrize(
    "make",
    [
        lambda d: torch.zeros(2, device=d),
        lambda d: torch.empty(2, device=d),
        lambda d: torch.full((2,), 3.0, device=d),
        lambda d: torch.tensor([1, 2], device=d),
        lambda d: torch.as_tensor(np.ones(2), device=d),
        lambda d: torch.arange(2, device=d),
        lambda d: torch.linspace(0, 1, 2, device=d),
        lambda d: torch.eye(2, device=d),
        lambda d: torch.rand(2, device=d),
        lambda d: torch.randperm(2, device=d),
        lambda d: torch.ones_like(torch.ones(2, device=d)),
        lambda d: torch.randn_like(torch.ones(2, device=d)),
        lambda d: torch.ones(2, device=d).new_zeros(2),
        lambda d: torch.ones(2).to(d),
        lambda d: torch.ones(2, 2, device=d).nonzero(),
        lambda d: torch.ones(2, 2, device=d)[torch.tensor([0, 1])],
        lambda d: torch.nn.functional.one_hot(torch.tensor([0, 1], device=d)),
        lambda d: torch.nn.functional.conv2d(
            torch.ones(1, 1, 3, 3, device=d), torch.ones(1, 1, 2, 2, device=d)
        ),
        lambda d: torch.nn.functional.max_pool2d(torch.ones(1, 1, 4, 4, device=d), 2),
        lambda d: torch.nn.functional.avg_pool2d(torch.ones(1, 1, 4, 4, device=d), 3, padding=1),
        lambda d: torch.nn.functional.dropout(torch.ones(3, device=d)),
        lambda d: torch.nn.Linear(2, 2, device=d).weight,
        lambda d: torch.nn.Linear(2, 2).to(d).bias,
        lambda d: torch.ones(2, 2, device=d).softmax(0).sort().values,
        lambda d: copy.deepcopy(torch.ones(2, device=d)),
        lambda d: pickle.loads(pickle.dumps(torch.ones(2, device=d))),
        lambda d: torch.func.vmap(lambda x: x + 1)(torch.ones(2, device=d)),
        lambda d: torch.func.jacrev(lambda x: x.sin())(torch.ones(2, device=d)),
        lambda d: torch.func.hessian(lambda x: (x**3).sum())(torch.ones(2, device=d)),
    ],
)
@pytest.mark.parametrize("index", [0, 2])
def test_everything_new_is_where_it_belongs(kind: str, index: int, make: Any) -> None:
    x = make(f"{kind}:{index}")
    assert str(x.device) == f"{kind}:{index}"
    assert backend_of(x._raw) is for_device(kind, index)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b,
        lambda a, b: b * a.double(),
        lambda a, b: a @ b,
        lambda a, b: torch.cat([a, b]),
        lambda a, b: torch.stack([b, a]),
        lambda a, b: torch.where(a > 0, a, b),
        lambda a, b: a.add_(b),
        lambda a, b: torch.addmm(a, a, b),
        lambda a, b: torch.nn.functional.mse_loss(a, b),
        lambda a, b: torch.func.vmap(lambda x: x + b)(a),
        lambda a, b: a.requires_grad_().mul(2).mul_(b),
        lambda a, b: a.index_add(0, torch.tensor([0, 1], device=a.device), b),
        lambda a, b: torch.gather(a, 0, b.long()),
        lambda a, b: a.masked_fill(b > 0, 1.0),
        lambda a, b: a[b > 0],
        lambda a, b: a.scatter_add(0, torch.zeros(2, 2, dtype=torch.int64, device=a.device), b),
        lambda a, b: torch.nn.functional.nll_loss(a, b[0].long()),
        lambda a, b: torch.nn.functional.nll_loss(a, a[0].long(), weight=b[0]),
        lambda a, b: a[0].long().bincount(b[0]),
        lambda a, b: torch.nn.functional.embedding(a.long(), b),
    ],
)
def test_operands_on_two_devices(kind: str, mix: Any) -> None:
    a, b = torch.ones(2, 2, device=f"{kind}:1"), torch.ones(2, 2, device=f"{kind}:2")
    with pytest.raises(
        (DeviceError, RuntimeError), match=rf"{kind}:[12]'? and '?{kind}:[12]|same device.*{kind}:[12]"
    ):
        mix(a, b)


def test_copies_between_devices(kind: str) -> None:
    a, b = torch.zeros(2, 2, device=f"{kind}:1"), torch.ones(2, 2, device=f"{kind}:2", requires_grad=True)
    a.copy_(b)
    a[0] = b[0] * 2
    a.sum().backward()
    assert a.tolist() == [[2, 2], [1, 1]] and b.grad.tolist() == [[2, 2], [1, 1]]
    assert str(b.grad.device) == f"{kind}:2"
    assert a[torch.tensor([1, 0])].tolist() == [[1, 1], [2, 2]]  # indices may be on the CPU
    with pytest.raises(DeviceError, match=rf"indices should be .* \({kind}:1\), found {kind}:2: move them"):
        a[torch.tensor([1, 0], device=f"{kind}:2")]


def test_gradients_that_are_elsewhere(kind: str) -> None:
    x = torch.ones(2, device=f"{kind}:1", requires_grad=True)
    elsewhere = torch.ones(2, device=f"{kind}:2")
    with pytest.raises(
        DeviceError, match=rf"output\[0\] is on '{kind}:1' and grad_output\[0\] on '{kind}:2': move it"
    ):
        (x * 2).backward(elsewhere)
    with pytest.raises(
        RuntimeError, match=rf"assigned grad has device {kind}:2, but the tensor has device {kind}:1"
    ):
        x.grad = elsewhere
    x.register_hook(lambda g: elsewhere)
    with pytest.raises(
        RuntimeError, match=rf"has changed the type of value: .*on '{kind}:1', .*on '{kind}:2'"
    ):
        (x * 2).sum().backward()


def test_a_saved_tensor_that_comes_back_elsewhere(kind: str) -> None:
    x = torch.ones(2, device=f"{kind}:1", requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.to(f"{kind}:2"), lambda t: t):
        y = x.exp().sum()
    with pytest.raises(
        RuntimeError, match=rf"another device than .* on '{kind}:2', expected \[2\] on '{kind}:1'"
    ):
        y.backward()
    with torch.autograd.graph.save_on_cpu():
        y = x.exp().sum()
    y.backward()
    assert str(x.grad.device) == f"{kind}:1"


def test_the_default_device(kind: str) -> None:
    torch.set_default_device(f"{kind}:1")
    try:
        assert str(torch.ones(1).device) == str(torch.get_default_device()) == f"{kind}:1"
        torch.set_default_device(kind)
        assert str(torch.rand(1).device) == str(torch.get_default_device()) == f"{kind}:0"
    finally:
        torch.set_default_device(None)


def test_a_model_trains_where_it_is_moved(kind: str) -> None:
    def trained(device: str) -> list[float]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 2, 2),
            torch.nn.Tanh(),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8, 3),
        )
        x, target = torch.randn(4, 1, 3, 3), torch.tensor([0, 1, 2, 1])
        model, x, target = model.to(device), x.to(device), target.to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        state = pickle.loads(pickle.dumps((model.state_dict(), optimizer.state_dict())))
        assert all(v.device == x.device for v in state[0].values())
        optimizer.load_state_dict(state[1])
        return losses

    assert trained(f"{kind}:1") == pytest.approx(trained("cpu"), rel=1e-5)


def test_an_array_of_the_library_finds_its_device(kind: str) -> None:
    raw = for_device(kind, 2).from_numpy(np.ones(2))
    assert for_array(raw) is for_device(kind, 2)
    assert str(torch.as_tensor(raw).device) == f"{kind}:2"


def test_an_array_of_a_device_that_nobody_has_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "BY_ARRAY", dict(BY_ARRAY))
    monkeypatch.setattr(backends, "_by_device", dict(backends._by_device))
    for index in range(several_devices.COUNT):
        backends._by_device.pop(("shared", index), None)
    backends.BY_ARRAY.pop(several_devices.SharedArray, None)
    record = plugins.register(several_devices.SeveralPlugin())
    try:
        found = for_array(several_devices.place_of(np.ones(2), 1))
        assert found is for_device("shared", 1) and found.device_name == "shared:1"
    finally:
        registry.REGISTRY._stages["by hand"].remove(record)


@pytest.mark.parametrize("device", ["typed:1", "shared:1"])
def test_the_kit_passes_on_a_second_device(device: str) -> None:
    several_devices.enter()
    record = plugins.register(several_devices.SeveralPlugin())
    try:
        wanted = [
            "declaration:*",
            "layout:*",
            "primitive:*",
            "op:argsort",
            "op:*pool*",
            "op:conv*",
            "op:in*",
            "model:*",
            "cap*",
        ]
        report = conformance(device, only=wanted, isolated=False)
        assert report.ok, report.failures
    finally:
        registry.REGISTRY._stages["by hand"].remove(record)


# --- what a backend must not do --------------------------------------------------------------------------------


class OneOnly(FakeBackend):
    device_type = "one_only"


class NoTypes(SeveralBackend):
    """Two devices, one type, and nothing that tells them apart."""

    device_type, array_type = "no_types", type("NoTypesArray", (several_devices.TypedArray,), {})


class OtherIndex(SeveralBackend):
    device_type, array_type = "other_index", type("OtherIndexArray", (several_devices.TypedArray,), {})

    def __init__(self, index: int | None = None) -> None:
        super().__init__(index)
        self.index = 7


class NoArrays(SeveralBackend):
    device_type = "no_arrays"

    def __getattribute__(self, name: str) -> Any:
        if name == "array_type":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def __init__(self, index: int | None = None) -> None:
        Backend.__init__(self, index)


class AnothersArrays(SeveralBackend):
    device_type, array_type = "anothers", several_devices.SharedArray


class AsksTheCpu(FakeBackend):
    """Its constructor asks for another device, in several threads."""

    device_type, array_type = "asks", type("AskingArray", (several_devices.TypedArray,), {})

    def __init__(self, index: int | None = None) -> None:
        ready.set()
        reading.wait(5)
        for_device("cpu")
        torch.ones(1)
        plugins.find_backend("shared")
        super().__init__(index)


ready, reading = threading.Event(), threading.Event()


@pytest.fixture
def faults() -> Iterator[None]:
    class Plugin:
        @hookimpl
        def plugrad_backends(self) -> list[BackendSpec]:
            classes = (OneOnly, NoTypes, OtherIndex, NoArrays, AnothersArrays, AsksTheCpu)
            return [BackendSpec(c.device_type, f"{__name__}:{c.__name__}") for c in classes]

    OneOnly.array_type = type("OneOnlyArray", (several_devices.TypedArray,), {})
    several_devices.enter()
    records = [plugins.register(Plugin()), plugins.register(several_devices.SeveralPlugin())]
    yield
    for record in records:
        registry.REGISTRY._stages["by hand"].remove(record)


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("one_only:1", "device 'one_only:1' is not there: there is one, 'one_only', unless OneOnly defines locate, which says"),
        ("typed:3", "device 'typed:3' is not there: there are 3"),
        ("no_types:1", "device 'no_types:1': its arrays are of type NoTypesArray, as are those of device 'no_types:0': NoTypes "
                       "must define index_of, or give each device a type of its own"),
        ("other_index:1", r"device 'other_index:1': OtherIndex\(1\).index is 7: the two must be the same"),
        ("no_arrays", "device 'no_arrays': NoArrays lacks array_type"),
        ("anothers", "device 'anothers:0': its arrays are of type SharedArray, which belongs to device 'shared' already"),
    ],
)  # fmt: skip
def test_backends_that_are_refused(faults: None, device: str, text: str) -> None:
    if device.startswith("no_types"):
        for_device("no_types", 0)
    before = dict(BY_ARRAY)
    with pytest.raises(DeviceError, match=text):
        torch.ones(1, device=device)
    assert before == BY_ARRAY
    assert str((torch.ones(1, device="shared:1") * 2).device) == "shared:1"


def test_the_only_device_has_no_number(faults: None) -> None:
    assert for_device("one_only", 0) is for_device("one_only")
    assert str(torch.ones(1, device="one_only:0").device) == "one_only"


def test_a_constructor_may_ask_for_devices_while_a_plugin_does(faults: None) -> None:
    """Two threads, each of which holds what the other one is about to ask for: neither may wait for ever."""
    found: list[Any] = []

    class Asking:
        @hookimpl
        def plugrad_backends(self) -> list[BackendSpec]:
            ready.wait(5)  # the constructor has begun; the registry's lock is held by this thread
            reading.set()
            found.append(torch.ones(1, device="one_only"))
            found.append(str(torch.ones(1, device="asks").device))
            return []

    thread = threading.Thread(target=lambda: found.append(for_device("asks")), daemon=True)
    thread.start()
    record = plugins.register(Asking())
    thread.join(10)
    registry.REGISTRY._stages["by hand"].remove(record)
    assert not thread.is_alive() and len(found) == 3
    assert for_device("asks") in found


def test_a_device_alone_is_served_by_its_backend_itself() -> None:
    """What several devices cost, one does not."""
    assert type(BY_ARRAY[np.ndarray]) is type(for_device("cpu"))
    several_devices.enter()
    assert isinstance(for_device("shared", 1), SharedBackend)
    kernel = torch.ops.exp.kernel(for_device("typed", 1).array_type)
    assert kernel is for_device("typed", 1).exp
