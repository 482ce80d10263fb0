"""The printed form of tensors: literal strings, the print options, and PyTorch as an oracle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import inf, nan

from plugrad import printing

IMPLIED = ("float32", "int64", "bool", "complex64")


def row(values, expected, dtype=None, options=None, **notes):
    """One case: values, their text, print options, notes for `tensor_repr`; dtypes default as in PyTorch."""
    values = np.asarray(values)
    values = values.astype(dtype or {"f": "float32", "c": "complex64"}.get(values.dtype.kind, values.dtype))
    return pytest.param(values, options or {}, notes, expected, id=expected.partition("\n")[0])


def show(array, **notes):
    name = str(array.dtype)
    return printing.tensor_repr(array, dtype=f"torch.{name}", default=name in IMPLIED, **notes)


# fmt: off
FLOATS = [
    row(3.14159, "tensor(3.1416)"),
    row(1.0, "tensor(1.)"),
    row(0.0, "tensor(0.)"),
    row(-0.0, "tensor(-0.)"),
    row(inf, "tensor(inf)"),
    row(1e-09, "tensor(1.0000e-09)"),
    row([1.0, 2.0, -3.0], "tensor([ 1.,  2., -3.])"),
    row([0.5, 2.0], "tensor([0.5000, 2.0000])"),
    row([1.0, -0.0, 2.5], "tensor([1.0000, -0.0000, 2.5000])"),
    row([-0.0, 1.0], "tensor([-0., 1.])"),
    row([0.0, inf, -0.0], "tensor([0., inf, -0.])"),
    row([nan, 1.5], "tensor([   nan, 1.5000])"),
    row([nan, -inf], "tensor([nan, -inf])"),
    row([nan, 1e10], "tensor([       nan, 1.0000e+10])"),
    row([1.0, 1000.0], "tensor([   1., 1000.])"),
    row([1.0, 1001.0], "tensor([1.0000e+00, 1.0010e+03])"),
    row([1.5, 1500.0], "tensor([   1.5000, 1500.0000])"),
    row([1.5, 1500.1], "tensor([1.5000e+00, 1.5001e+03])"),
    row([1e8], "tensor([100000000.])"),
    row([1e8 + 8], "tensor([1.0000e+08])"),
    row([1e8 + 8, 1e8 + 16], "tensor([1.0000e+08, 1.0000e+08])"),
    row([0.00011], "tensor([0.0001])"),
    row([0.0001, 0.0002], "tensor([1.0000e-04, 2.0000e-04])"),
    row([0.00009], "tensor([9.0000e-05])"),
    row([9.99996, 1.5], "tensor([10.0000,  1.5000])"),
    row([-123456.0, 0.5], "tensor([-1.2346e+05,  5.0000e-01])"),
    row([1e-4], "tensor([0.0001], dtype=torch.float64)", dtype="float64"),
    row([5e-324, 1e308], "tensor([4.9407e-324, 1.0000e+308], dtype=torch.float64)", dtype="float64"),
    row([1.0, 2.0], "tensor([1., 2.], dtype=torch.float64)", dtype="float64"),
    row([0.1, 1.0], "tensor([0.1000, 1.0000], dtype=torch.float16)", dtype="float16"),
    row([65504.0, 0.5], "tensor([6.5504e+04, 5.0000e-01], dtype=torch.float16)", dtype="float16"),
    row([6e-8], "tensor([5.9605e-08], dtype=torch.float16)", dtype="float16"),
]

OTHERS = [
    row(True, "tensor(True)"),
    row([True, False], "tensor([ True, False])"),
    row([True, True], "tensor([True, True])"),
    row(5, "tensor(5)"),
    row([-5, 10], "tensor([-5, 10])"),
    row([-(2**63), 0], "tensor([-9223372036854775808,                    0])"),
    row([1, 255], "tensor([  1, 255], dtype=torch.uint8)", dtype="uint8"),
    row([1, -100], "tensor([   1, -100], dtype=torch.int32)", dtype="int32"),
    row(1 + 2j, "tensor(1.+2.j)"),
    row([1 + 2j, -3.5 - 1j], "tensor([ 1.0000+2.j, -3.5000-1.j])"),
    row([1 + 2j, 0], "tensor([1.+2.j, 0.+0.j])"),
    row([0j], "tensor([0.+0.j])"),
    row(complex(nan, nan), "tensor(nan+nanj)"),
    row(complex(inf, -inf), "tensor(inf-infj)"),
    row([1e-9 + 2j, 5 - 1e6j], "tensor([1.0000e-09+2.0000e+00j, 5.0000e+00-1.0000e+06j])"),
    row(
        [1.25 + 10j, 2 - 3j],
        "tensor([1.2500+10.j, 2.0000-3.j], dtype=torch.complex128)",
        dtype="complex128",
    ),
    row(
        np.arange(8) * (1.5 - 2j),
        "tensor([ 0.0000+0.j,  1.5000-2.j,  3.0000-4.j,\n"
        "         4.5000-6.j,  6.0000-8.j,  7.5000-10.j,\n"
        "         9.0000-12.j, 10.5000-14.j])",
        options=dict(linewidth=60),
    ),
]

SHAPES = [
    row([], "tensor([])"),
    row(np.zeros((0, 3)), "tensor([], size=(0, 3))"),
    row(np.zeros((2, 0, 3)), "tensor([], size=(2, 0, 3))"),
    row([], "tensor([], dtype=torch.int64)", dtype="int64"),
    row(np.zeros((2, 0)), "tensor([], size=(2, 0), dtype=torch.bool)", dtype="bool"),
    row([], "tensor([], dtype=torch.float64)", dtype="float64"),
    row(np.zeros((0, 2)), "tensor([], size=(0, 2), dtype=torch.complex64)", dtype="complex64"),
    row(
        [[1.0, 2.5], [-3.0, 0.0]],
        "tensor([[ 1.0000,  2.5000],\n"
        "        [-3.0000,  0.0000]])",
    ),
    row(
        np.arange(12).reshape(2, 3, 2),
        "tensor([[[ 0,  1],\n"
        "         [ 2,  3],\n"
        "         [ 4,  5]],\n"
        "\n"
        "        [[ 6,  7],\n"
        "         [ 8,  9],\n"
        "         [10, 11]]])",
    ),
    row(
        np.arange(8).reshape(2, 2, 1, 2),
        "tensor([[[[0, 1]],\n"
        "\n"
        "         [[2, 3]]],\n"
        "\n"
        "\n"
        "        [[[4, 5]],\n"
        "\n"
        "         [[6, 7]]]])",
    ),
    row([[[[7]]]], "tensor([[[[7]]]])"),
    row(
        np.zeros(9),
        "tensor([0., 0., 0., 0., 0., 0., 0.,\n"
        "        0., 0.])",
        options=dict(linewidth=30),
    ),
    row(
        np.arange(30),
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])",
    ),
    row(
        np.linspace(0, 1, 9),
        "tensor([0.0000, 0.1250, 0.2500, 0.3750, 0.5000, 0.6250, 0.7500, 0.8750, 1.0000])",
    ),
    row(
        np.arange(8).reshape(2, 4) + 96,
        "tensor([[ 96,  97,\n"
        "          98,  99],\n"
        "        [100, 101,\n"
        "         102, 103]])",
        options=dict(linewidth=22),
    ),
    row(
        np.arange(1200).reshape(30, 40),
        "tensor([[   0,    1,  ...,   38,   39],\n"
        "        [  40,   41,  ...,   78,   79],\n"
        "        ...,\n"
        "        [1120, 1121,  ..., 1158, 1159],\n"
        "        [1160, 1161,  ..., 1198, 1199]])",
        options=dict(edgeitems=2),
    ),
    row(np.zeros(1001), "tensor([0., 0., 0.,  ..., 0., 0., 0.])"),
    row(
        np.arange(1200).reshape(4, 300),
        "tensor([[   0,    1,    2,  ...,  297,  298,  299],\n"
        "        [ 300,  301,  302,  ...,  597,  598,  599],\n"
        "        [ 600,  601,  602,  ...,  897,  898,  899],\n"
        "        [ 900,  901,  902,  ..., 1197, 1198, 1199]])",
    ),
    row(
        np.arange(90).reshape(5, 2, 9),
        "tensor([[[ 0,  1,  ...,  7,  8],\n"
        "         [ 9, 10,  ..., 16, 17]],\n"
        "\n"
        "        [[18, 19,  ..., 25, 26],\n"
        "         [27, 28,  ..., 34, 35]],\n"
        "\n"
        "        ...,\n"
        "\n"
        "        [[54, 55,  ..., 61, 62],\n"
        "         [63, 64,  ..., 70, 71]],\n"
        "\n"
        "        [[72, 73,  ..., 79, 80],\n"
        "         [81, 82,  ..., 88, 89]]])",
        options=dict(threshold=80, edgeitems=2),
    ),
    row(np.where(np.arange(2000) == 1000, 0.5, 1.0), "tensor([1., 1., 1.,  ..., 1., 1., 1.])"),
    row(
        np.full(1001, 1 - 2.5j),
        "tensor([1.-2.5000j, 1.-2.5000j, 1.-2.5000j,  ..., 1.-2.5000j, 1.-2.5000j,\n"
        "        1.-2.5000j])",
    ),
]

OPTIONS = [
    row([1 / 3, 2.0], "tensor([0.33, 2.00])", options=dict(precision=2)),
    row([1 / 3, 2.0], "tensor([0, 2])", options=dict(precision=0)),
    row([1.0, 1500.1], "tensor([1.00000000e+00, 1.50009998e+03])", options=dict(precision=8)),
    row([1.0, 1e6], "tensor([      1., 1000000.])", options=dict(sci_mode=False)),
    row([1.0, 1.5e6], "tensor([      1., 1500000.])", options=dict(sci_mode=False)),
    row([0.0, 1.0], "tensor([0.0000e+00, 1.0000e+00])", options=dict(sci_mode=True)),
    row([0.0], "tensor([0.])", options=dict(sci_mode=True)),
    row([2.5, -inf], "tensor([2.5000e+00,       -inf])", options=dict(sci_mode=True)),
    row(
        np.arange(10),
        "tensor([0, 1, 2, 3,\n"
        "        4, 5, 6, 7,\n"
        "        8, 9])",
        options=dict(linewidth=20),
    ),
    row(
        np.arange(3),
        "tensor([0,\n"
        "        1,\n"
        "        2])",
        options=dict(linewidth=0),
    ),
    row(np.arange(10), "tensor([0, 1, 2,  ..., 7, 8, 9])", options=dict(threshold=9)),
    row(np.arange(10), "tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])", options=dict(threshold=10)),
    row(np.arange(10), "tensor([0,  ..., 9])", options=dict(threshold=9, edgeitems=1)),
    row(np.arange(10), "tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])", options=dict(threshold=9, edgeitems=5)),
    row(np.arange(10), "tensor([...], size=(10,))", options=dict(threshold=9, edgeitems=0)),
    row([1.5], "tensor([1.5000], size=(1,))", options=dict(edgeitems=0)),
    row(1.5, "tensor(1.5000)", options=dict(threshold=0)),
    row(7, "tensor(7, size=())", options=dict(threshold=0, edgeitems=0)),
    row(
        np.arange(9).reshape(3, 3),
        "tensor([[0,  ..., 2],\n"
        "        ...,\n"
        "        [6,  ..., 8]])",
        options=dict(threshold=0, edgeitems=1),
    ),
    row(np.arange(1100), "tensor([   0,    1,  ..., 1098, 1099])", options=dict(profile="short")),
    row([1 / 3], "tensor([0.333])", options=dict(profile="short", precision=3)),
    row(
        np.arange(1, 5) / 8,
        "tensor([0.12+0.j, 0.25+0.j, 0.38+0.j, 0.50+0.j],\n"
        "       dtype=torch.complex128)",
        dtype="complex128", options=dict(linewidth=40, profile="short"),
    ),
]

NOTES = [
    row(1.5, "tensor(1.5000, requires_grad=True)", requires_grad=True),
    row([1.0, 2.0], "tensor([1., 2.], grad_fn=<MulBackward0>)", requires_grad=True, grad_fn="MulBackward0"),
    row(
        [1.0],
        "tensor([1.], device='cuda:0', dtype=torch.float64, grad_fn=<MeanBackward0>)",
        dtype="float64", device="cuda:0", grad_fn="MeanBackward0",
    ),
    row(
        np.zeros((0, 2)),
        "tensor([], device='cuda:0', size=(0, 2), dtype=torch.float64,\n"
        "       requires_grad=True)",
        dtype="float64", device="cuda:0", requires_grad=True,
    ),
    row(
        [0.5, 1.0, 1.5, 2.0],
        "Parameter containing:\n"
        "tensor([0.5000, 1.0000, 1.5000,\n"
        "        2.0000],\n"
        "       requires_grad=True)",
        options=dict(linewidth=31), requires_grad=True, prefix="Parameter containing:\ntensor(",
    ),
    row(
        np.arange(1, 8) / 7,
        "tensor([0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000],\n"
        "       requires_grad=True)",
        requires_grad=True,
    ),
    row(
        np.arange(1, 7) / 7,
        "tensor([0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571], dtype=torch.float64,\n"
        "       requires_grad=True)",
        dtype="float64", requires_grad=True,
    ),
    row(
        np.eye(2),
        "tensor([[1., 0.],\n"
        "        [0., 1.]], dtype=torch.float64,\n"
        "       requires_grad=True)",
        dtype="float64", options=dict(linewidth=51), requires_grad=True,
    ),
    row(
        np.ones(5),
        "tensor([1., 1., 1., 1., 1.], dtype=torch.float64,\n"
        "       requires_grad=True)",
        dtype="float64", options=dict(linewidth=50), requires_grad=True,
    ),
    row(
        np.ones(5),
        "tensor([1., 1., 1., 1., 1.],\n"
        "       dtype=torch.float64)",
        dtype="float64", options=dict(linewidth=49),
    ),
    row(
        np.ones(5),
        "tensor([1., 1., 1., 1., 1.],\n"
        "       dtype=torch.float64, requires_grad=True)",
        dtype="float64", options=dict(linewidth=46), requires_grad=True,
    ),
    row(
        np.ones(5),
        "tensor([1., 1., 1., 1., 1.],\n"
        "       dtype=torch.float64,\n"
        "       requires_grad=True)",
        dtype="float64", options=dict(linewidth=45), requires_grad=True,
    ),
    row(
        np.arange(9) / 8,
        "Weight([0.0000, 0.1250, 0.2500, 0.3750,\n"
        "        0.5000, 0.6250, 0.7500, 0.8750,\n"
        "        1.0000])",
        options=dict(linewidth=40), prefix="Weight(",
    ),
]

# fmt: on

CASES = [*FLOATS, *OTHERS, *SHAPES, *OPTIONS, *NOTES]


@pytest.mark.parametrize(("array", "options", "notes", "expected"), CASES)
def test_prints(array, options, notes, expected):
    with printing.printoptions(**options):
        assert show(array, **notes) == expected


def test_dtype_is_named_unless_implied():
    half = {"array": np.ones(2, np.float32), "dtype": "torch.bfloat16"}
    assert printing.tensor_repr(**half, default=False) == "tensor([1., 1.], dtype=torch.bfloat16)"
    assert printing.tensor_repr(**half, default=True) == "tensor([1., 1.])"


def test_values_may_be_strided_or_a_numpy_scalar():
    table = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    assert show(table.T) == show(table.T.copy())
    assert show(table[:, ::-2]) == show(table[:, ::-2].copy())
    assert show(np.float32(2.5)) == "tensor(2.5000)"


def test_summary_touches_only_what_it_shows():
    # 10**18 elements in 4 bytes: formatting, copying or even scanning them all could never end.
    endless = np.broadcast_to(np.float32(1.5), (10**9, 10**9))
    with printing.printoptions(edgeitems=1):
        assert show(endless) == (
            "tensor([[1.5000,  ..., 1.5000],\n"
            "        ...,\n"
            "        [1.5000,  ..., 1.5000]])"
        )  # fmt: skip


def test_summary_takes_its_notation_from_what_it_shows():
    values = np.ones(2001, np.float32)
    values[1000] = 1e30
    assert show(values) == "tensor([1., 1., 1.,  ..., 1., 1., 1.])"
    values[-1] = 1e30
    assert show(values) == (
        "tensor([1.0000e+00, 1.0000e+00, 1.0000e+00,  ..., 1.0000e+00, 1.0000e+00,\n"
        "        1.0000e+30])"
    )  # fmt: skip


def test_64_dimensions():
    deep = np.arange(1001).reshape((1,) * 63 + (1001,))
    with printing.printoptions(edgeitems=1, linewidth=100):
        assert show(deep) == "tensor(" + "[" * 64 + "   0,  ..., 1000" + "]" * 64 + ")"


DEFAULTS = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, {}),
        ({"precision": 2, "linewidth": 120}, {"precision": 2, "linewidth": 120}),
        ({"threshold": inf, "sci_mode": False}, {"threshold": inf, "sci_mode": False}),
        ({"profile": "default"}, {}),
        ({"profile": "short"}, {"precision": 2, "edgeitems": 2}),
        ({"profile": "full"}, {"threshold": inf}),
        ({"profile": "short", "precision": 6}, {"precision": 6, "edgeitems": 2}),
    ],
)
def test_options_inside_and_after_the_block(options, changed):
    with printing.printoptions(**options):
        assert printing.get_printoptions() == DEFAULTS | changed
    assert printing.get_printoptions() == DEFAULTS


def test_set_printoptions_keeps_what_it_is_not_given_except_sci_mode():
    with printing.printoptions():
        printing.set_printoptions(precision=2, sci_mode=True)
        printing.set_printoptions(edgeitems=5)
        assert printing.get_printoptions() == DEFAULTS | {"precision": 2, "edgeitems": 5}
        printing.set_printoptions(profile="default")
        assert printing.get_printoptions() == DEFAULTS


def test_a_profile_sets_every_option():
    with printing.printoptions(precision=9, threshold=1, edgeitems=1, linewidth=9):
        printing.set_printoptions(profile="full")
        assert printing.get_printoptions() == DEFAULTS | {"threshold": inf}


def test_options_come_back_after_an_error_inside_the_block():
    with pytest.raises(KeyError), printing.printoptions(precision=1):
        raise KeyError
    assert printing.get_printoptions() == DEFAULTS


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"profile": "long"},
            ValueError,
            "set_printoptions: profile 'long' is not known: choose one of 'default', 'short', 'full'",
        ),
        (
            {"precision": -1},
            ValueError,
            "set_printoptions: precision=-1 is not a count: give an integer, 0 or more",
        ),
        (
            {"edgeitems": 2.5},
            ValueError,
            "set_printoptions: edgeitems=2.5 is not a count: give an integer, 0 or more",
        ),
        (
            {"linewidth": inf},
            ValueError,
            "set_printoptions: linewidth=inf is not a count: give an integer, 0 or more",
        ),
        ({"width": 80}, TypeError, "set_printoptions() got an unexpected keyword argument 'width'"),
    ],
)
def test_wrong_options_change_nothing(options, error, message):
    with pytest.raises(error) as raised:
        printing.set_printoptions(**{"threshold": 7, **options})
    assert str(raised.value) == message
    assert printing.get_printoptions() == DEFAULTS


# From here on PyTorch, where it is installed, says what is right.


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    yield module
    module.set_printoptions(profile="default")


@pytest.mark.parametrize(("array", "options", "notes", "expected"), CASES)
def test_torch_prints_the_stored_text(torch, array, options, notes, expected):
    if notes.keys() - {"requires_grad"}:
        pytest.skip("a device, a node or a prefix of its own")
    torch.set_printoptions(**options)
    tensor = torch.from_numpy(array.copy())
    assert repr(tensor.requires_grad_(notes.get("requires_grad", False))) == expected


def random_reals(rng, shape):
    """Values of a kind that matters to the choice of notation, at times with special values among them."""
    scale = 10.0 ** rng.integers(-12, 13)
    specials = [0.0, -0.0, inf, -inf, nan]
    kinds = [
        lambda: rng.standard_normal(shape) * rng.choice([1.0, scale]),
        lambda: np.round(rng.standard_normal(shape) * scale),
        lambda: rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 9, shape),
        lambda: rng.integers(-9, 10, shape).astype(float),
        lambda: rng.choice([1, 1000, 1001, 1e8, 1e8 + 8, 1e-4, 0.003, 3, 0.1, 100, 9.99995, -9.99996], shape),
        lambda: rng.choice([5e-324, 1e308, -1e-308, 1e-45, 3e38, 65504.0], shape),
        lambda: rng.choice(specials, shape),
    ]
    values = np.asarray(kinds[rng.integers(len(kinds))]())
    return (
        values
        if rng.random() < 0.6
        else np.where(rng.random(shape) < 0.3, rng.choice(specials, shape), values)
    )


def random_array(rng):
    ndim = rng.choice([0, 1, 1, 2, 2, 3, 4, 5])
    longest = [1, rng.choice([9, 60, 1300]), rng.choice([9, 60]), 13, 7, 5][ndim]
    shape = tuple(map(int, rng.integers(rng.random() > 0.1, longest + 1, ndim)))
    kind = rng.choice(["float16", "float32", "float64", "complex64", "complex128", "integer", "bool"])
    if kind == "bool":
        return np.asarray(rng.random(shape) < rng.random())
    if kind == "integer":
        info = np.iinfo(rng.choice(["int8", "int16", "int32", "int64", "uint8"]))
        reach = int(rng.choice([1, 10, 100, 10**9, 10**18]))
        values = rng.integers(max(info.min, -reach), min(info.max, reach), shape, endpoint=True)
        return np.asarray(values, info.dtype)
    values = random_reals(rng, shape)
    if kind.startswith("complex"):
        values = np.stack([values, random_reals(rng, shape)], axis=-1).view(complex)[..., 0]
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(values, kind)


def random_options(rng):
    choices = {
        "precision": range(10),
        "threshold": [0, 5, 100, inf],
        "edgeitems": range(6),
        "linewidth": range(130),
        "sci_mode": [True, False],
        "profile": ["default", "short", "full"],
    }
    rarely = rng.choice([0.0, 0.4])
    return {name: some[rng.integers(len(some))] for name, some in choices.items() if rng.random() < rarely}


@pytest.mark.parametrize("seed", range(20))
def test_random_arrays_print_as_in_torch(torch, seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        array, options = random_array(rng), random_options(rng)
        tensor, notes = torch.from_numpy(array.copy()), {}
        if array.dtype.kind in "fc" and rng.random() < 0.6:
            tensor.requires_grad_()
            notes["requires_grad"] = True
            way = rng.choice(["leaf", "parameter", "clone", "sum"])
            if way == "parameter":
                tensor, notes["prefix"] = (
                    torch.nn.Parameter(tensor.detach()),
                    "Parameter containing:\ntensor(",
                )
            elif way != "leaf":
                tensor = getattr(tensor, way)()
                array, notes["grad_fn"] = tensor.detach().numpy(), tensor.grad_fn.name()
        torch.set_printoptions(**{"profile": "default", **options})
        with printing.printoptions(**options):
            assert show(array, **notes) == repr(tensor)
