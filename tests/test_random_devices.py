"""Random numbers on devices other than the CPU: one stream a device, Philox, with the bits that it has everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad import random
from tests import several_devices
from tests.fake_backend import enter

DEVICES = ("fake", "minimal", "typed:1", "shared:2", "shared")

DRAWS: list[Callable[..., Any]] = [
    lambda d, g: torch.rand(2, 3, device=d, generator=g),
    lambda d, g: torch.randn(5, device=d, generator=g),
    lambda d, g: torch.rand(4, device=d, generator=g, dtype=torch.float64),
    lambda d, g: torch.randint(3, 9, (4,), device=d, generator=g),
    lambda d, g: torch.randperm(6, device=d, generator=g),
    lambda d, g: torch.bernoulli(torch.full((8,), 0.5, device=d), generator=g),
    lambda d, g: torch.normal(torch.zeros(4, device=d), torch.ones(4, device=d), generator=g),
    lambda d, g: torch.rand_like(torch.ones(3, device=d), generator=g),
    lambda d, g: torch.zeros(4, device=d).uniform_(1, 2, generator=g),
    lambda d, g: torch.zeros(4, device=d).normal_(1, 2, generator=g),
    lambda d, g: torch.zeros(6, device=d).bernoulli_(0.4, generator=g),
]


@pytest.fixture(params=DEVICES)
def device(request: Any) -> str:
    if request.param in ("fake", "minimal"):
        enter(request.param)
    else:
        several_devices.enter()
    return request.param


@pytest.mark.parametrize("draw", DRAWS)
def test_the_bits_are_those_of_philox_on_the_cpu(draw: Callable[..., Any], device: str) -> None:
    on_cpu = draw("cpu", torch.Generator(algorithm="philox").manual_seed(5))
    drawn = draw(device, torch.Generator(device).manual_seed(5))
    assert drawn.device == torch.device(device).resolved() and drawn.dtype is on_cpu.dtype
    assert drawn.tolist() == on_cpu.tolist()
    torch.manual_seed(5)
    assert draw(device, None).tolist() == on_cpu.tolist()


def test_the_algorithm_of_a_device(device: str) -> None:
    generator = torch.Generator(device)
    assert generator.algorithm == random.default(device).algorithm == "philox"
    assert generator.device == torch.device(device).resolved() == torch.rand(1, device=device).device
    assert random.default(device) is random.default(torch.ones(1, device=device).device)
    assert torch.Generator(device, "mt19937").manual_seed(3).algorithm == "mt19937"
    torch.manual_seed(3)
    on_cpu = torch.rand(4)
    assert (
        torch.rand(4, device=device, generator=torch.Generator(device, "mt19937").manual_seed(3)).tolist()
        == on_cpu.tolist()
    )


def test_seeds_and_states(device: str) -> None:
    torch.manual_seed(7)
    cpu, first = torch.rand(3), torch.rand(3, device=device)
    torch.manual_seed(7)
    assert torch.rand(3, device=device).tolist() == first.tolist()  # each device has a stream of its own
    assert torch.rand(3).tolist() == cpu.tolist()
    generator = random.default(device)
    state, before = generator.get_state(), torch.get_rng_state()
    drawn = torch.rand(3, device=device)
    assert torch.equal(torch.get_rng_state(), before)
    generator.set_state(state)
    assert torch.rand(3, device=device).tolist() == drawn.tolist()
    assert (str(state.device), state.dtype, generator.initial_seed()) == ("cpu", torch.uint8, 7)
    torch.seed()
    assert generator.initial_seed() == torch.initial_seed() != 7
    with random.fork_rng(devices=[device]):
        torch.manual_seed(1)
        torch.rand(2, device=device)
    assert generator.initial_seed() == torch.initial_seed() != 1


def test_a_state_is_on_the_cpu_whatever_the_default_device_is(device: str) -> None:
    torch.set_default_device(device)
    try:
        generator = torch.Generator()
        state = generator.manual_seed(4).get_state()
        assert str(state.device) == str(torch.get_rng_state().device) == "cpu"
        drawn = torch.rand(3, generator=generator, device="cpu")
        generator.set_state(state)
        assert torch.rand(3, generator=generator, device="cpu").tolist() == drawn.tolist()
        torch.set_rng_state(torch.get_rng_state())
        with pytest.raises(
            RuntimeError, match=r"rand: expected a '.*' device type for generator but found 'cpu'"
        ):
            torch.rand(3, generator=generator)
    finally:
        torch.set_default_device(None)


def test_dropout(device: str) -> None:
    x = torch.ones(200, device=device, requires_grad=True)
    torch.manual_seed(0)
    y = torch.nn.functional.dropout(x, 0.3)
    y.sum().backward()
    assert y.device == x.device and y.tolist() == x.grad.tolist()
    assert set(np.round(y.tolist(), 5)) == {0.0, round(1 / 0.7, 5)} and 40 < y.tolist().count(0.0) < 80
    torch.manual_seed(0)
    assert torch.nn.Dropout(0.3)(x).tolist() == y.tolist()
    drawn = torch.nn.functional.dropout(x, 0.3)
    torch.manual_seed(0)
    again = torch.utils.checkpoint.checkpoint(
        lambda x: torch.nn.functional.dropout(x, 0.3), x, use_reentrant=False
    )
    x.grad = None
    again.sum().backward()
    assert again.tolist() == y.tolist() == x.grad.tolist() != drawn.tolist()


def test_devices_of_one_type_have_a_stream_each() -> None:
    several_devices.enter()
    for kind in ("typed", "shared"):
        torch.manual_seed(9)
        first = torch.rand(3, device=f"{kind}:0")
        assert torch.rand(3, device=f"{kind}:1").tolist() == first.tolist()  # as PyTorch's with one seed
        assert torch.rand(3, device=kind).tolist() != first.tolist()  # that of :0 has moved on
        generator = torch.Generator(f"{kind}:1")
        assert str(torch.rand(1, device=f"{kind}:1", generator=generator).device) == f"{kind}:1"
        with pytest.raises(
            RuntimeError, match=f"expected a '{kind}:2' device type for generator but found '{kind}:1'"
        ):
            torch.rand(1, device=f"{kind}:2", generator=generator)


def test_layers_are_initialised_by_the_stream_of_their_device(device: str) -> None:
    torch.manual_seed(2)
    made = torch.nn.Linear(3, 2, device=device)
    torch.manual_seed(2)
    again = torch.nn.Linear(3, 2, device=device)
    assert made.weight.device == torch.device(device).resolved()
    assert made.weight.tolist() == again.weight.tolist() and made.bias.tolist() == again.bias.tolist()
