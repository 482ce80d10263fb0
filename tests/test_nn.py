"""Modules, their functions, losses and starting values; the numbers are PyTorch's."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.nn.functional as F
from plugrad import nn


class Net(nn.Module):
    """A module with every kind of member."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(3, 1, bias=False))
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("cache", torch.zeros(2), persistent=False)
        self.plain = 5

    def forward(self, x: Any) -> Any:
        return self.rest(self.first(x)) * self.scale


# --- members ------------------------------------------------------------------------------------------------


def test_members_are_found_by_assignment() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "first.bias", "rest.1.weight"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_buffers(prefix="net")] == ["net.count", "net.cache"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]
    assert list(net.modules())[3] is net.rest[0]
    assert net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight
    assert {"first", "scale", "count", "plain", "forward"} <= set(dir(net))
    assert net.rest[1].bias is None


def test_shared_members_are_listed_once_but_saved_under_each_name() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    net[1].weight = net[0].weight
    net.again = net[0]
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert "again.weight" in net.state_dict() and len(list(net.children())) == 2


def test_assignment_replaces_and_deletes() -> None:
    net = Net()
    net.first = nn.Identity()
    net.scale = None
    net.count = torch.tensor(3)
    assert net.scale is None and [n for n, _ in net.named_parameters()] == ["rest.1.weight"]
    del net.first, net.count
    assert not hasattr(net, "first") and "count" not in dict(net.named_buffers())
    net.plain = nn.Parameter(torch.ones(1))
    assert "plain" not in vars(net) and "plain" in net._parameters


MEMBER_ERRORS = [
    (lambda n: setattr(n, "scale", 3), TypeError,
     r"cannot assign 'int' as parameter 'scale' \(torch.nn.Parameter or None"),
    (lambda n: setattr(n, "scale", torch.ones(1)), TypeError, "cannot assign 'Tensor' as parameter 'scale'"),
    (lambda n: setattr(n, "first", 3), TypeError, "cannot assign 'int' as child module 'first'"),
    (lambda n: setattr(n, "count", 3), TypeError, "cannot assign 'int' as buffer 'count'"),
    (lambda n: n.register_buffer("b", 3), TypeError, "cannot assign 'int' as buffer 'b'"),
    (lambda n: n.register_buffer("plain", None), KeyError, "attribute 'plain' already exists"),
    (lambda n: n.register_parameter("a.b", None), KeyError, "parameter name can't contain a dot"),
    (lambda n: n.register_parameter("", None), KeyError, "can't be an empty string"),
    (lambda n: n.register_parameter("p", torch.ones(1)), TypeError,
     "cannot assign 'Tensor' as parameter 'p'"),
    (lambda n: n.add_module("m", 3), TypeError, "int is not a Module subclass"),
    (lambda n: n.missing, AttributeError, "'Net' object has no attribute 'missing'"),
    (lambda n: n.get_submodule("rest.7"), AttributeError, "Sequential has no submodule '7'"),
    (lambda n: n.get_parameter("first.x"), AttributeError, "Linear has no parameter 'x'"),
    (lambda n: n.train("yes"), ValueError, "training mode is expected to be boolean"),
    (lambda n: n.to(torch.int64), TypeError,
     "only accepts floating point or complex dtypes, but got desired dtype=torch.int64"),
    (lambda n: nn.Module()(1), NotImplementedError,
     r'Module \[Module\] is missing the required "forward" function'),
    (lambda n: n.load_state_dict([1]), TypeError, "Expected state_dict to be dict-like"),
    (lambda n: nn.Parameter([1.0]), TypeError, "data must be a Tensor, not list"),
    (lambda n: nn.Parameter(torch.tensor(1)), RuntimeError,
     "only Tensors of floating point and complex dtype"),
    (lambda n: nn.Dropout(1.5), ValueError, "dropout probability has to be between 0 and 1, but got 1.5"),
    (lambda n: n.rest[2], IndexError, "index 2 is out of range: the Sequential holds 2 modules"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "text"), MEMBER_ERRORS)
def test_member_errors(act: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        act(Net())


def test_a_module_without_super_init_says_so() -> None:
    class Forgetful(nn.Module):
        def __init__(self, member: Any) -> None:
            self.member = member

    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call"):
        Forgetful(nn.Parameter(torch.ones(1)))
    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first"):
        Forgetful(1)(2)


# --- state --------------------------------------------------------------------------------------------------


def test_state_dict_round_trip() -> None:
    one, two = Net(), Net()
    state = one.state_dict()
    assert list(state) == ["scale", "count", "first.weight", "first.bias", "rest.1.weight"]
    assert not state["scale"].requires_grad and one.state_dict(keep_vars=True)["scale"] is one.scale
    assert list(one.first.state_dict(prefix="a.")) == ["a.weight", "a.bias"]
    assert repr(two.load_state_dict(state)) == "<All keys matched successfully>"
    x = torch.randn(4, 2)
    np.testing.assert_array_equal(one(x).detach().numpy(), two(x).detach().numpy())
    two.scale.data.fill_(7)
    assert one.scale.item() == 2.0


def test_state_dict_shares_memory_and_takes_arrays() -> None:
    net = nn.Linear(1, 1)
    net.state_dict()["weight"].fill_(3)
    assert net.weight.item() == 3
    net.load_state_dict({"weight": np.array([[4.0]]), "bias": torch.tensor([5.0], dtype=torch.float64)})
    assert net(torch.ones(1)).item() == 9 and net.bias.dtype == torch.float32


def test_load_state_dict_says_everything_that_does_not_fit_and_copies_nothing() -> None:
    net = nn.Linear(2, 1)
    before = net.weight.tolist()
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict({"weight": torch.zeros(1, 3), "other": torch.zeros(1)})
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Linear:\n"
        '\tMissing key(s) in state_dict: "bias". \n'
        '\tUnexpected key(s) in state_dict: "other". \n'
        "\tsize mismatch for weight: copying a param with shape torch.Size([1, 3]) from checkpoint, "
        "the shape in current model is torch.Size([1, 2])."
    )
    with pytest.raises(RuntimeError, match="expected a Tensor or an array, found <class 'int'>"):
        net.load_state_dict({"weight": 3}, strict=False)
    keys = net.load_state_dict({"other": torch.zeros(1)}, strict=False)
    assert keys.missing_keys == ["weight", "bias"] and keys.unexpected_keys == ["other"]
    assert net.weight.tolist() == before


def test_modes_reach_all_modules() -> None:
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_conversion_keeps_the_parameters_and_integer_buffers() -> None:
    net = Net()
    scale = net.scale
    net(torch.ones(1, 2)).sum().backward()
    assert net.double() is net and net.scale is scale
    assert {p.dtype for p in net.parameters()} == {torch.float64} == {p.grad.dtype for p in net.parameters()}
    assert net.count.dtype == torch.int64 and net.cache.dtype == torch.float64
    net.zero_grad()
    net(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
    assert scale.grad.dtype == torch.float64
    assert net.to("cpu", torch.float32).scale.dtype == torch.float32
    assert net.to(torch.zeros(1, dtype=torch.float64)).scale.dtype == torch.float64
    assert net.half().scale.dtype == torch.float16 and net.float().cpu().scale.dtype == torch.float32


def test_zero_grad() -> None:
    layer = nn.Linear(1, 1)
    layer(torch.ones(1)).backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.item() == 0
    layer.zero_grad()
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copies_are_independent(copied: Any) -> None:
    net = Net()
    twin = copied(net)
    x = torch.ones(1, 2)
    assert repr(twin) == repr(net) and twin(x).item() == net(x).item()
    twin(x).backward()
    assert net.scale.grad is None and isinstance(twin.scale, nn.Parameter) and twin.scale.grad is not None


def test_hooks_and_apply() -> None:
    net, seen = nn.Sequential(nn.Identity(), nn.Identity()), []
    before = net.register_forward_pre_hook(lambda m, args: args[0] + 1)
    with net.register_forward_hook(lambda m, args, y: y * 10):
        assert net(torch.tensor(1.0)).item() == 20
    assert net(torch.tensor(1.0)).item() == 2
    before.remove()
    before.remove()
    assert net(torch.tensor(1.0)).item() == 1
    assert net.apply(seen.append) is net and seen == [net[0], net[1], net]


def test_parameter() -> None:
    data = torch.ones(2)
    p = nn.Parameter(data)
    assert isinstance(p, torch.Tensor) and p.is_leaf and p.requires_grad
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    data[0] = 5
    assert p.tolist() == [5, 1] and type(p * 2) is torch.Tensor
    assert not nn.Parameter(
        torch.tensor([1]), requires_grad=False
    ).requires_grad and nn.Parameter().shape == (0,)


# --- containers and text ------------------------------------------------------------------------------------


def test_containers() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    row = nn.Sequential(a, b)
    assert list(row) == [a, b] and row[-1] is b and len(row) == 2 and row[:1][0] is a
    assert list(row.append(c)) == [a, b, c] and list(row + nn.Sequential(a)) == [a, b, c, a]
    del row[0]
    assert list(row._modules) == ["0", "1"] and list(row.insert(0, a)) == [a, b, c]
    row[1] = c
    assert list(row) == [a, c, c]
    assert list(nn.Sequential({"x": a, "y": b})._modules) == ["x", "y"]

    several = nn.ModuleList([a, b])
    several += [c]
    assert several.pop(0) is a and list(several) == [b, c] and isinstance(several[:1], nn.ModuleList)
    named = nn.ModuleDict({"a": a, "b": b})
    named["c"] = c
    assert named.pop("a") is a and list(named) == ["b", "c"] and "b" in named and len(named) == 2
    assert (
        list(named.keys()) == ["b", "c"] and list(named.values()) == [b, c] and dict(named.items())["c"] is c
    )
    named.clear()
    assert len(named) == 0


class Wordy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(1, 2)

    def extra_repr(self) -> str:
        return "a=1\nb=2"


REPRS = {
    "Sequential()": lambda nn: nn.Sequential(),
    "ModuleList(\n  (0-1): 2 x Tanh()\n  (2): ReLU()\n)": lambda nn: nn.ModuleList(
        [nn.Tanh(), nn.Tanh(), nn.ReLU()]
    ),
    "ModuleList()": lambda nn: nn.ModuleList(),
    "ModuleDict(\n  (a): Dropout(p=0.1, inplace=False)\n  (b): Sequential(\n    (0): Tanh()\n  )\n)": (
        lambda nn: nn.ModuleDict({"a": nn.Dropout(0.1), "b": nn.Sequential(nn.Tanh())})
    ),
    "Linear(in_features=3, out_features=4, bias=False)": lambda nn: nn.Linear(3, 4, bias=False),
    "Identity()": lambda nn: nn.Identity(3, x=4),
    "Flatten(start_dim=1, end_dim=-1)": lambda nn: nn.Flatten(),
    "Unflatten(dim=1, unflattened_size=(2, 3))": lambda nn: nn.Unflatten(1, (2, 3)),
    "ReLU()": lambda nn: nn.ReLU(),
    "ReLU(inplace=True)": lambda nn: nn.ReLU(inplace=True),
    "ReLU6()": lambda nn: nn.ReLU6(),
    "LeakyReLU(negative_slope=0.01)": lambda nn: nn.LeakyReLU(),
    "ELU(alpha=1.0, inplace=True)": lambda nn: nn.ELU(inplace=True),
    "Hardtanh(min_val=-1.0, max_val=1.0)": lambda nn: nn.Hardtanh(),
    "Softplus(beta=1.0, threshold=20.0)": lambda nn: nn.Softplus(),
    "GELU(approximate='none')": lambda nn: nn.GELU(),
    "SiLU()": lambda nn: nn.SiLU(),
    "Softmax(dim=-1)": lambda nn: nn.Softmax(-1),
    "LogSoftmax(dim=None)": lambda nn: nn.LogSoftmax(),
    "LogSigmoid()": lambda nn: nn.LogSigmoid(),
    "Softsign()": lambda nn: nn.Softsign(),
    "MSELoss()": lambda nn: nn.MSELoss(reduction="sum"),
    "CrossEntropyLoss()": lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1),
}


@pytest.mark.parametrize("text", REPRS, ids=lambda text: text.split("\n")[0])
def test_repr(text: str) -> None:
    assert repr(REPRS[text](nn)) == text
    assert repr(REPRS[text](pytest.importorskip("torch").nn)) == text


def test_repr_of_one_s_own_lines_before_the_children() -> None:
    assert (
        repr(Wordy())
        == "Wordy(\n  a=1\n  b=2\n  (inner): Linear(in_features=1, out_features=2, bias=True)\n)"
    )


# --- starting values: PyTorch's for the same seed -----------------------------------------------------------

INITS = [
    ("uniform_", {"a": -1.0, "b": 1.0}, [0.515263, -0.441378, -0.193861, 0.469369, -0.941437, 0.599717]),
    ("normal_", {"mean": 1.0, "std": 2.0}, [2.322704, 1.533848, 1.123355, 2.242635, 0.096188, 0.66774]),
    ("trunc_normal_", {"std": 2.0, "a": -1.0, "b": 1.0},
     [-0.391019, 0.533848, 0.123355, 0.534634, -0.903812, -0.33226]),
    ("constant_", {"val": 0.3}, [0.3] * 6),
    ("ones_", {}, [1.0] * 6),
    ("zeros_", {}, [0.0] * 6),
    ("eye_", {}, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
    ("xavier_uniform_", {}, [0.564443, -0.483506, -0.212365, 0.514168, -1.031292, 0.656957]),
    ("xavier_normal_", {"gain": 2.0}, [0.836552, 0.337635, 0.078016, 0.785911, -0.571621, -0.21014]),
    ("kaiming_uniform_", {"nonlinearity": "relu"},
     [0.728692, -0.624203, -0.274162, 0.663788, -1.331393, 0.848128]),
    ("kaiming_normal_", {"mode": "fan_out"}, [0.661352, 0.266924, 0.061677, 0.621317, -0.451906, -0.16613]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "expected"), INITS, ids=[row[0] for row in INITS])
def test_init(name: str, options: dict[str, float], expected: list[float]) -> None:
    torch.manual_seed(1)
    weight = nn.Parameter(torch.empty(2, 3))
    assert getattr(nn.init, name)(weight, **options) is weight and weight.requires_grad
    np.testing.assert_allclose(weight.detach().numpy().ravel(), expected, rtol=2e-5, atol=1e-6)


def test_linear_starts_as_in_pytorch() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    expected = [-0.0043225, 0.3097158, -0.4751853, -0.4248946, -0.222369, 0.1548207]
    np.testing.assert_allclose(layer.weight.detach().numpy().ravel(), expected, atol=1e-6)
    np.testing.assert_allclose(layer.bias.detach().numpy(), [-0.0114391, 0.4577749], atol=1e-6)


def test_networks_of_one_seed_equal_pytorch_s() -> None:
    oracle = pytest.importorskip("torch")

    def made(torch: Any) -> list[np.ndarray]:
        torch.manual_seed(3)
        net = torch.nn.Sequential(torch.nn.Linear(17, 40), torch.nn.ReLU(), torch.nn.Linear(40, 3))
        return [p.detach().numpy() for p in net.parameters()]

    for ours, theirs in zip(made(torch), made(oracle), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_gains_and_fans() -> None:
    assert nn.init.calculate_gain("relu") == math.sqrt(2) and nn.init.calculate_gain("tanh") == 5 / 3
    assert nn.init.fans(torch.empty(2, 3, 5)) == (15, 10)


INIT_ERRORS = [
    (lambda: nn.init.calculate_gain("nope"), "Unsupported nonlinearity nope: choose one of"),
    (lambda: nn.init.calculate_gain("leaky_relu", True), "negative_slope True not a valid number"),
    (lambda: nn.init.eye_(torch.empty(2)), "Only tensors with 2 dimensions are supported, found 1"),
    (lambda: nn.init.xavier_uniform_(torch.empty(2)), "Fan in and fan out can not be computed"),
    (lambda: nn.init.kaiming_uniform_(torch.empty(2, 2), mode="x"), "Mode x not supported"),
    (lambda: nn.init.trunc_normal_(torch.empty(2), a=3.0, b=4.0), "widen the interval"),
]


@pytest.mark.parametrize(("act", "text"), INIT_ERRORS)
def test_init_errors(act: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        act()


# --- functions ----------------------------------------------------------------------------------------------


def test_linear() -> None:
    weight, bias = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([1.0, 0.0, -1.0])
    for x, expected in (
        ([[1.0, 1.0]], [[4.0, 7.0, 10.0]]),
        ([1.0, 1.0], [4.0, 7.0, 10.0]),
        ([[[1.0, 0.0]], [[0.0, 1.0]]], [[[2.0, 3.0, 4.0]], [[3.0, 4.0, 5.0]]]),
    ):
        assert F.linear(torch.tensor(x), weight, bias).tolist() == expected
        assert (F.linear(torch.tensor(x), weight) + bias).tolist() == expected
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(1x3 and 2x3\)"):
        F.linear(torch.ones(1, 3), weight, bias)
    y = nn.Linear(2, 3)(torch.ones(4, 2))
    assert y.grad_fn.name() == "AddmmBackward0"
    assert [f.name() for f, _ in y.grad_fn.next_functions if f] == [
        "torch::autograd::AccumulateGrad",
        "TBackward0",
    ]


def test_dropout() -> None:
    torch.manual_seed(2)
    x = torch.arange(1.0, 9.0)
    found = F.dropout(x, 0.25)
    np.testing.assert_allclose(found.numpy(), [0, 8 / 3, 4, 16 / 3, 0, 8, 28 / 3, 32 / 3], rtol=1e-6)
    layer = nn.Dropout(0.5)
    assert layer.eval()(x) is x and F.dropout(x, 0.0) is x and F.dropout(x, 1.0).tolist() == [0.0] * 8
    x.requires_grad_()
    torch.manual_seed(2)
    F.dropout(x, 0.25).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.where(found.numpy() > 0, 4 / 3, 0), rtol=1e-6)


def test_one_hot_and_normalize() -> None:
    assert F.one_hot(torch.tensor([[2], [0]]), 4).tolist() == [[[0, 0, 1, 0]], [[1, 0, 0, 0]]]
    assert F.one_hot(torch.tensor([], dtype=torch.int64), 2).shape == (0, 2)
    for args, text in (
        (([2], 2), "must be smaller than num_classes, found 2 of 2"),
        (([-1],), "must be non-negative, found -1"),
        (([0.5],), "expected class indices of dtype torch.int64, found torch.float32"),
        (([],), "expected class indices of dtype"),
    ):
        with pytest.raises(RuntimeError, match=text):
            F.one_hot(torch.tensor(args[0]), *args[1:])
    np.testing.assert_allclose(
        F.normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).numpy(), [[0.6, 0.8], [0, 0]], rtol=1e-6
    )


ACTIVATIONS = {  # module, function, and the value at -1 and 2
    "ReLU": (F.relu, [0.0, 2.0]),
    "ReLU6": (F.relu6, [0.0, 2.0]),
    "LeakyReLU": (F.leaky_relu, [-0.01, 2.0]),
    "ELU": (F.elu, [-0.632121, 2.0]),
    "Hardtanh": (F.hardtanh, [-1.0, 1.0]),
    "Sigmoid": (F.sigmoid, [0.268941, 0.880797]),
    "LogSigmoid": (F.logsigmoid, [-1.313262, -0.126928]),
    "Tanh": (F.tanh, [-0.761594, 0.964028]),
    "Softsign": (F.softsign, [-0.5, 0.666667]),
    "SiLU": (F.silu, [-0.268941, 1.761594]),
    "GELU": (F.gelu, [-0.158655, 1.9545]),
    "Softplus": (F.softplus, [0.313262, 2.126928]),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    function, expected = ACTIVATIONS[name]
    x = torch.tensor([-1.0, 2.0])
    for y in (function(x), getattr(nn, name)()(x)):
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5)
    assert x.tolist() == [-1.0, 2.0]


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float16, 19.0), (torch.float32, 900.0)])
def test_softplus_of_numbers_whose_exponential_overflows(dtype: torch.dtype, largest: float) -> None:
    x = torch.tensor([largest, -largest], dtype=dtype)
    assert F.softplus(x, threshold=1000.0).tolist() == [largest, F.softplus(x[1:]).item()]


@pytest.mark.parametrize("name", ["relu", "relu6", "hardtanh", "leaky_relu", "elu", "silu"])
@pytest.mark.parametrize("graph", [False, True])
def test_activations_in_place(name: str, graph: bool) -> None:
    values = [-2.0, -0.5, 0.5, 8.0]
    results = []
    for inplace in (False, True):
        x = torch.tensor(values, requires_grad=graph)
        h = x * 1
        y = getattr(F, name)(h, inplace=inplace)
        assert (y is h) == inplace
        if graph:
            (y * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
        results.append(
            [y.tolist(), h.tolist() if inplace else y.tolist(), x.grad.tolist() if graph else None]
        )
    assert results[0] == results[1]
    module = {c.__name__.lower(): c for c in (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.ELU, nn.SiLU)}
    h = torch.tensor(values)
    assert module[name.replace("_", "")](inplace=True)(h) is h and h.tolist() == results[0][0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(F, name)(torch.tensor(values, requires_grad=True), inplace=True)


def test_activations_with_an_underscore_write() -> None:
    for f in (F.relu_, F.hardtanh_, F.leaky_relu_, F.elu_):
        h = torch.tensor([-2.0, 3.0])
        assert f(h) is h and h.tolist() == getattr(F, f.__name__[:-1])(torch.tensor([-2.0, 3.0])).tolist()


def test_dropout_in_place() -> None:
    for p in (0.5, 1.0):
        h = torch.ones(100)
        torch.manual_seed(0)
        assert F.dropout(h, p, inplace=True) is h
        torch.manual_seed(0)
        assert h.tolist() == F.dropout(torch.ones(100), p).tolist()


def test_activations_pass_their_options_on() -> None:
    x = torch.tensor([-1.0, 2.0])
    for module, expected in (
        (nn.LeakyReLU(0.5), [-0.5, 2.0]),
        (nn.ELU(2.0), [-1.264241, 2.0]),
        (nn.Hardtanh(-0.5, 1.5), [-0.5, 1.5]),
        (nn.GELU("tanh"), [-0.158808, 1.954598]),
        (nn.Softplus(2.0), [0.063464, 2.009075]),
        (nn.Softmax(0), [0.047426, 0.952574]),
        (nn.LogSoftmax(-1), [-3.048587, -0.048587]),
    ):
        np.testing.assert_allclose(module(x).numpy(), expected, rtol=1e-5)
    with pytest.raises(RuntimeError, match="must be either none or tanh, found 'x'"):
        F.gelu(x, "x")
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax has been deprecated"):
        assert F.softmax(torch.zeros(1, 2)).tolist() == [[0.5, 0.5]]
    assert F.softmax(x, 0, dtype=torch.float64).dtype == torch.float64


# --- losses -------------------------------------------------------------------------------------------------

X, CLASSES = [[1.0, -2.0, 0.5], [0.25, 3.0, -1.5]], [2, 0]
PROBABILITIES, WEIGHTS = [[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]], [0.5, 1.0, 2.0]
SMOOTH: dict[str, Any] = {"label_smoothing": 0.1}
ENTROPIES: list[tuple[Any, dict[str, Any], Any]] = [
    (CLASSES, {}, 1.913476),
    (CLASSES, {"weight": WEIGHTS}, 1.3681486),
    (CLASSES, {"ignore_index": 0}, 1.0045969),
    (CLASSES, {**SMOOTH}, 1.9301426),
    (CLASSES, {**SMOOTH, "weight": WEIGHTS}, 1.4499248),
    (CLASSES, {**SMOOTH, "weight": WEIGHTS, "ignore_index": 0}, 1.0002388),
    (CLASSES, {"reduction": "sum"}, 3.826952),
    (CLASSES, {"weight": WEIGHTS, "reduction": "sum"}, 3.4203715),
    (CLASSES, {"ignore_index": 0, "reduction": "sum"}, 1.0045969),
    (CLASSES, {**SMOOTH, "reduction": "sum"}, 3.8602853),
    (CLASSES, {**SMOOTH, "weight": WEIGHTS, "reduction": "sum"}, 3.6248121),
    (CLASSES, {**SMOOTH, "weight": WEIGHTS, "ignore_index": 0, "reduction": "sum"}, 2.0004776),
    (CLASSES, {"reduction": "none"}, [1.0045969, 2.822355]),
    (CLASSES, {"weight": WEIGHTS, "reduction": "none"}, [2.0091939, 1.4111775]),
    (CLASSES, {"ignore_index": 0, "reduction": "none"}, [1.0045969, 0.0]),
    (CLASSES, {**SMOOTH, "reduction": "none"}, [1.0712637, 2.7890215]),
    (CLASSES, {**SMOOTH, "weight": WEIGHTS, "reduction": "none"}, [2.0004776, 1.6243345]),
    (CLASSES, {**SMOOTH, "weight": WEIGHTS, "ignore_index": 0, "reduction": "none"}, [2.0004776, 0.0]),
    (PROBABILITIES, {}, 1.6884761),
    (PROBABILITIES, {"weight": WEIGHTS}, 1.4910423),
    (PROBABILITIES, {**SMOOTH}, 1.7276428),
    (PROBABILITIES, {**SMOOTH, "weight": WEIGHTS}, 1.6151768),
    (PROBABILITIES, {"reduction": "sum"}, 3.3769522),
    (PROBABILITIES, {"weight": WEIGHTS, "reduction": "sum"}, 2.9820845),
    (PROBABILITIES, {**SMOOTH, "reduction": "sum"}, 3.4552855),
    (PROBABILITIES, {**SMOOTH, "weight": WEIGHTS, "reduction": "sum"}, 3.2303536),
    (PROBABILITIES, {"reduction": "none"}, [1.6545969, 1.7223551]),
    (PROBABILITIES, {"weight": WEIGHTS, "reduction": "none"}, [2.1064358, 0.8756486]),
    (PROBABILITIES, {**SMOOTH, "reduction": "none"}, [1.6562636, 1.7990218]),
    (PROBABILITIES, {**SMOOTH, "weight": WEIGHTS, "reduction": "none"}, [2.0879951, 1.1423584]),
]  # fmt: skip


@pytest.mark.parametrize(("target", "options", "expected"), ENTROPIES)
def test_cross_entropy(target: Any, options: dict[str, Any], expected: Any) -> None:
    options = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    x, target = torch.tensor(X, requires_grad=True), torch.tensor(target)
    for loss in (F.cross_entropy(x, target, **options), nn.CrossEntropyLoss(**options)(x, target)):
        np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-5)
    if not target.is_floating_point() and "label_smoothing" not in options:
        np.testing.assert_allclose(
            F.nll_loss(x.log_softmax(1), target, **options).detach().numpy(), expected, rtol=1e-5
        )
        np.testing.assert_allclose(
            nn.NLLLoss(**options)(x.log_softmax(1), target).detach().numpy(), expected, rtol=1e-5
        )

    oracle = pytest.importorskip("torch")
    z = oracle.tensor(X, requires_grad=True)
    theirs = {k: oracle.tensor(v.tolist()) if k == "weight" else v for k, v in options.items()}
    oracle.nn.functional.cross_entropy(z, oracle.tensor(target.tolist()), **theirs).sum().backward()
    F.cross_entropy(x, target, **options).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_cross_entropy_of_other_shapes() -> None:
    x = torch.tensor(X)
    one = F.cross_entropy(x[0], torch.tensor(2))
    assert one.item() == pytest.approx(1.0045969, rel=1e-6)
    image = x.t().reshape(1, 3, 2)
    many = F.cross_entropy(
        image, torch.tensor([CLASSES]), reduction="none", label_smoothing=0.1, weight=torch.tensor(WEIGHTS)
    )
    flat = F.cross_entropy(
        x, torch.tensor(CLASSES), reduction="none", label_smoothing=0.1, weight=torch.tensor(WEIGHTS)
    )
    np.testing.assert_allclose(many.numpy()[0], flat.numpy(), rtol=1e-6)


LOSSES = [  # input, target, mean, sum, each, the gradient of the sum
    ("mse_loss", "MSELoss", "MseLossBackward0", {}, [1.0, 4.0], [0.0, 2.0], 2.5, 5.0, [1.0, 4.0], [2.0, 4.0]),
    ("l1_loss", "L1Loss", "MeanBackward0", {}, [1.0, 4.0], [3.0, 3.0], 1.5, 3.0, [2.0, 1.0], [-1.0, 1.0]),
    ("huber_loss", "HuberLoss", "HuberLossBackward0", {"delta": 0.5}, [1.0, 4.0], [1.2, 2.0], 0.4475, 0.895,
     [0.02, 0.875], [-0.2, 0.5]),
    ("smooth_l1_loss", "SmoothL1Loss", "SmoothL1LossBackward0", {"beta": 0.5}, [1.0, 4.0], [1.2, 2.0], 0.895,
     1.79, [0.04, 1.75], [-0.4, 1.0]),
    ("smooth_l1_loss", "SmoothL1Loss", "MeanBackward0", {"beta": 0.0}, [1.0, 4.0], [3.0, 3.0], 1.5, 3.0,
     [2.0, 1.0], [-1.0, 1.0]),
    ("binary_cross_entropy", "BCELoss", "BinaryCrossEntropyBackward0", {}, [0.5, 0.8], [1.0, 0.0], 1.1512925,
     2.302585, [0.693147, 1.609438], [-2.0, 5.0]),
    ("binary_cross_entropy", "BCELoss", "MeanBackward0", {"weight": [1.0, 2.0]}, [0.5, 0.8], [1.0, 0.0],
     1.956012, 3.912023, [0.693147, 3.218876], [-2.0, 10.0]),
    ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", "BinaryCrossEntropyWithLogitsBackward0", {},
     [0.0, 2.0], [1.0, 0.0], 1.4100378, 2.820075, [0.693147, 2.126928], [-0.5, 0.880797]),
    ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", "MeanBackward0",
     {"weight": [3.0, 1.0], "pos_weight": [2.0, 1.0]}, [0.0, 2.0], [1.0, 0.0], 3.142906, 6.285811,
     [4.158883, 2.126928], [-3.0, 0.880797]),
    ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", "MeanBackward0", {"weight": [3.0, 1.0]},
     [0.0, 2.0], [1.0, 0.0], 2.103185, 4.20637, [2.079442, 2.126928], [-1.5, 0.880797]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "module", "node", "options", "x", "target", "mean", "total", "each", "slope"), LOSSES
)
def test_losses(
    function: str,
    module: str,
    node: str,
    options: dict[str, Any],
    x: Any,
    target: Any,
    mean: float,
    total: float,
    each: Any,
    slope: Any,
) -> None:
    options = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in options.items()}
    x, target = torch.tensor(x, requires_grad=True), torch.tensor(target)
    for reduction, expected in (("mean", mean), ("sum", total), ("none", each)):
        found = getattr(F, function)(x, target, **options, reduction=reduction)
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=2e-6)
        same = getattr(nn, module)(**options, reduction=reduction)(x, target)
        np.testing.assert_array_equal(same.detach().numpy(), found.detach().numpy())
    assert getattr(F, function)(x, target, **options).grad_fn.name() == node
    getattr(F, function)(x, target, **options, reduction="sum").backward()
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=2e-6)

    oracle = pytest.importorskip("torch")
    theirs = {k: oracle.tensor(v.tolist()) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    z, t = oracle.tensor(x.tolist(), requires_grad=True), oracle.tensor(target.tolist())
    loss = getattr(oracle.nn.functional, function)(z, t, **theirs)
    loss.backward()
    assert loss.item() == pytest.approx(mean, rel=2e-6)
    assert loss.grad_fn.name() == node or "weight" in options  # the weighted ones are composites here
    np.testing.assert_allclose(2 * z.grad.numpy(), slope, rtol=2e-6)


def test_nodes_of_class_losses() -> None:
    x = torch.tensor(X, requires_grad=True)
    node = F.cross_entropy(x, torch.tensor(CLASSES)).grad_fn
    assert (node.name(), node.next_functions[0][0].name()) == ("NllLossBackward0", "LogSoftmaxBackward0")
    assert F.cross_entropy(x.reshape(1, 3, 2), torch.tensor([CLASSES])).grad_fn.name() == "NllLoss2DBackward0"


def test_losses_bring_dtypes_and_shapes_together() -> None:
    assert F.mse_loss(torch.ones(2), torch.zeros(2, dtype=torch.float64)).dtype == torch.float64
    assert F.mse_loss(torch.ones(2), torch.zeros(2, dtype=torch.int64)).item() == 1
    x = torch.ones(2, 3, requires_grad=True)
    with pytest.warns(
        UserWarning, match=r"Using a target size \(torch.Size\(\[3\]\)\) that is different to the input size"
    ):
        F.mse_loss(x, torch.zeros(3), reduction="sum").backward()
    assert x.grad.tolist() == [[2.0] * 3] * 2


ONES = torch.ones(2)
LOSS_ERRORS = [
    (lambda: F.mse_loss(ONES, ONES, reduction="foo"), ValueError, "foo is not a valid value for reduction"),
    (lambda: F.mse_loss(torch.tensor([1]), torch.tensor([1])), RuntimeError,
     "expected floating-point tensors, found torch.int64"),
    (lambda: F.huber_loss(ONES, ONES, delta=0.0), RuntimeError, "non-positive values for delta"),
    (lambda: F.smooth_l1_loss(ONES, ONES, beta=-1.0), RuntimeError, "negative values for beta"),
    (lambda: F.binary_cross_entropy(ONES * 2, ONES), RuntimeError,
     "all elements of input should be between 0 and 1"),
    (lambda: F.binary_cross_entropy(ONES, torch.ones(3)), ValueError,
     "Target size .* must be the same as input size"),
    (lambda: F.binary_cross_entropy_with_logits(ONES, torch.tensor([1, 0])), RuntimeError,
     "Found dtype torch.int64 but expected torch.float32"),
    (lambda: F.nll_loss(torch.ones(2, 3), torch.tensor([0, 3])), IndexError, "Target 3 is out of bounds"),
    (lambda: F.nll_loss(torch.ones(2, 3), torch.tensor([0, 1, 2])), ValueError,
     r"Expected input batch_size \(2\) to match target batch_size \(3\)"),
    (lambda: F.nll_loss(torch.ones(2, 3, 4), torch.zeros(2, 5, dtype=torch.int64)), RuntimeError,
     r"Expected target size \[2, 4\], got \[2, 5\]"),
    (lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0.0, 1.0])), RuntimeError,
     "expected target dtype to be Long or Byte, but got torch.float32"),
    (lambda: F.cross_entropy(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.int64)), RuntimeError,
     "Expected floating point type for target"),
    (lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), torch.ones(2)), RuntimeError,
     "either for all 3 classes or no classes"),
    (lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), label_smoothing=2.0), RuntimeError,
     "label_smoothing must be between 0.0 and 1.0"),
    (lambda: F.nll_loss(torch.tensor(1.0), torch.tensor(1)), ValueError, "input has no dimension of classes"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "text"), LOSS_ERRORS)
def test_loss_errors(act: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        act()


# --- helpers over parameters --------------------------------------------------------------------------------


def with_gradients() -> list[Any]:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    return parameters


def test_clipping() -> None:
    parameters = with_gradients()
    assert nn.utils.clip_grad_norm_(parameters, 1.0).item() == 5
    np.testing.assert_allclose(parameters[0].grad.numpy(), [0.6, 0.0], rtol=1e-6)
    assert nn.utils.clip_grad_norm_(parameters, 2.0).item() == pytest.approx(1)
    assert parameters[1].grad.item() == pytest.approx(0.8)
    assert nn.utils.clip_grad_norm_(with_gradients(), 1.0, norm_type=math.inf).item() == 4
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0
    parameters = with_gradients()
    nn.utils.clip_grad_value_(parameters, 3.5)
    assert parameters[0].grad.tolist() == [3.0, 0.0] and parameters[1].grad.tolist() == [3.5]
    parameters[1].grad = torch.tensor([math.nan])
    with pytest.raises(RuntimeError, match="for gradients from `parameters` is non-finite"):
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)


def test_parameters_as_a_vector() -> None:
    net = nn.Linear(2, 1)
    nn.utils.vector_to_parameters(torch.tensor([1.0, 2.0, 3.0]), net.parameters())
    assert net.weight.tolist() == [[1.0, 2.0]] and net.bias.tolist() == [3.0]
    assert nn.utils.parameters_to_vector(net.parameters()).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_ignored_target_leaves_the_dtype(dtype: str, reduction: str) -> None:
    x = torch.ones(2, 3, dtype=getattr(torch, dtype), requires_grad=True)
    loss = torch.nn.functional.cross_entropy(x, torch.tensor([0, -100]), reduction=reduction)
    assert str(loss.dtype) == f"torch.{dtype}"
    loss.sum().backward()
    assert x.grad.dtype is x.dtype


@pytest.mark.parametrize("loss", [torch.nn.functional.nll_loss, torch.nn.functional.cross_entropy])
def test_weights_of_classes_have_no_derivative(loss):
    x, target = torch.rand(2, 3), torch.tensor([0, 2])
    text = "not differentiable with respect to argument 'weight': pass weight.detach()"
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=text):
        loss(x, target, weight=weight)
    with pytest.raises(RuntimeError, match=text):
        torch.func.jvp(lambda w: loss(x, target, weight=w), (weight.detach(),), (torch.ones(3),))
    with torch.no_grad():
        assert loss(x, target, weight=weight).item() == loss(x, target).item()
    losses = torch.func.vmap(lambda w: loss(x, target, weight=w))(torch.ones(2, 3))
    assert torch.allclose(losses, loss(x, target).expand(2))


@pytest.mark.parametrize("dtype", ["int64", "int32", "bool", "float16", "float32", "float64"])
@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "logsigmoid", "relu6", "hardtanh", "sigmoid", "tanh"]
)  # fmt: skip
def test_activations_take_the_dtypes_that_pytorchs_take(name, dtype):
    oracle = pytest.importorskip("torch")

    def tried(t):
        x = t.tensor([1, 0, 3]).to(getattr(t, dtype))
        try:
            return str(getattr(t.nn.functional, name)(x).dtype)
        except RuntimeError:
            return "refused"

    assert tried(torch) == tried(oracle)
