"""Kernels of plugins: beside an operator of their own package, where a device has none, and by `use_kernels`."""

import sys
import threading

import numpy as np
import pytest

import plugrad as torch
from plugrad import kernels, ops, plugins
from plugrad.backend import for_device
from plugrad.errors import DeviceError, PluginError, PluginWarning
from plugrad.op import OPS, elementwise, forget_kernels
from tests.fake_backend import enter
from tests.sites import fresh_site

HEAD = "from plugrad.plugins import KernelSpec, OpSpec, hookimpl\n"
OPS_HOOK = "@hookimpl\ndef plugrad_ops(): return [OpSpec('fruit::half', 'fruit_ops:half')]\n"
FRUIT = "from plugrad.sdk import elementwise\nhalf = elementwise('fruit::half', 'x', x=lambda g: g / 2, {default})\n"


def offers(*specs: str) -> str:
    """The source of a hook that offers kernels."""
    return f"@hookimpl\ndef plugrad_kernels(): return [{', '.join(specs)}]\n"


def counting(value: str) -> str:
    """The source of a module of kernels that count their calls."""
    return (
        f"calls = []\ndef half(x):\n    calls.append('half')\n    return {value}\n"
        "def exp(x):\n    calls.append('exp')\n    return x * 0 + 7\n"
        "def broken(x): raise OSError('no driver')\n"
        "number = 3\n"
    )


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site whose registry is this process's, and an end of all that it brought."""
    enter("minimal")
    for made in fresh_site(tmp_path, monkeypatch):
        before, here = set(OPS), set(vars(ops))
        monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", made.registry())
        yield made
        torch.use_kernels(None)
        for name in set(OPS) - before:
            del OPS[name]
        for name in set(vars(ops)) - here - {"libraries"}:
            delattr(ops, name)
        forget_kernels()


def half_of(x, device="cpu"):
    """`fruit::half` of a tensor made on a device, as numbers."""
    return ops.fruit.half(torch.tensor(x, device=device)).cpu().tolist()


def origin(op, device):
    return kernels.origin(op, for_device(device))


# ---- without a choice


def test_an_operators_own_package_brings_its_kernels(site):
    source = HEAD + OPS_HOOK + offers("KernelSpec('fruit::half', 'cpu', 'fruit_cpu:half')")
    fruit_ops = FRUIT.format(default="default=lambda x: x * 0.5")
    site.stranger("fruit", source, fruit_ops=fruit_ops, fruit_cpu=counting("x / 2"))
    assert half_of([2.0, 4.0]) == [1.0, 2.0]
    assert sys.modules["fruit_cpu"].calls == ["half"]
    assert origin(ops.fruit.half, "cpu") == "plugin"
    assert half_of([2.0, 4.0], "minimal") == [1.0, 2.0]
    assert sys.modules["fruit_cpu"].calls == ["half"]
    assert origin(ops.fruit.half, "minimal") == "composite"


def test_a_second_entry_point_of_the_same_package_counts_as_its_own(site):
    kernel_plugin = HEAD + offers("KernelSpec('fruit::half', 'cpu', 'fruit_cpu:half')")
    site.install(
        "fruit",
        "fruit = fruit_thin\nkernels = fruit_kernels",
        fruit_thin=HEAD + OPS_HOOK,
        fruit_kernels=kernel_plugin,
        fruit_ops=FRUIT.format(default="default=lambda x: x * 0.5"),
        fruit_cpu=counting("x / 2"),
    )
    assert half_of([2.0]) == [1.0]
    assert sys.modules["fruit_cpu"].calls == ["half"]


@pytest.mark.parametrize("op", ["fruit::half", "leaky_relu"])
def test_the_devices_own_package_brings_kernels(site, op):
    both = "BackendSpec('minimal', 'tests.fake_backend:MinimalBackend')"
    hook = f"@hookimpl\ndef plugrad_backends(): return [{both}]\n" + offers(
        f"KernelSpec('{op}', 'minimal', 'dev:seven')"
    )
    seven = "def seven(x, *rest): return x * 0 + 7"
    site.stranger("device", HEAD.replace("import ", "import BackendSpec, ") + hook, dev=seven)
    kernel = (
        "KernelSpec('fruit::half', 'minimal', 'fruit_cpu:half')"  # of the op's package, which comes second
    )
    site.stranger(
        "fruit",
        HEAD + OPS_HOOK + offers(kernel),
        fruit_ops=FRUIT.format(default="default=lambda x: x / 2"),
        fruit_cpu=counting("x / 2"),
    )
    f = ops.fruit.half if op == "fruit::half" else torch.nn.functional.leaky_relu
    assert f(torch.tensor([2.0], device="minimal")).tolist() == [7.0]
    assert f(torch.tensor([2.0])).tolist() == ([1.0] if op == "fruit::half" else [2.0])


def test_another_package_does_not_change_numbers(site):
    site.stranger("fruit", HEAD + OPS_HOOK, fruit_ops=FRUIT.format(default="default=lambda x: x / 2"))
    specs = "KernelSpec('fruit::half', 'cpu', 'fast_ops:half')", "KernelSpec('exp', 'cpu', 'fast_ops:exp')"
    site.stranger("fast", HEAD + offers(*specs), fast_ops=counting("x * 100"))
    plugins.records()
    assert half_of([2.0]) == [1.0]
    assert torch.exp(torch.zeros(2)).tolist() == [1.0, 1.0]
    assert "fast_ops" not in sys.modules


def test_a_device_without_a_kernel_takes_the_only_one(site):
    site.stranger("fruit", HEAD + OPS_HOOK, fruit_ops=FRUIT.format(default=""))
    site.stranger(
        "fast", HEAD + offers("KernelSpec('fruit::half', 'cpu', 'fast_ops:half')"), fast_ops=counting("x / 2")
    )
    assert half_of([2.0]) == [1.0]
    assert origin(ops.fruit.half, "cpu") == "plugin"
    with pytest.raises(DeviceError, match="device 'minimal' has no kernel for 'fruit::half'"):
        half_of([2.0], "minimal")


def test_of_two_kernels_for_a_device_without_one_neither_is_used(site):
    site.stranger("fruit", HEAD + OPS_HOOK, fruit_ops=FRUIT.format(default=""))
    for name, value in (("fast", "x / 2"), ("rapid", "x * 0.5")):
        hook = offers(f"KernelSpec('fruit::half', 'cpu', '{name}_ops:half')")
        site.stranger(name, HEAD + hook, **{f"{name}_ops": counting(value)})
    with pytest.raises(DeviceError) as raised:
        half_of([2.0])
    assert str(raised.value) == (
        "device 'cpu' has no kernel for 'fruit::half' of its own, and several are offered, by plugin 'fast' "
        "(fast-plugrad 1.0) and plugin 'rapid' (rapid-plugrad 1.0): choose by plugrad.use_kernels('fast')"
    )
    with torch.use_kernels("rapid"):
        assert half_of([2.0]) == [1.0]
    assert sys.modules["rapid_ops"].calls == ["half"]
    assert "fast_ops" not in sys.modules
    with pytest.raises(DeviceError, match="several are offered"):
        half_of([2.0])


def test_two_kernels_of_the_own_package_are_not_chosen_between(site):
    hook = HEAD + offers("KernelSpec('fruit::half', 'cpu', 'fruit_cpu:half')")
    site.install(
        "fruit",
        "fruit = fruit_thin\nother = fruit_other",
        fruit_thin=HEAD + OPS_HOOK + hook.replace(HEAD, ""),
        fruit_other=hook,
        fruit_ops=FRUIT.format(default="default=lambda x: x * 0.5"),
        fruit_cpu=counting("x / 2"),
    )
    assert half_of([2.0]) == [1.0]
    assert origin(ops.fruit.half, "cpu") == "composite"
    assert len(plugins.kernels_for("fruit::half", "cpu")) == 2
    with pytest.raises(
        PluginError, match=r"plugin 'fruit' \(fruit 1.0\) and plugin 'other' .* both offer a kernel"
    ):
        torch.use_kernels("FRUIT")
    with torch.use_kernels("other"):
        assert origin(ops.fruit.half, "cpu") == "plugin"


def test_what_the_host_would_compute_a_plugin_computes(site):
    op = next(op for op in OPS.values() if hasattr(op, "kernels") and origin(op, "minimal") == "host")

    class Late:
        @plugins.hookimpl
        def plugrad_kernels(self):
            return [plugins.KernelSpec(op.name, "minimal", "builtins:len")]

    plugins.register(Late())
    assert origin(op, "minimal") == "plugin"


def test_a_registered_plugin_is_found_by_ops_that_looked_before(site):
    op = elementwise("fruit::half", "x", x=lambda g: g / 2)
    x = torch.tensor([2.0])
    with pytest.raises(DeviceError, match="has no kernel for 'fruit::half'"):
        op(x)

    class Late:
        @plugins.hookimpl
        def plugrad_kernels(self):
            return [plugins.KernelSpec("fruit::half", "cpu", "fruit_cpu:half")]

    (site.folder / "fruit_cpu.py").write_text(counting("x / 2"))
    plugins.register(Late())
    assert op(x).tolist() == [1.0]


def test_what_the_host_computed_before_a_plugin_was_registered_the_plugin_computes(site):
    op = OPS["bitcast"]
    x = torch.tensor([1.0], device="minimal")
    with torch.fallback("allow"):
        assert op(x, torch.int32).tolist() == [1065353216]

    class Late:
        @plugins.hookimpl
        def plugrad_kernels(self):
            return [plugins.KernelSpec("bitcast", "minimal", "fruit_cpu:seven")]

    (site.folder / "fruit_cpu.py").write_text("def seven(x, dtype): return x * 0 + 7")
    plugins.register(Late())
    assert op(x, torch.float32).tolist() == [7.0]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "fruit_cpu:number",
            "kernel of 'fruit::half' for device 'cpu': 'fruit_cpu:number' is 3: name a function of",
        ),
        ("fruit_cpu:missing", "'fruit_cpu' has no 'missing', which its plugin names"),
        ("nowhere:half", "there is no module 'nowhere'"),
    ],
)
def test_a_kernel_that_is_none_raises_rather_than_gives_way(site, target, text):
    source = HEAD + OPS_HOOK + offers(f"KernelSpec('fruit::half', 'cpu', '{target}')")
    fruit_ops = FRUIT.format(default="default=lambda x: x * 0.5")
    site.stranger("fruit", source, fruit_ops=fruit_ops, fruit_cpu=counting("x / 2"))
    with pytest.raises(PluginError, match=text):
        half_of([2.0])


def test_a_kernel_that_fails_names_the_op(site):
    source = HEAD + OPS_HOOK + offers("KernelSpec('fruit::half', 'cpu', 'fruit_cpu:broken')")
    site.stranger("fruit", source, fruit_ops=FRUIT.format(default=""), fruit_cpu=counting("x / 2"))
    with pytest.raises(RuntimeError, match=r"fruit::half\(float32\[1\]\): no driver"):
        half_of([2.0])


def test_a_kernel_of_a_composite_is_reported(site):
    source = HEAD + OPS_HOOK + offers("KernelSpec('fruit::half', 'cpu', 'fruit_cpu:half')")
    site.stranger("fruit", source, fruit_ops="def half(x): return x / 2")
    with pytest.warns(
        PluginWarning, match="kernel of 'fruit::half' for device 'cpu' is never used, since <function"
    ):
        assert half_of([2.0]) == [1.0]


# ---- use_kernels


@pytest.fixture
def fast(site):
    """A package that replaces exp, on the CPU and the minimal device; its exp is 7."""
    specs = [f"KernelSpec('exp', '{device}', 'fast_ops:exp')" for device in ("cpu", "minimal")]
    site.stranger("fast", HEAD + offers(*specs), fast_ops=counting("x / 2"))
    return site


def exp_of_zero(device="cpu"):
    return torch.exp(torch.zeros(1, device=device)).item()


def test_use_kernels_holds_until_it_is_undone(fast):
    assert exp_of_zero() == 1
    chosen = torch.use_kernels("fast")
    assert repr(chosen) == "use_kernels('fast')"
    assert (exp_of_zero(), exp_of_zero("minimal")) == (7, 7)
    assert origin(OPS["exp"], "cpu") == "plugin"
    torch.use_kernels(None)
    assert (exp_of_zero(), exp_of_zero("minimal")) == (1, 1)


@pytest.mark.parametrize("vendor", ["fast", "fast-plugrad", "Fast_Plugrad"])
def test_use_kernels_as_a_context_manager(fast, vendor):
    with torch.use_kernels(vendor) as chosen:
        assert chosen.vendor == vendor
        assert exp_of_zero() == 7
        with torch.use_kernels(None):
            assert exp_of_zero() == 1
        assert exp_of_zero() == 7
    assert exp_of_zero() == 1


def test_use_kernels_reaches_calls_of_every_kind(fast):
    x = torch.zeros(2, requires_grad=True)
    f = torch.exp
    (g,) = torch.autograd.grad(f(x).sum(), x)  # compiled before
    buffer = torch.zeros(2)
    buffer.exp_()
    with torch.use_kernels("fast"):
        assert f(x).tolist() == [7, 7]
        assert torch.autograd.grad(f(x).sum(), x)[0].tolist() == [7, 7]  # exp' is the output
        with torch.inference_mode():
            assert f(x).tolist() == [7, 7]
        assert torch.func.vmap(f)(torch.zeros(2)).tolist() == [7, 7]
        assert buffer.exp_().tolist() == [7, 7]
        assert ops.exp(np.zeros(1)).tolist() == [7]
        assert ops.exp.raw(np.zeros(1)).tolist() == [7]
    assert f(x).tolist() == [1, 1]
    assert g.tolist() == [1, 1]
    assert ops.exp.raw(np.zeros(1)).tolist() == [1]


def test_use_kernels_reaches_writes(site):
    site.stranger(
        "fast",
        HEAD + offers("KernelSpec('multiply', 'cpu', 'fast_ops:seven')"),
        fast_ops="def seven(x, y): return x - x + 7",
    )

    def doubled():
        x = torch.ones(2)
        x *= 2
        return x.tolist()

    assert doubled() == doubled() == [2, 2]
    with torch.use_kernels("fast"):
        assert doubled() == [7, 7]
    assert doubled() == [2, 2]


def test_the_vendor_that_was_chosen_last_comes_first_and_leaves_in_any_order(fast):
    source = HEAD + offers("KernelSpec('exp', 'cpu', 'rapid_ops:eight')")
    fast.stranger("rapid", source, rapid_ops="def eight(x): return x * 0 + 8")
    one, two = torch.use_kernels("fast"), torch.use_kernels("rapid")
    assert (exp_of_zero(), exp_of_zero("minimal")) == (8, 7)
    one.__exit__(None, None, None)
    assert (exp_of_zero(), exp_of_zero("minimal")) == (8, 1)
    two.__exit__(None, None, None)
    assert exp_of_zero() == 1


def test_an_unknown_vendor(fast):
    fast.stranger("broken", "raise OSError('no driver')")
    fast.stranger("idle", HEAD + OPS_HOOK)
    with pytest.warns(PluginWarning), pytest.raises(PluginError) as raised:
        torch.use_kernels("acme")
    failed = "plugin 'broken' (broken-plugrad 1.0) failed to load: OSError: no driver"
    known = "use_kernels: no plugin that is called 'acme' is loaded; those that offer kernels: 'fast'"
    assert str(raised.value) == f"{known}; {failed}"
    with pytest.raises(PluginError, match="no driver") as raised:
        torch.use_kernels("broken")
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(
        PluginError, match=r"plugin 'idle' \(idle-plugrad 1.0\) offers no kernel: its package has"
    ):
        torch.use_kernels("idle")
    with pytest.raises(
        TypeError, match="use_kernels: found 3: give the name of a plugin or distribution, or None"
    ):
        torch.use_kernels(3)
    assert exp_of_zero() == 1


def test_a_name_that_two_packages_have(fast):
    fast.install("other", "fast = other_fast", other_fast=HEAD + offers("KernelSpec('log', 'cpu', 'x:y')"))
    with pytest.raises(
        PluginError, match=r"'fast' is the name of plugin 'fast' \(fast-plugrad 1.0\) and plugin 'fast'"
    ):
        torch.use_kernels("fast")
    with torch.use_kernels("fast-plugrad"):
        assert exp_of_zero() == 7


def test_kernels_that_are_never_used_are_reported(site):
    site.stranger("fast", HEAD + offers("KernelSpec('nonsense', 'cpu', 'a:b')"))
    reason = "plugrad has no operator of that name"
    with pytest.warns(
        PluginWarning, match=f"the kernel of 'nonsense' that 'fast' offers is never used: {reason}"
    ):
        torch.use_kernels("fast")


def test_a_kernel_of_a_composite_serves_where_it_was_chosen(site):
    site.stranger(
        "fast", HEAD + offers("KernelSpec('mish', 'cpu', 'fast_ops:exp')"), fast_ops=counting("x * 0 + 7")
    )
    x = torch.zeros(1, requires_grad=True)
    assert (origin(OPS["mish"], "cpu"), torch.ops.mish(x).item()) == ("composite", 0)
    with torch.use_kernels("fast"):
        y = torch.ops.mish(x)
        assert (origin(OPS["mish"], "cpu"), y.item(), y.grad_fn.name()) == ("plugin", 7, "MishBackward0")
        assert torch.autograd.grad(y, x)[0].item() == pytest.approx(0.6)  # the body's
    assert torch.ops.mish(x).item() == 0


def test_threads_see_one_kernel_or_the_other(fast):
    found, stop = set(), threading.Event()

    def compute():
        while not stop.is_set():
            found.add(exp_of_zero())

    threads = [threading.Thread(target=compute) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with torch.use_kernels("fast"):
            pass
    stop.set()
    for thread in threads:
        thread.join()
    assert found <= {1, 7}
    assert exp_of_zero() == 1
