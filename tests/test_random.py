"""Random tensors: PyTorch's numbers from the same seed, generators, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import plugrad as torch

# What PyTorch 2.13 gives on the CPU after manual_seed(42).
STORED: list[tuple[str, Any]] = [
    ("T.rand(3)", [0.8822692632675171, 0.9150039553642273, 0.38286375999450684]),
    ("T.rand(2, dtype=T.float64)", [0.05815448596142969, 0.06291016742457756]),
    ("T.rand(2, dtype=T.float16)", [0.88232421875, 0.9150390625]),
    ("T.rand(2, dtype=T.complex64)",
     [(0.8822692632675171+0.9150039553642273j), (0.38286375999450684+0.9593056440353394j)]),
    ("T.rand(20)[17:]", [0.5739044547080994, 0.2665800452232361, 0.6274491548538208]),
    ("T.randn(3)", [0.33669036626815796, 0.12880940735340118, 0.23446236550807953]),
    ("T.randn(2, dtype=T.float64)", [0.33669035438385886, 0.1288094051365897]),
    ("T.randn(20)[16:]", [-0.3097267746925354, -0.3957104980945587, 0.8034093379974365, -0.6215953826904297]),
    ("T.randn(16, dtype=T.float64)[13:]", [-0.8272632292381021, 1.7342104609172728, -1.4920727283504345]),
    ("T.randn(2, dtype=T.complex64)",
     [(0.23807603120803833+0.09108200669288635j), (0.16578993201255798+0.16287004947662354j)]),
    ("T.randint(10, (5,))", [2, 7, 6, 4, 6]),
    ("T.randint(-3, 3, (4,), dtype=T.int8)", [-3, 2, 1, 1]),
    ("T.randint(2**40, (2,))", [441507790259, 395924837646]),
    ("T.randint(2**30, (2,))", [199900595, 787846414]),
    ("T.randint(10, (3,), dtype=T.float32)", [2.0, 7.0, 6.0]),
    ("T.randint(2, (4,), dtype=T.bool)", [False, True, False, False]),
    ("T.randint(high=5, size=(3,))", [2, 2, 1]),
    ("T.randint(low=2, high=5, size=(3,))", [2, 4, 3]),
    ("T.randperm(6)", [0, 3, 2, 4, 1, 5]),
    ("T.randperm(4, dtype=T.int32)", [2, 3, 0, 1]),
    ("T.randint_like(T.zeros(3), 10)", [2.0, 7.0, 6.0]),
    ("T.rand_like(T.zeros(2, dtype=T.float64))", [0.05815448596142969, 0.06291016742457756]),
    ("T.randn_like(T.zeros(2))", [0.33669036626815796, 0.12880940735340118]),
    ("T.normal(2.0, 3.0, (3,))", [3.010071039199829, 2.386428117752075, 2.7033870220184326]),
    ("T.normal(T.tensor([0.0, 10.0]), 2.0)", [0.6733807325363159, 10.25761890411377]),
    ("T.normal(1.0, T.tensor([1.0, 2.0]))", [1.3366904258728027, 1.25761878490448]),
    ("T.normal(T.zeros(2), T.tensor([1.0, 2.0]))", [0.33669036626815796, 0.25761881470680237]),
    ("T.bernoulli(T.full((6,), 0.3))", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    ("T.bernoulli(T.full((6,), 0.3, dtype=T.float64))", [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
    ("T.bernoulli(T.zeros(6), 0.3)", [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
    ("T.full((6,), 0.3).bernoulli()", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    ("T.zeros(3).uniform_(2, 5)", [4.646807670593262, 4.745011806488037, 3.1485912799835205]),
    ("T.zeros(2, dtype=T.float64).uniform_(-1, 1)", [-0.8836910280771406, -0.8741796651508449]),
    ("T.zeros(2).uniform_(to=3)", [2.6468076705932617, 2.745011806488037]),
    ("T.zeros(3).normal_(5, 2)", [5.6733808517456055, 5.2576189041137695, 5.468924522399902]),
    ("T.zeros(8).bernoulli_(0.3)", [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
    ("T.zeros(3, dtype=T.int64).bernoulli_(0.5)", [1, 1, 1]),
    ("T.zeros(4).bernoulli_(T.tensor([0.0, 1.0, 0.5, 0.5]))", [0.0, 1.0, 1.0, 0.0]),
    ("T.zeros(4).bernoulli_(T.tensor(0.5))", [0.0, 0.0, 1.0, 0.0]),
    ("T.zeros(3).random_()", [14801927.0, 15351016.0, 6423145.0]),
    ("T.zeros(2, dtype=T.float64).random_()", [523809042610868.0, 566644413140339.0]),
    ("T.zeros(3, dtype=T.float16).random_()", [426.0, 923.0, 745.0]),
    ("T.zeros(2, dtype=T.int64).random_()", [6909045637428952499, 8314211556539077902]),
    ("T.zeros(3, dtype=T.int32).random_()", [1608637542, 1273642419, 1935803228]),
    ("T.zeros(3, dtype=T.int16).random_()", [23654, 15795, 860]),
    ("T.zeros(3, dtype=T.int8).random_()", [102, 51, 92]),
    ("T.zeros(3, dtype=T.uint8).random_()", [102, 179, 92]),
    ("T.zeros(5, dtype=T.bool).random_()", [False, True, False, False, False]),
    ("T.zeros(4, dtype=T.int64).random_(10)", [2, 7, 6, 4]),
    ("T.zeros(4).random_(10)", [2.0, 7.0, 6.0, 4.0]),
    ("T.zeros(4, dtype=T.int64).random_(-3, 3)", [-3, 2, 1, 1]),
    ("T.zeros(3, dtype=T.int64).random_(3, None)", [6909045637428952502, 8314211556539077908, 4279532810384561229]),
    ("T.zeros(3, dtype=T.int32).random_(3, None)", [188049452, 1665247578, 737251044]),
    ("T.zeros(3).random_(3, None)", [14802215.0, 15351628.0, 6423877.0]),
    ("T.zeros(2, dtype=T.int64).random_(2**40)", [441507790259, 395924837646]),
    ("T.zeros(4, dtype=T.int64).random_(to=5)", [2, 2, 1, 4]),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), STORED, ids=[e for e, _ in STORED])
def test_stored_numbers(expression: str, expected: Any) -> None:
    torch.manual_seed(42)
    found = eval(expression, {"T": torch})
    np.testing.assert_allclose(found.numpy(), np.array(expected), rtol=2e-6, atol=1e-9)


def test_pytorch_gives_the_same_numbers() -> None:
    T = pytest.importorskip("torch")
    for seed in (0, 1, 2**40 + 5, -3):
        T.manual_seed(seed)
        torch.manual_seed(seed)
        for expression, _ in STORED:  # one after the other: what each consumes shows, too
            expected, found = (eval(expression, {"T": library}) for library in (T, torch))
            assert str(found.dtype) == str(expected.dtype)
            np.testing.assert_allclose(
                found.numpy(), expected.numpy(), rtol=2e-6, atol=1e-9, err_msg=f"{seed} {expression}"
            )
        assert np.array_equal(torch.get_rng_state().numpy(), T.get_rng_state().numpy())


def test_states_travel_to_pytorch_and_back() -> None:
    T = pytest.importorskip("torch")
    torch.manual_seed(7).manual_seed(8)
    torch.randn(3)  # leaves a second normal waiting
    T.set_rng_state(T.from_numpy(torch.get_rng_state().numpy().copy()))
    assert T.randn(5).tolist() == pytest.approx(torch.randn(5).tolist(), rel=1e-6)
    torch.set_rng_state(torch.from_numpy(T.get_rng_state().numpy()))
    assert torch.rand(3).tolist() == T.rand(3).tolist()


# --- seeds, states, generators --------------------------------------------------------------------------------


def test_seeds() -> None:
    assert torch.manual_seed(5) is torch.default_generator
    assert torch.initial_seed() == 5 and torch.manual_seed(-1).initial_seed() == 2**64 - 1
    a, b = torch.seed(), torch.seed()
    assert a != b and torch.initial_seed() == b
    for bad in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match=r"seed .* is out of range"):
            torch.manual_seed(bad)
    assert torch.initial_seed() == b  # a refused seed changes nothing


@pytest.mark.parametrize("algorithm", ["mt19937", "philox"])
def test_generators(algorithm: str) -> None:
    g = torch.Generator(algorithm=algorithm).manual_seed(3)
    assert (g.algorithm, g.initial_seed(), g.device) == (algorithm, 3, torch.device("cpu"))
    assert repr(g) == f"<Generator {algorithm} on cpu, seed 3>"
    torch.manual_seed(0)
    before = torch.get_rng_state()
    draws = [torch.rand(3, generator=g), torch.randn(3, generator=g), torch.randint(9, (3,), generator=g),
             torch.randperm(5, generator=g), torch.normal(0.0, 1.0, (2,), generator=g),
             torch.bernoulli(torch.full((4,), 0.5), generator=g), torch.zeros(3).uniform_(generator=g),
             torch.zeros(3).normal_(generator=g), torch.zeros(3).random_(9, generator=g),
             torch.zeros(3).bernoulli_(0.5, generator=g), torch.rand_like(torch.zeros(2), generator=g)]  # fmt: skip
    assert torch.equal(before, torch.get_rng_state())  # the default generator is another
    assert not torch.equal(draws[0], torch.rand(3, generator=g))
    g.manual_seed(3)
    assert torch.equal(draws[0], torch.rand(3, generator=g))
    state = g.get_state()
    one = torch.randn(5, generator=g)
    g.set_state(state)
    assert torch.equal(one, torch.randn(5, generator=g))
    other = torch.Generator(algorithm=algorithm)
    other.set_state(state)
    assert torch.equal(one, torch.randn(5, generator=other)) and other.initial_seed() == 3
    assert g.seed() != g.seed()


def test_philox_is_numpys() -> None:
    g = torch.Generator(algorithm="philox").manual_seed(7)
    words = np.random.Philox(key=7).random_raw(4)
    assert (
        torch.rand(4, dtype=torch.float64, generator=g).tolist()
        == ((words >> np.uint64(11)) / 2**53).tolist()
    )


def test_states() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert state.dtype is torch.uint8 and state.shape == (5056,)
    one = torch.rand(3)
    torch.set_rng_state(pickle.loads(pickle.dumps(state)))
    assert torch.equal(one, torch.rand(3)) and torch.initial_seed() == 1
    with pytest.raises(RuntimeError, match=r"a mt19937 state has shape \(5056,\), this one \(3,\)"):
        torch.set_rng_state(torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(TypeError, match="a state is an array of uint8"):
        torch.set_rng_state(torch.zeros(5056))
    with pytest.raises(TypeError, match=r"expected a torch.ByteTensor, but got int"):
        torch.set_rng_state(5)


def test_fork_rng() -> None:
    torch.manual_seed(1)
    one = torch.rand(2)
    torch.manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        torch.rand(50)
    assert torch.equal(one, torch.rand(2))
    with torch.random.fork_rng(enabled=False):
        two = torch.rand(1)
    assert not torch.equal(two, torch.rand(1))


def test_unknown_generators() -> None:
    with pytest.raises(ValueError, match="algorithm 'dice' is unknown: choose one of mt19937, philox"):
        torch.Generator(algorithm="dice")
    with pytest.raises(TypeError, match=r"rand: expected a torch.Generator, found int"):
        torch.rand(2, generator=5)
    with pytest.raises(RuntimeError, match="expected a 'cpu' device type for generator but found 'cuda'"):
        torch.rand(2, generator=torch.Generator("cuda"))
    with pytest.raises(ValueError, match="seed 1180591620717411303424 is out of range"):
        torch.Generator().manual_seed(2**70)


# --- tensors --------------------------------------------------------------------------------------------------


def test_shapes_dtypes_and_leaves() -> None:
    for draw in (torch.rand, torch.randn):
        assert draw(2, 3).shape == draw((2, 3)).shape == draw(size=(2, 3)).shape == (2, 3)
        assert draw(()).shape == () and draw(0).shape == (0,)
        x = draw(2, dtype=torch.float64, requires_grad=True)
        assert x.is_leaf and x.requires_grad and x.dtype is torch.float64
    with pytest.raises(RuntimeError, match="floating point and complex dtype can require gradients"):
        torch.randint(9, (2,), requires_grad=True)
    assert torch.randperm(0).tolist() == [] and torch.randperm(3).dtype is torch.int64
    assert sorted(torch.randperm(50).tolist()) == list(range(50))
    assert torch.randint(3, ()).shape == () and torch.randint(0, 2, (2, 2)).dtype is torch.int64


def test_filling_writes_into_the_memory() -> None:
    x = torch.zeros(2, 3)
    n = x.numpy()
    x.t()[1].uniform_(5, 6)
    assert (n[:, 1] >= 5).all() and (n[:, [0, 2]] == 0).all()
    leaf = torch.zeros(3, requires_grad=True)
    with pytest.raises(
        RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"
    ):
        leaf.normal_()
    with torch.no_grad():
        leaf.normal_()
    assert leaf.is_leaf and (leaf != 0).all()


REFUSED: list[tuple[str, type[Exception], str]] = [
    ("T.rand(2, dtype=T.int64)", NotImplementedError, "rand: torch.int64 is not a dtype that it draws"),
    ("T.randn(2, dtype=T.bool)", NotImplementedError, "randn: torch.bool is not a dtype that it draws"),
    (
        "T.rand_like(T.zeros(2, dtype=T.int64))",
        NotImplementedError,
        "torch.int64 is not a dtype that it draws",
    ),
    ("T.rand(-1)", RuntimeError, "negative dimension -1"),
    ("T.rand()", TypeError, 'missing 1 required positional arguments: "size"'),
    ("T.rand(2.5)", TypeError, "argument 'size' must be tuple of ints, not float"),
    ("T.randint(5, 5, (2,))", RuntimeError, "'from' to be less than 'to', but got from=5 >= to=5"),
    ("T.randint(0, (2,))", RuntimeError, "but got from=0 >= to=0"),
    ("T.randint(10)", TypeError, "argument 'size' must be tuple of ints, not NoneType"),
    ("T.randint(2.5, (2,))", TypeError, "cannot be interpreted as an integer"),
    ("T.randint(300, (2,), dtype=T.uint8)", RuntimeError, "uint8 holds 0 to 255"),
    ("T.randint(3, (2,), dtype=T.bool)", RuntimeError, "bool holds 0 to 1"),
    ("T.randint(9, (2,), dtype=T.complex64)", RuntimeError, "complex64 holds no integers"),
    ("T.randperm(-1)", RuntimeError, "n must be non-negative"),
    ("T.randperm(300, dtype=T.uint8)", RuntimeError, "uint8 without overflow: found 299"),
    ("T.randperm(5, dtype=T.bool)", NotImplementedError, "randperm: not implemented for torch.bool"),
    ("T.randperm(2.5)", TypeError, "cannot be interpreted as an integer"),
    ("T.normal(0.0, -1.0, (2,))", RuntimeError, "std is -1.0; it must be 0 or more"),
    ("T.normal(T.zeros(2), -T.ones(2))", RuntimeError, "all elements of std >= 0.0"),
    ("T.normal(0.0, 1.0)", TypeError, "numbers for mean and std need a size"),
    (
        "T.normal(T.zeros(2), T.ones(3))",
        RuntimeError,
        r"size of tensor a \(2\) must match the size of tensor b \(3\)",
    ),
    ("T.bernoulli(T.tensor([2.0]))", RuntimeError, r"p must be in \[0, 1\]"),
    ("T.bernoulli(T.tensor([float('nan')]))", RuntimeError, r"p must be in \[0, 1\]"),
    ("T.bernoulli(T.tensor([1]))", NotImplementedError, "floating-point probabilities, found torch.int64"),
    ("T.zeros(3).bernoulli_(1.5)", RuntimeError, r"p must be in \[0, 1\], and 1.5 is not"),
    ("T.zeros(3).bernoulli_(T.ones(2))", RuntimeError, "must match the existing size"),
    ("T.zeros(3).bernoulli_(T.tensor([1]))", NotImplementedError, "floating-point probabilities"),
    ("T.zeros(3).uniform_(5, 2)", RuntimeError, "low is 5 and high is 2"),
    ("T.zeros(3).uniform_(0, float('inf'))", RuntimeError, "does not fit in float32"),
    ("T.zeros(3, dtype=T.float16).uniform_(0, 70000)", RuntimeError, "does not fit in float16"),
    ("T.zeros(3, dtype=T.int64).uniform_()", NotImplementedError, "uniform_: not possible for torch.int64"),
    ("T.zeros(3, dtype=T.int64).normal_()", NotImplementedError, "normal_: not possible for torch.int64"),
    ("T.zeros(3).normal_(0, -1)", RuntimeError, "it must be 0 or more"),
    (
        "T.zeros(3, dtype=T.complex64).random_()",
        NotImplementedError,
        "random_: not possible for torch.complex64",
    ),
    ("T.zeros(3, dtype=T.int64).random_(5, 3)", RuntimeError, "but got from=5 >= to=3"),
    ("T.zeros(3, dtype=T.int64).random_(0)", RuntimeError, "but got from=0 >= to=0"),
    ("T.zeros(3, dtype=T.uint8).random_(300)", RuntimeError, "uint8 holds 0 to 255"),
]


@pytest.mark.parametrize(("expression", "error", "text"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(expression: str, error: type[Exception], text: str) -> None:
    state = torch.get_rng_state()
    with pytest.raises(error, match=text):
        eval(expression, {"T": torch})
    assert torch.equal(state, torch.get_rng_state())  # a refused call draws nothing


@pytest.mark.filterwarnings("ignore")
def test_pytorch_refuses_the_same() -> None:
    T = pytest.importorskip("torch")
    for expression, error, _ in REFUSED:
        with pytest.raises(error):
            eval(expression, {"T": T})
