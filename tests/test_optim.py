"""Optimizers and learning-rate schedules; the numbers are PyTorch's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import optim
from tests.fake_backend import enter

#: Class, options, and where five steps lead from (1, -2, 3).
CASES: list[tuple[str, dict[str, Any], list[float]]] = [
    ("SGD", {"lr": 0.1}, [0.275945, -0.764493, 3.190505]),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01},
     [-0.267989, 0.488776, 3.304435]),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, [-0.201515, 0.009953, 3.319243]),
    ("SGD", {"lr": 0.01, "maximize": True}, [1.077241, -2.233887, 2.98048]),
    ("Adam", {"lr": 0.1}, [0.500816, -1.504389, 3.496491]),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.1, "amsgrad": True},
     [0.504289, -1.505839, 3.371763]),
    ("Adam", {"lr": 0.1, "maximize": True}, [1.500235, -2.50181, 2.501318]),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.1}, [0.461819, -1.417473, 3.341488]),
    ("AdamW", {"lr": 0.1, "amsgrad": True}, [0.496836, -1.495523, 3.480773]),
]  # fmt: skip
IDS = [f"{name}-{'-'.join(options)}" for name, options, _ in CASES]


def descend(optimizer: Any, x: Any, steps: int, torch: Any = torch) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        (x * x * torch.tensor([0.5, 1.0, 0.1]) + x.sin()).sum().backward()
        optimizer.step()


def start(torch: Any = torch) -> Any:
    return torch.tensor([1.0, -2.0, 3.0], requires_grad=True)


@pytest.mark.parametrize(("name", "options", "expected"), CASES, ids=IDS)
def test_five_steps(name: str, options: dict[str, Any], expected: list[float]) -> None:
    x = start()
    version, leaf = x._version, x._edge
    descend(getattr(optim, name)([x], **options), x, 5)
    np.testing.assert_allclose(x.detach().numpy(), expected, atol=2e-6)
    assert x.is_leaf and x.requires_grad and x._edge is leaf and x._version > version


@pytest.mark.parametrize(("name", "options"), [case[:2] for case in CASES], ids=IDS)
def test_a_network_trains_as_in_pytorch(name: str, options: dict[str, Any]) -> None:
    oracle = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((32, 4), dtype=np.float32), rng.integers(0, 3, 32)
    shapes = [(8, 4), (8,), (3, 8), (3,)]
    weights = [rng.standard_normal(s, dtype=np.float32) / 2 for s in shapes]

    def trained(torch: Any) -> tuple[list[float], list[np.ndarray]]:
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        net.load_state_dict(dict(zip(net.state_dict(), map(torch.tensor, weights), strict=True)))
        optimizer = getattr(torch.optim, name)(net.parameters(), **options)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(torch.tensor(x)), torch.tensor(labels))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses, [p.detach().numpy() for p in net.parameters()]

    (ours, mine), (theirs, their_weights) = trained(torch), trained(oracle)
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    for a, b in zip(mine, their_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


# --- groups and steps ---------------------------------------------------------------------------------------


def test_groups_have_options_of_their_own() -> None:
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.5)
    (a + b).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.0)
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert a.item() == 0.25
    c = torch.ones(1, requires_grad=True)
    optimizer.add_param_group({"params": [("name", c)], "momentum": 0.5})
    assert optimizer.param_groups[2]["params"] == [c] and optimizer.param_groups[2]["lr"] == 0.5


def test_parameters_without_gradient_stay_and_have_no_state() -> None:
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimizer = optim.AdamW([a, b], weight_decay=0.5)
    a.sum().backward()
    optimizer.step()
    assert b.item() == 1 and list(optimizer.state_dict()["state"]) == [0]


def test_the_closure_computes_the_gradient() -> None:
    x = start()
    optimizer = optim.SGD([x], lr=1.0)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = x.sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 2
    assert x.tolist() == [0.0, -3.0, 2.0]


def test_zero_grad() -> None:
    x = start()
    optimizer = optim.SGD([x])
    x.sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
    optimizer.zero_grad()
    assert x.grad is None


def test_a_step_changes_neither_the_gradient_nor_what_a_graph_saved() -> None:
    x = start()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    before = x.grad.tolist()
    optim.SGD([x], lr=0.1, momentum=0.9, weight_decay=0.1).step()
    assert x.grad.tolist() == before
    (again,) = torch.autograd.grad(y, x)
    assert again.tolist() == before


# --- state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), [case[:2] for case in CASES], ids=IDS)
@pytest.mark.parametrize(
    "saved", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["deepcopy", "pickle"]
)
def test_training_goes_on_from_a_state_dict(name: str, options: dict[str, Any], saved: Any) -> None:
    x = start()
    optimizer = getattr(optim, name)([x], **options)
    descend(optimizer, x, 3)
    y = x.detach().clone().requires_grad_()
    other = getattr(optim, name)([y], lr=7.0)
    other.load_state_dict(saved(optimizer.state_dict()))
    descend(optimizer, x, 2)
    descend(other, y, 2)
    np.testing.assert_array_equal(x.detach().numpy(), y.detach().numpy())


def test_the_state_dict_has_pytorch_s_form() -> None:
    x = start()
    optimizer = optim.Adam([x], lr=0.1, amsgrad=True)
    descend(optimizer, x, 2)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    assert state["state"][0]["step"] == 2
    assert state["param_groups"] == [
        {
            "lr": 0.1,
            "betas": (0.9, 0.999),
            "eps": 1e-8,
            "weight_decay": 0,
            "amsgrad": True,
            "maximize": False,
            "params": [0],
        }
    ]
    x = start()
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9)
    assert optimizer.state_dict()["state"] == {}
    descend(optimizer, x, 1)
    assert list(optimizer.state_dict()["state"][0]) == ["momentum_buffer"]


def test_a_state_of_pytorch_s_counts_in_tensors() -> None:
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = optim.Adam([x])
    state = {"step": torch.tensor(3.0), "exp_avg": torch.ones(1), "exp_avg_sq": torch.ones(1)}
    group = {**optimizer.state_dict()["param_groups"][0], "lr": 0.5, "foreach": None}
    optimizer.load_state_dict({"state": {0: state}, "param_groups": [group]})
    assert optimizer.state[x]["step"] == 3 and optimizer.state[x]["exp_avg"].dtype == torch.float64
    x.sum().backward()
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_repr() -> None:
    assert repr(optim.SGD([start()], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n    maximize: False\n    momentum: 0\n"
        "    nesterov: False\n    weight_decay: 0\n)"
    )


def two_groups() -> Any:
    return optim.SGD([{"params": [start()]}, {"params": [start(), start()]}])


ERRORS = [
    (lambda: optim.SGD(start()), TypeError, "an iterable of Tensors or dicts: put the Tensor in a list"),
    (lambda: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    (lambda: optim.SGD([1.0]), TypeError, "can only optimize Tensors, but one of the params is float"),
    (lambda: optim.SGD([start() * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda: optim.SGD([x := start(), x]), ValueError,
     "some parameters appear in more than one parameter group"),
    (lambda: optim.SGD([start()]).add_param_group(3), TypeError,
     "param_group must be a dict, but got <class 'int'>"),
    (lambda: optim.SGD([start()], lr=-1.0), ValueError, "Invalid learning rate: -1.0"),
    (lambda: optim.SGD([start()], weight_decay=-1.0), ValueError, "Invalid weight_decay value: -1.0"),
    (lambda: optim.SGD([start()], momentum=-1.0), ValueError, "Invalid momentum value: -1.0"),
    (lambda: optim.SGD([start()], nesterov=True), ValueError,
     "Nesterov momentum requires a momentum and zero dampening"),
    (lambda: optim.Adam([start()], betas=(0.9, 1.0)), ValueError, "Invalid beta parameter at index 1: 1.0"),
    (lambda: optim.Adam([start()], eps=-1.0), ValueError, "Invalid epsilon value: -1.0"),
    (lambda: optim.Adam([torch.tensor([1j]).requires_grad_()]), ValueError,
     "complex parameters are not supported"),
    (lambda: two_groups().load_state_dict(optim.SGD([start()]).state_dict()), ValueError,
     "different number of parameter groups: 1, not 2"),
    (lambda: optim.SGD([start(), start()]).load_state_dict(optim.SGD([start()]).state_dict()), ValueError,
     "doesn't match the size of optimizer's group: 1 parameters, not 2"),
    (lambda: optim.lr_scheduler.LambdaLR(optim.SGD([start()]), [abs, abs]), ValueError,
     "Expected 1 lr_lambdas, but got 2"),
    (lambda: optim.lr_scheduler.StepLR(optim.SGD([start()]), 1, last_epoch=3), KeyError,
     "'initial_lr' is not specified in param_groups"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "text"), ERRORS)
def test_errors(act: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        act()


# --- schedules ----------------------------------------------------------------------------------------------

SCHEDULES = [
    ("StepLR", (2, 0.5), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
    ("ExponentialLR", (0.9,), [1.0, 0.9, 0.81, 0.729, 0.6561, 0.59049]),
    ("CosineAnnealingLR", (4, 0.1), [1.0, 0.868198, 0.55, 0.231802, 0.1, 0.231802]),
    ("LambdaLR", (lambda epoch: 1 / (epoch + 1),), [1.0, 0.5, 0.333333, 0.25, 0.2, 0.166667]),
]


@pytest.mark.parametrize(("name", "args", "expected"), SCHEDULES, ids=[row[0] for row in SCHEDULES])
def test_schedules(name: str, args: tuple[Any, ...], expected: list[float]) -> None:
    def schedule(last_epoch: int = -1, lr: float = 1.0) -> tuple[Any, Any]:
        group = {"params": [start()]} if last_epoch == -1 else {"params": [start()], "initial_lr": 1.0}
        optimizer = optim.SGD([group], lr=lr)
        return optimizer, getattr(optim.lr_scheduler, name)(optimizer, *args, last_epoch=last_epoch)

    optimizer, scheduler = schedule()
    found = []
    for _ in expected:
        found.append(optimizer.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == [found[-1]]
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(found, expected, atol=1e-6)

    resumed, _ = schedule(last_epoch=2, lr=found[3])
    assert resumed.param_groups[0]["lr"] == pytest.approx(found[3])
    another, loaded = schedule()
    another.load_state_dict(optimizer.state_dict())
    loaded.load_state_dict(pickle.loads(pickle.dumps(scheduler.state_dict())))
    loaded.step()
    scheduler.step()
    assert loaded.get_last_lr() == scheduler.get_last_lr()


def test_schedulers_of_one_optimizer_compose() -> None:
    optimizer = optim.SGD([start()], lr=1.0)
    schedules = optim.lr_scheduler.ExponentialLR(optimizer, 0.9), optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    found = []
    for _ in range(4):
        optimizer.step()
        for scheduler in schedules:
            scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(found, [0.9, 0.081, 0.0729, 0.006561], rtol=1e-12)
    optimizer.param_groups[0]["lr"] = 0.5  # set by hand: gone on from
    schedules[0].step()
    assert optimizer.param_groups[0]["lr"] == 0.45


# --- one kernel for each parameter, where a device makes it ---------------------------------------------------


FUSING = ["fusing", "fusing_constant"]


@pytest.mark.parametrize("device", FUSING)
@pytest.mark.parametrize(("name", "options", "expected"), CASES, ids=IDS)
def test_a_step_is_one_kernel_where_the_device_fuses(
    name: str, options: dict[str, Any], expected: list[float], device: str
) -> None:
    fusing: Any = enter(device)
    x = start().detach().to(device).requires_grad_()
    alias, optimizer = x.detach(), getattr(optim, name)([x], **options)
    fusing.forget()
    scale = torch.tensor([0.5, 1.0, 0.1], device=device)
    for _ in range(5):
        optimizer.zero_grad()
        version = x._version
        (x * x * scale + x.sin()).sum().backward()
        optimizer.step()
        assert x._version > version
    np.testing.assert_allclose(x.detach()._host(), expected, atol=2e-6)
    assert alias.tolist() == x.tolist()
    update, plain = "sgd" if name == "SGD" else "adam", 1 if options.get("momentum") else 0
    assert fusing.runs[update] == 5 - plain and fusing.traced[update] <= 1 and not fusing.op_by_op[update]


@pytest.mark.parametrize("device", FUSING)
def test_a_fused_step_changes_neither_the_gradient_nor_what_a_graph_saved(device: str) -> None:
    fusing: Any = enter(device)
    fusing.forget()
    x = start().detach().to(device).requires_grad_()
    y = (x * x).sum()
    x.grad = torch.ones(3, device=device)
    for optimizer in (optim.Adam([x], lr=0.5), optim.SGD([x], lr=0.5)):
        optimizer.step()
    assert fusing.runs["adam"] == fusing.runs["sgd"] == 1
    assert x.grad.tolist() == [1, 1, 1]
    np.testing.assert_allclose(x.tolist(), [0, -3, 2], atol=1e-6)
    x.grad = None
    y.backward()
    assert x.grad.tolist() == [2, -4, 6]


def test_a_state_goes_from_one_device_to_another() -> None:
    """Op by op and in one kernel, steps count and remember alike."""
    enter("fusing")
    found = []
    for devices in (["cpu"] * 4, ["fusing"] * 4, ["cpu", "fusing", "cpu", "fusing"]):
        x, state = start(), None
        for device in devices:
            x = x.detach().to(device).requires_grad_()
            optimizer = optim.AdamW([x], lr=0.1, amsgrad=True)
            if state is not None:
                optimizer.load_state_dict(state)
            (x * x).sum().backward()
            optimizer.step()
            state = optimizer.state_dict()
        assert state is not None and state["state"][0]["step"] == 4
        found.append(x.tolist())
    np.testing.assert_allclose(found, [found[0]] * 3, rtol=1e-6)


def test_what_goes_op_by_op_where_the_device_fuses() -> None:
    class Careful(optim.SGD):
        def update(self, p: Any, grad: Any, state: Any, group: Any) -> None:
            super().update(p, grad.clamp(-1, 1), state, group)

    fusing: Any = enter("fusing")
    fusing.forget()
    memory = torch.zeros(4, device="fusing")
    x, y = start().detach().to("fusing").requires_grad_(), memory[:3].detach().requires_grad_()
    x.grad, y.grad = torch.full((3,), 9.0, device="fusing"), memory[1:].detach()
    memory.copy_(torch.arange(4.0))
    Careful([x], lr=1.0).step()
    assert x.tolist() == [0, -3, 2]  # a subclass has its own update
    optim.SGD([y], lr=1.0).step()
    assert y.tolist() == [-1, -1, -1] and not fusing.runs["sgd"]  # the gradient overlaps the parameter
    optim.SGD([x], lr=torch.tensor(1.0, device="fusing")).step()
    assert x.tolist() == [-9, -12, -7] and not fusing.runs["sgd"]


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_learning_rate_may_be_a_tensor(name: str, decay: float) -> None:
    found = []
    for lr in (0.25, torch.tensor(0.25)):
        p = torch.tensor([1.0, -2.0], requires_grad=True)
        optimizer = getattr(torch.optim, name)([p], lr=lr, weight_decay=decay)
        for _ in range(3):
            optimizer.zero_grad()
            (p**3).sum().backward()
            optimizer.step()
        found.append(p.tolist())
    assert found[0] == found[1]
