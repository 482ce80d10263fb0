"""Plugins: what they may declare, how they are found, and that one's failure stays its own."""

import importlib
import sys
import threading
import types

import pytest

from plugrad.errors import DeviceError, PluginError, PluginWarning
from plugrad.plugins import BackendSpec, CheckSpec, CommandSpec, KernelSpec, OpSpec, Registry, hookimpl, load
from plugrad.plugins.loader import other_distributions, own_distributions
from tests.sites import BANANA, Site, fresh_site, message_of, plugin, run


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site with plugrad's own plugin in it."""
    yield from fresh_site(tmp_path, monkeypatch)


# ---- what a plugin may declare


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: BackendSpec(3, "a:B"), TypeError, r"BackendSpec.device_type is 3 \(int\): give a str"),
        (lambda: BackendSpec("GPU!", "a:B"), ValueError, "device_type is 'GPU!': give a device type such as"),
        (lambda: BackendSpec("x", "a.B"), ValueError, "BackendSpec.target is 'a.B': give an import string"),
        (lambda: BackendSpec("x", "a:B", requires="lib"), TypeError, r"give a tuple, \('lib',\)"),
        (
            lambda: BackendSpec("x", "a:B", requires=["lib"]),
            TypeError,
            r"\['lib'\] \(list\): give a tuple of",
        ),
        (lambda: BackendSpec("x", "a:B", requires=("",)), ValueError, "requires holds '': give the name of"),
        (lambda: BackendSpec("x", "a:B", extra=1), TypeError, "BackendSpec.extra is 1"),
        (lambda: BackendSpec("x", "a:B", api=1), TypeError, r"api is 1 \(int\): give two integers, \(1, 0\)"),
        (lambda: BackendSpec("x", "a:B", api=(0, True)), TypeError, "give two integers"),
        (lambda: BackendSpec("x", "a:B", api=()), ValueError, r"api is \(\): give \(major, minor\)"),
        (lambda: BackendSpec("x", "a:B", api=(0, -1)), ValueError, r"give \(major, minor\)"),
        (lambda: BackendSpec("x", "a:B", array_types=("Array",)), ValueError, "an array type such as"),
        (lambda: OpSpec("blur", "a:B"), ValueError, "OpSpec.name is 'blur': give an operator's name such as"),
        (lambda: OpSpec("mylib::blur", None), TypeError, "OpSpec.target is None"),
        (lambda: KernelSpec("my blur", "x", "a:B"), ValueError, "KernelSpec.op is 'my blur'"),
        (lambda: KernelSpec("mylib::blur", 1, "a:B"), TypeError, "KernelSpec.device_type is 1"),
        (lambda: CommandSpec("Tune!", "a:B", "x"), ValueError, "CommandSpec.name is 'Tune!': give a command"),
        (lambda: CommandSpec("tune", "a:B", ""), ValueError, "CommandSpec.help is '': give one line of text"),
        (lambda: CommandSpec("tune", "a:B", "a\nb"), ValueError, "give one line of text"),
        (
            lambda: CheckSpec("Driver?", "a:B"),
            ValueError,
            "CheckSpec.name is 'Driver[?]': give a check's name",
        ),
    ],
)
def test_a_wrong_spec_says_what_to_give(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_specs_are_values():
    assert BackendSpec("x", "a.b:C.d") == BackendSpec("x", "a.b:C.d", requires=(), api=(1, 0))
    assert len({KernelSpec("l::o", "x", "a:b"), KernelSpec("l::o", "x", "a:b")}) == 1
    with pytest.raises(AttributeError):
        OpSpec("l::o", "a:b").name = "l::p"


# ---- plugrad's own


@pytest.mark.parametrize("device", ["cpu", "cuda", "opencl"])
def test_own_devices_are_found_without_touching_strangers(site, device):
    site.stranger("acme", plugin(BANANA))
    registry = site.registry()
    assert registry.find_backend(device).device_type == device
    assert [spec.device_type for spec in registry.backend_specs()] == ["cpu", "cuda", "opencl"]
    assert site.calls == ["own"]
    assert "acme" not in sys.modules


def test_arrays_find_their_backend_by_type_or_base(site):
    import numpy

    site.stranger("acme", plugin(BANANA), acme_arrays="class Array: pass\nclass Sub(Array): pass")
    registry = site.registry()
    mine = type("Mine", (numpy.ndarray,), {})
    for array_type in (numpy.ndarray, numpy.memmap, mine):
        assert registry.find_backend_for_array(array_type).device_type == "cpu"
    assert site.calls == ["own"]
    acme_arrays = importlib.import_module("acme_arrays")
    for array_type in (acme_arrays.Array, acme_arrays.Sub):
        assert registry.find_backend_for_array(array_type).device_type == "banana"
    for array_type in (list, object, Site):
        assert registry.find_backend_for_array(array_type) is None
    assert site.calls == ["own", "others"]


def test_not_installed(site):
    registry = Registry(own=list, others=lambda: site._found(False))
    site.stranger("acme", plugin(BANANA))
    cure = "plugrad is not installed as a distribution.*pip install -e ."
    with pytest.raises(DeviceError, match=f"device 'cpu' is unknown: {cure}"):
        registry.find_backend("cpu")
    with pytest.raises(DeviceError, match=f"device 'banana' is unknown: {cure}"):
        registry.find_backend("banana")
    with pytest.raises(DeviceError, match=f"array type 'builtins:list' is unknown: {cure}"):
        registry.find_backend_for_array(list)
    with pytest.raises(DeviceError, match=cure):
        registry.backend_specs()
    assert "acme" not in sys.modules


def test_a_broken_own_plugin_leaves_its_devices_to_nobody(site):
    (site.folder / "plugrad-0.1.0.dist-info/entry_points.txt").write_text("[plugrad]\nbuiltin = nowhere\n")
    site.stranger("acme", plugin('BackendSpec("cpu", "acme:Rival")', BANANA))
    registry = site.registry()
    with (
        pytest.warns(PluginWarning, match="'builtin'"),
        pytest.raises(
            DeviceError,
            match=r"device 'cpu' is unknown: plugrad knows no device; "
            r"plugin 'builtin' \(plugrad 0.1.0\) failed to load: ModuleNotFoundError: No module named",
        ),
    ):
        registry.find_backend("cpu")
    assert "acme" not in sys.modules
    assert registry.find_backend("banana").device_type == "banana"
    with pytest.raises(DeviceError, match="device 'cpu' is unknown"):
        registry.find_backend("cpu")
    assert registry.records()[1].rejected == (
        "device 'cpu' is reserved for plugrad itself: give it another name",
    )


# ---- strangers


def test_a_strangers_device_is_found(site):
    site.stranger("acme", plugin(BANANA))
    registry = site.registry()
    assert registry.find_backend("banana").target == "acme_backend:Banana"
    everything = [spec.device_type for spec in registry.backend_specs(all=True)]
    assert everything == ["cpu", "cuda", "opencl", "banana"]
    assert [(r.name, r.distribution, r.value, r.state, str(r)) for r in registry.records()] == [
        (
            "builtin",
            "plugrad 0.1.0",
            "plugrad_backends",
            "loaded",
            "plugin 'builtin' (plugrad 0.1.0) is loaded",
        ),
        ("acme", "acme-plugrad 1.0", "acme", "loaded", "plugin 'acme' (acme-plugrad 1.0) is loaded"),
    ]
    assert site.calls == ["own", "others"]


def test_an_unknown_device_lists_what_is_known(site):
    expected = (
        "device 'banana' is unknown: plugrad knows 'cpu', 'cuda', 'opencl'; no installed plugin offers it"
    )
    assert message_of(site.registry().find_backend, "banana") == expected


def test_all_hooks_are_read(site):
    site.stranger(
        "acme",
        """
from plugrad.plugins import KernelSpec, OpSpec, hookimpl

@hookimpl
def plugrad_ops():
    return [OpSpec("acme::blur", "acme_ops:blur")]

@hookimpl
def plugrad_kernels():
    return (KernelSpec("acme::blur", "cpu", "acme_ops:blur_cpu"),)

@hookimpl(optionalhook=True)
def plugrad_of_a_later_release(whatever):
    raise AssertionError
""",
    )
    (record,) = site.registry().records()[1:]
    assert record.state == "loaded"
    assert {spec.what for spec in record.specs} == {
        "operator 'acme::blur'",
        "kernel of 'acme::blur' for device 'cpu'",
    }


HOOK = "from plugrad.plugins import BackendSpec, OpSpec, hookimpl\n@hookimpl\n"
FAILURES = {
    "raises": ("raise OSError('no libbanana.so')", "OSError: no libbanana.so"),
    "exits": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "syntax": ("def", "SyntaxError: invalid syntax"),
    "unprintable": (
        "class Boom(Exception):\n    def __str__(self): raise ValueError\nraise Boom",
        "Boom (its message cannot be printed)",
    ),
    "hook raises": (f"{HOOK}def plugrad_backends(): 1 / 0", "ZeroDivisionError: division by zero"),
    "hook exits": (f"{HOOK}def plugrad_backends(): raise SystemExit(3)", "SystemExit: 3"),
    "returns nothing": (
        f"{HOOK}def plugrad_backends(): pass",
        "TypeError: plugrad_backends returned a NoneType, None: return a list of BackendSpec",
    ),
    "returns one": (
        f"{HOOK}def plugrad_ops(): return OpSpec('a::b', 'c:d')",
        "TypeError: plugrad_ops returned a OpSpec",
    ),
    "yields": (f"{HOOK}def plugrad_backends(): yield", "plugrad_backends returned a generator"),
    "returns others": (
        f"{HOOK}def plugrad_backends(): return [OpSpec('a::b', 'c:d')]",
        "in it: return a list of BackendSpec",
    ),
    "returns twins": (
        f"{HOOK}def plugrad_backends(): return [BackendSpec('x', 'a:b'), BackendSpec('x', 'c:d')]",
        "PluginError: it offers device 'x' more than once",
    ),
    "bad spec": (
        f"{HOOK}def plugrad_backends(): return [BackendSpec('X', 'a:b')]",
        "ValueError: BackendSpec",
    ),
    "bad signature": (f"{HOOK}def plugrad_backends(config): return []", "PluginValidationError"),
    "unknown hook": (
        f"{HOOK}def plugrad_backend(): return []",
        "it implements 'plugrad_backend', but the hooks of plugrad are 'plugrad_backends', 'plugrad_ops'",
    ),
    "no hook": ("def plugrad_backends(): return []", "it implements no hook: mark its functions with @"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_plugins_failure_is_its_own(site, case):
    source, text = FAILURES[case]
    site.stranger("broken", source)
    site.stranger("acme", plugin(BANANA))
    registry = site.registry()
    with pytest.warns(PluginWarning) as warned:
        assert registry.find_backend("banana").device_type == "banana"
    (warning,) = warned
    assert str(warning.message).startswith("plugin 'broken' (broken-plugrad 1.0) failed to load: ")
    assert text in str(warning.message)
    assert "PLUGRAD_DISABLE_PLUGINS=broken" in str(warning.message)

    assert registry.find_backend("cpu").device_type == "cpu"
    with pytest.raises(
        DeviceError, match="plugrad knows 'cpu', 'cuda', 'opencl', 'banana'; plugin 'broken'"
    ) as raised:
        registry.find_backend("cherry")  # told again, and not warned again: warnings are errors here
    assert text in str(raised.value)
    (record,) = (record for record in registry.records() if record.state != "loaded")
    assert (record.name, record.state, record.specs) == ("broken", "failed", ())
    assert raised.value.__cause__ is record.error
    assert type(record.error).__name__ in record.traceback_text


def test_a_keyboard_interrupt_passes_and_leaves_no_half_read_stage(site):
    once = "import builtins\nif not hasattr(builtins, 'again'): builtins.again = 1; raise KeyboardInterrupt"
    site.stranger("acme", plugin(BANANA, before=once))
    registry = site.registry()
    try:
        with pytest.raises(KeyboardInterrupt):
            registry.find_backend("banana")
        assert registry.find_backend("banana").device_type == "banana"
    finally:
        del importlib.import_module("builtins").again


def test_prints_at_import_are_harmless(site, capsys):
    site.stranger("acme", plugin(BANANA, before="print('hello')"))
    registry = site.registry()
    assert registry.find_backend("banana").device_type == "banana"
    assert capsys.readouterr().out == ""
    assert registry.records()[1].output == "hello\n"
    print("still there")
    assert capsys.readouterr().out == "still there\n"


@pytest.mark.parametrize(
    ("api", "text"),
    [
        ((1, 1), "for plugin API 1.1, this plugrad has 1.0: upgrade plugrad"),
        ((2, 0), "for plugin API 2.0, this plugrad has 1.0: upgrade plugrad"),
    ],
)
def test_a_later_api_is_incompatible(site, api, text):
    site.stranger("acme", plugin(f'BackendSpec("banana", "acme:B", api={api})'))
    registry = site.registry()
    expected = f"plugin 'acme' (acme-plugrad 1.0) is incompatible: it offers device 'banana' {text}"
    with pytest.warns(PluginWarning, match="is incompatible"):
        assert expected in message_of(registry.find_backend, "banana")
    assert registry.records()[1].state == "incompatible"
    assert len(registry.backend_specs(all=True)) == 3


def test_an_earlier_api_is_incompatible_only_by_its_major(site, monkeypatch):
    monkeypatch.setattr("plugrad.plugins.loader.API", (2, 0))
    site.stranger("acme", plugin(BANANA))
    registry = Registry(own=list, others=lambda: site._found(False))
    with pytest.warns(PluginWarning, match="for plugin API 1.0, this plugrad has 2.0: upgrade the plugin"):
        registry.records()
    monkeypatch.setattr("plugrad.plugins.loader.API", (1, 7))
    assert site.registry().find_backend("banana").device_type == "banana"


def test_of_two_strangers_neither_wins(site):
    site.stranger("acme", plugin(BANANA))
    site.stranger(
        "bits", plugin(BANANA, 'BackendSpec("cherry", "bits:Cherry")'), acme_arrays="class Array: pass"
    )
    registry = site.registry()
    both = (
        "is offered by plugin 'acme' (acme-plugrad 1.0) and plugin 'bits' (bits-plugrad 1.0): "
        "uninstall all but one of them, or disable one by PLUGRAD_DISABLE_PLUGINS=bits"
    )
    assert message_of(registry.find_backend, "banana") == f"device 'banana' {both}"
    array_type = importlib.import_module("acme_arrays").Array
    assert message_of(registry.find_backend_for_array, array_type) == f"array type 'acme_arrays:Array' {both}"
    assert registry.find_backend("cherry").device_type == "cherry"


def test_two_plugins_of_one_name_and_one_module_under_two_names(site):
    site.install("one", "same = first", first=plugin(BANANA))
    site.install("two", "same = second\nalias = first", second=plugin('BackendSpec("cherry", "second:C")'))
    registry = site.registry()
    assert registry.find_backend("cherry").device_type == "cherry"
    assert "plugin 'same' (one 1.0) and plugin 'alias' (two 1.0)" in message_of(
        registry.find_backend, "banana"
    )


def test_built_in_devices_and_arrays_are_reserved(site):
    twin = 'BackendSpec("twin", "acme:Twin", array_types=("numpy:ndarray",))'
    site.stranger("acme", plugin('BackendSpec("cuda", "acme:Rival")', twin, BANANA))
    registry = site.registry()
    assert registry.find_backend("banana").device_type == "banana"
    assert registry.find_backend("cuda").target == "plugrad_backends.cupy:CuPyBackend"
    assert "device 'twin' is unknown" in message_of(registry.find_backend, "twin")
    record = registry.records()[1]
    assert [spec.device_type for spec in record.specs] == ["banana"]
    assert record.rejected == (
        "device 'cuda' is reserved for plugrad itself: give it another name",
        "device 'twin': array type 'numpy:ndarray' belongs to device 'cpu'",
    )


# ---- the environment


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("PLUGRAD_DISABLE_PLUGINS", "other, acme", "PLUGRAD_DISABLE_PLUGINS names it"),
        ("PLUGRAD_DISABLE_PLUGINS", "*", "PLUGRAD_DISABLE_PLUGINS is '*'"),
        ("PLUGRAD_PLUGINS", "other,acm", "PLUGRAD_PLUGINS does not name it"),
    ],
)
def test_the_environment_disables_before_import(site, monkeypatch, variable, value, reason):
    monkeypatch.setenv(variable, value)
    site.stranger("acme", plugin(BANANA))
    registry = site.registry()
    text = message_of(registry.find_backend, "banana")
    assert f"plugin 'acme' (acme-plugrad 1.0) is disabled: the environment variable {reason}" in text
    assert "acme" not in sys.modules
    assert registry.records()[1].state == "disabled"
    assert registry.find_backend("cpu").device_type == "cpu"


@pytest.mark.parametrize("value", ["acme", " acme ,other", "", ","])
def test_the_environment_allows(site, monkeypatch, value):
    monkeypatch.setenv("PLUGRAD_PLUGINS", value)
    site.stranger("acme", plugin(BANANA))
    assert site.registry().find_backend("banana").device_type == "banana"


def test_plugrads_own_plugin_is_disabled_only_by_name(site, monkeypatch):
    monkeypatch.setenv("PLUGRAD_DISABLE_PLUGINS", "builtin")
    assert "plugin 'builtin' (plugrad 0.1.0) is disabled" in message_of(site.registry().find_backend, "cpu")


# ---- the metadata of installed distributions


def test_broken_metadata_harms_only_its_own_plugins(site):
    site.install("acme", "acme = acme", acme=plugin(BANANA))
    site.install("garbled", "this is not an entry")
    (site.folder / "empty-1.0.dist-info").mkdir()
    (site.folder / "binary-1.0.dist-info").mkdir()
    (site.folder / "binary-1.0.dist-info/entry_points.txt").write_bytes(b"\xff[plugrad]\xff")
    nameless = site.folder / "nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[plugrad]\nnameless = acme_nameless\n")
    (site.folder / "acme_nameless.py").write_text(plugin('BackendSpec("cherry", "a:B")'))
    ours = [d for d in other_distributions() if str(site.folder) in str(d.locate_file(""))]
    assert len(ours) == 3
    registry = Registry(own=own_distributions, others=lambda: ours)
    with pytest.warns(PluginWarning, match=r"plugin 'garbled' \(garbled 1.0\) failed to load"):
        assert registry.find_backend("banana").device_type == "banana"
    assert registry.find_backend("cherry").device_type == "cherry"


def test_the_first_distribution_on_the_path_counts(site):
    site.install("Acme.Bananas", "acme = acme", version="2.0", acme=plugin(BANANA))
    elsewhere = Site(site.folder / "elsewhere")
    elsewhere.folder.mkdir()
    elsewhere.install("acme-bananas", "acme = old_acme", version="1.0")
    sys.path.append(str(elsewhere.folder))  # undone with the fixture's syspath_prepend
    versions = [d.version for d in other_distributions() if d.name.lower().startswith("acme")]
    assert versions == ["2.0"]
    assert own_distributions()[0].version == "0.1.0"


# ---- threads


def test_threads_share_one_discovery(site):
    site.stranger("acme", plugin(BANANA, before="import time; time.sleep(0.05)"))
    registry = site.registry()
    barrier = threading.Barrier(8)
    found = []

    def ask():
        barrier.wait()
        found.append(registry.find_backend("banana"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [registry.find_backend("banana")] * 8
    assert site.calls == ["own", "others"]


def test_a_plugin_may_look_up_while_it_is_imported(site, monkeypatch):
    registry = site.registry()
    monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", registry)
    ask = "import plugrad.plugins\nassert plugrad.plugins.find_backend('cpu').device_type == 'cpu'"
    site.stranger("acme", plugin(BANANA, before=ask))
    assert registry.find_backend("banana").device_type == "banana"
    assert site.calls == ["own", "others"]


# ---- plugins registered by hand


def module(**hooks) -> types.ModuleType:
    made = types.ModuleType("mine")
    for name, result in hooks.items():
        setattr(made, name, hookimpl(specname=name)(lambda result=result: result))
    return made


def test_register_by_hand(site):
    registry = site.registry()
    record = registry.register(module(plugrad_backends=[BackendSpec("banana", "a:B", array_types=("x:Y",))]))
    assert (record.name, record.distribution, record.state) == ("mine", "registered by hand", "loaded")
    assert registry.find_backend("banana").target == "a:B"
    assert registry.find_backend_for_array(type("Y", (), {"__module__": "x"})).target == "a:B"
    assert record in registry.records()

    again = module(plugrad_backends=[BackendSpec("banana", "a:B", array_types=("x:Y",))])
    assert registry.register(again) is record

    class Plugin:
        @hookimpl
        def plugrad_backends(self):
            return [BackendSpec("cherry", "a:C")]

    assert registry.register(Plugin()).name == "Plugin"
    assert registry.find_backend("cherry").target == "a:C"


@pytest.mark.parametrize(
    ("specs", "text"),
    [
        (None, "plugin 'mine' (registered by hand) failed to load: TypeError: plugrad_backends returned"),
        ([BackendSpec("x", "a:B", api=(1, 9))], "is incompatible: it offers device 'x' for plugin API 1.9"),
        ([BackendSpec("cpu", "a:B")], "cannot be registered: device 'cpu' is reserved for plugrad itself"),
        ([BackendSpec("kiwi", "c:D")], "plugin 'mine' (registered by hand) offers device 'kiwi' already"),
    ],
)
def test_register_raises_on_failure(site, specs, text):
    registry = site.registry()
    kept = registry.register(module(plugrad_backends=[BackendSpec("kiwi", "a:B")]))
    assert text in message_of(registry.register, module(plugrad_backends=specs))
    assert registry.find_backend("kiwi") in kept.specs
    assert len(registry.records()) == 2


def test_what_was_registered_comes_before_strangers(site):
    site.stranger("acme", plugin(BANANA))
    registry = site.registry()
    registry.register(module(plugrad_backends=[BackendSpec("banana", "a:B")]))
    assert registry.find_backend("banana").target == "a:B"
    assert "acme" not in sys.modules


# ---- loading what a spec names


def test_load_imports_the_target(site):
    (site.folder / "acme_backend.py").write_text("class Outer:\n    class Inner: pass\n")
    target = load(BackendSpec("banana", "acme_backend:Outer.Inner", requires=("numpy", "pluggy")))
    assert target is sys.modules["acme_backend"].Outer.Inner


def test_a_requirement_may_be_a_distribution_or_a_module_without_spec(site, monkeypatch):
    (site.folder / "acme_backend.py").write_text("Banana = 1")
    monkeypatch.setitem(sys.modules, "handmade", types.ModuleType("handmade"))
    site.install("banana-lib", "")
    for requirement in ("handmade", "handmade.part", "banana-lib"):
        assert load(BackendSpec("banana", "acme_backend:Banana", requires=(requirement,))) == 1


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            BackendSpec("opencl", "nowhere:X", requires=("no_such_lib",), extra="opencl"),
            "device 'opencl' needs 'no_such_lib', which is not installed: pip install \"plugrad[opencl]\"",
        ),
        (
            BackendSpec("banana", "nowhere:X", requires=("no_lib", "os", "no-lib.too")),
            "device 'banana' needs 'no_lib', 'no-lib.too', which are not installed: "
            "install 'no_lib', 'no-lib.too' first",
        ),
        (
            BackendSpec("opencl", "plugrad_backends.nowhere:X", requires=("os",)),
            "this release of plugrad has no backend for device 'opencl' yet "
            "(no module 'plugrad_backends.nowhere'): use device 'cpu', or upgrade plugrad",
        ),
        (
            BackendSpec("banana", "nowhere.at_all:X"),
            "device 'banana': there is no module 'nowhere.at_all', which its plugin names: "
            "upgrade or reinstall the plugin's package",
        ),
        (
            BackendSpec("banana", "os:No.Such"),
            "device 'banana': 'os' has no 'No.Such', which its plugin names",
        ),
        (
            BackendSpec("banana", "broken_backend:X"),
            "device 'banana': importing 'broken_backend' failed: OSError: no driver",
        ),
        (
            BackendSpec("banana", "needy_backend:X"),
            "device 'banana': importing 'needy_backend' failed: ModuleNotFoundError: No module named",
        ),
        (BackendSpec("banana", "exit_backend:X"), "importing 'exit_backend' failed: SystemExit: 1"),
        (OpSpec("acme::blur", "os:blur"), "operator 'acme::blur': 'os' has no 'blur'"),
        (
            KernelSpec("acme::blur", "cpu", "nowhere:k"),
            "kernel of 'acme::blur' for device 'cpu': there is no",
        ),
    ],
)
def test_load_says_what_is_missing(site, spec, text):
    (site.folder / "broken_backend.py").write_text("raise OSError('no driver')")
    (site.folder / "needy_backend.py").write_text("import nowhere")
    (site.folder / "exit_backend.py").write_text("raise SystemExit(1)")
    expected = DeviceError if isinstance(spec, BackendSpec) else PluginError
    with pytest.raises(expected) as raised:
        load(spec)
    assert text in str(raised.value)


# ---- the doors of plugrad.plugins, each in a process of its own


def test_importing_reads_no_plugin(site):
    site.stranger("acme", plugin(BANANA))
    run(
        site,
        """
import sys
import plugrad, plugrad.plugins
lazy = ["pluggy", "plugrad_backends", "plugrad.plugins.registry", "plugrad.plugins.specs", "acme"]
assert not [name for name in lazy if name in sys.modules]
assert {"hookimpl", "BackendSpec", "find_backend"} <= set(dir(plugrad.plugins))
""",
    )


def test_the_doors_in_an_environment_of_strangers(site):
    site.stranger("acme", plugin(BANANA))
    site.stranger("broken", "raise OSError('no driver')")
    output = run(
        site,
        """
import sys
from plugrad import plugins
assert [spec.device_type for spec in plugins.backend_specs()] == ["cpu", "cuda", "opencl"]
assert plugins.find_backend("cpu").target == "plugrad_backends.numpy:NumPyBackend"
assert "acme" not in sys.modules and "broken" not in sys.modules
try:
    plugins.find_backend("kiwi")
except RuntimeError as error:
    print(error)
assert plugins.find_backend("banana").target == "acme_backend:Banana"
assert {r.name: r.state for r in plugins.records()}["broken"] == "failed"
class Plugin:
    @plugins.hookimpl
    def plugrad_backends(self):
        return [plugins.BackendSpec("kiwi", "os:getcwd")]
assert plugins.register(Plugin()).state == "loaded"
import os
assert plugins.load(plugins.find_backend("kiwi")) is os.getcwd
""",
    )
    failed = "plugin 'broken' (broken-plugrad 1.0) failed to load: OSError: no driver"
    assert "device 'kiwi' is unknown: plugrad knows 'cpu', 'cuda', 'opencl', 'banana'" in output
    assert output.count(f"PluginWarning: {failed}") == 1
    assert output.count(failed) == 2


def test_an_unknown_name_of_the_package():
    with pytest.raises(AttributeError, match=r"module 'plugrad.plugins' has no attribute 'nonsense'"):
        importlib.import_module("plugrad.plugins").nonsense  # noqa: B018
