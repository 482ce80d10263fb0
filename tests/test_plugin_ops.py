"""Operators of plugins under `plugrad.ops.LIBRARY.NAME`."""

import pickle
import sys

import numpy as np
import pytest

import plugrad as torch
from plugrad import ops, plugins
from plugrad.autograd import gradcheck, gradgradcheck
from plugrad.errors import PluginError, PluginWarning
from plugrad.op import OPS, Op, elementwise
from tests.sites import fresh_site

THIN = """
from plugrad.plugins import OpSpec, hookimpl

@hookimpl
def plugrad_ops():
    names = ["softsquare", "cube", "halfway", "sign", "wrong", "named", "bare", "missing"]
    return [OpSpec(f"fruit::{name}", f"fruit_ops:{name}") for name in names]
"""

OPERATORS = """
import plugrad
from plugrad.ops import multiply
from plugrad.sdk import Function, composite, elementwise

softsquare = elementwise(
    "fruit::softsquare", "x", x=lambda g, x, y: g * x / y, default=lambda x: (x * x + 1) ** 0.5
)

class cube(Function):
    '''The third power.'''
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        return 3 * x * x * t

@composite("fruit::halfway")
def halfway(x, y):
    return (x + y) / 2

def sign(x):
    return x / x.abs()

wrong = 3
named = halfway
class bare: pass
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site whose registry is this process's, and an end of all operators that it brought."""
    for made in fresh_site(tmp_path, monkeypatch):
        before, here = set(OPS), set(vars(ops))
        monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", made.registry())
        yield made
        for name in set(OPS) - before:
            del OPS[name]
        for name in set(vars(ops)) - here - {"libraries"}:
            delattr(ops, name)


@pytest.fixture
def fruit(site):
    """The library of a plugin."""
    site.stranger("fruit", THIN, fruit_ops=OPERATORS)
    return ops.fruit


def test_operators_appear_with_their_plugin_and_are_imported_at_first_use(fruit):
    assert repr(fruit) == "<operators of 'fruit'>"
    assert "fruit_ops" not in sys.modules
    assert isinstance(fruit.softsquare, Op)
    assert fruit.softsquare is fruit.softsquare is sys.modules["fruit_ops"].softsquare
    assert torch.ops.fruit is fruit


def test_importing_and_declared_ops_discover_nothing(site):
    site.stranger("fruit", THIN, fruit_ops=OPERATORS)
    for name in ("exp", "sum", "flip", "abs", "softsign"):
        assert getattr(ops, name) is OPS[name]
    assert site.calls == []
    with pytest.raises(AttributeError):
        _ = ops._repr_html_
    assert site.calls == []


@pytest.mark.parametrize("name", ["softsquare", "cube", "sign"])
def test_every_kind_of_operator_works_everywhere(fruit, name):
    f = getattr(fruit, name)
    x = torch.tensor([0.5, -1.5, 2.0], dtype=torch.float64, requires_grad=True)
    kinds = {"softsquare": lambda v: np.sqrt(v * v + 1), "cube": lambda v: v**3, "sign": np.sign}
    np.testing.assert_allclose(f(x).detach().numpy(), kinds[name](x.detach().numpy()))
    assert gradcheck(f, x, check_forward_ad=True)
    assert gradgradcheck(f, x)
    each = torch.func.vmap(torch.func.grad(f))(x.detach())
    (whole,) = torch.autograd.grad(f(x).sum(), x)
    assert each.tolist() == pytest.approx(whole.tolist())
    assert "Backward" in str(torch.explain(f(x)))


def test_a_function_is_called_by_apply_and_reachable(fruit):
    import fruit_ops

    assert fruit.cube.function is fruit_ops.cube
    assert fruit.cube.__doc__ == "The third power."
    assert repr(fruit.cube) == "<op fruit::cube, a Function>"
    y = fruit.cube(torch.tensor(2.0, requires_grad=True))
    assert y.item() == 8
    assert "cube" in type(y.grad_fn).__name__


def test_a_composite_of_two(fruit):
    x = torch.tensor([1.0, 3.0], requires_grad=True)
    fruit.halfway(x, 5.0).sum().backward()
    assert x.grad.tolist() == [0.5, 0.5]


def test_dir_lists_what_plugins_offer(site):
    site.stranger("fruit", THIN, fruit_ops=OPERATORS)
    assert {"fruit", "exp"} <= set(dir(ops))
    assert {"cube", "softsquare", "missing"} <= set(dir(ops.fruit))
    assert "fruit_ops" not in sys.modules


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "wrong",
            r"'fruit_ops:wrong' is 3: name an op, a composite, a subclass of Function, or a function of",
        ),
        ("bare", r"'fruit_ops:bare' is <class 'fruit_ops.bare'>: name an op"),
        ("named", r"is <composite fruit::halfway>: declare it under the name that the plugin's spec gives"),
        ("missing", r"operator 'fruit::missing': 'fruit_ops' has no 'missing', which its plugin names"),
    ],
)
def test_an_offer_that_is_none(fruit, name, text):
    with pytest.raises(PluginError, match=text):
        getattr(fruit, name)


def test_nobody_offers_it(fruit):
    with pytest.raises(
        AttributeError, match="'fruit::apple' is unknown: plugrad knows 'fruit::softsquare', "
    ):
        _ = fruit.apple
    assert not hasattr(fruit, "__wrapped__")
    with pytest.raises(AttributeError) as raised:
        _ = ops.vegetable
    assert str(raised.value) == (
        "module 'plugrad.ops' has no attribute 'vegetable': operator library 'vegetable' is unknown: "
        "plugrad knows 'fruit'; no installed plugin offers it"
    )


def test_a_failed_plugin_is_the_cause(site):
    site.stranger("fruit", "raise OSError('no driver')")
    failed = "plugin 'fruit' (fruit-plugrad 1.0) failed to load: OSError: no driver"
    with pytest.warns(PluginWarning), pytest.raises(AttributeError) as raised:
        _ = ops.fruit
    assert failed in str(raised.value)
    assert isinstance(raised.value.__cause__, OSError)


def test_a_module_that_fails_tells_its_cause_each_time(site):
    site.stranger("fruit", THIN, fruit_ops=OPERATORS + "\nraise OSError('no driver')\n")
    for _ in range(2):
        with pytest.raises(PluginError, match=r"importing 'fruit_ops' failed: OSError: no driver"):
            _ = ops.fruit.softsquare
    assert "fruit::softsquare" not in OPS


def test_of_two_libraries_that_offer_one_operator_neither_wins(site):
    site.stranger("fruit", THIN, fruit_ops=OPERATORS)
    site.stranger(
        "other",
        THIN.replace("fruit_ops:", "other_ops:").replace(', "sign"', ', "pear"'),
        other_ops=OPERATORS.replace("softsquare", "pear"),
    )
    assert ops.fruit.sign is not None  # which declares the others, too
    assert "fruit::softsquare" in OPS
    for _ in range(2):
        with pytest.raises(
            PluginError, match=r"plugin 'fruit' \(.*\) and plugin 'other' .*: uninstall all but"
        ):
            _ = ops.fruit.softsquare


def test_a_library_may_not_hide_plugrads_own_names(site):
    site.stranger("fruit", THIN.replace("fruit::", "exp::"))
    registry = plugins.installed()
    reasons = registry.records()[1].rejected
    assert reasons[0] == "operator 'exp::softsquare': library 'exp' is plugrad's own: give it another name"
    assert registry.op_specs(all=True) == []


def test_a_pickle_finds_the_operator_of_a_plugin(fruit):
    pickled = pickle.dumps(fruit.softsquare)
    assert pickle.loads(pickled) is fruit.softsquare
    del OPS["fruit::softsquare"], sys.modules["fruit_ops"]
    del OPS["fruit::halfway"]
    assert pickle.loads(pickled) is sys.modules["fruit_ops"].softsquare
    with pytest.raises(
        LookupError, match=r"op 'fruit::softcircle' is not declared: import the package .*; operator"
    ):
        pickle.loads(pickled.replace(b"fruit::softsquare", b"fruit::softcircle"))


def test_operators_that_the_program_declares(site):
    made = elementwise("mine::twice", "x", x=lambda g: g * 2, default=lambda x: x * 2)
    assert ops.mine.twice is made
    assert site.calls == []
    assert dir(ops.mine) == ["twice"]
