"""What plugins offer besides backends: look-ups of operators, kernels, commands, checks and default devices."""

import os
import subprocess
import sys
import threading
import warnings

import pytest

from plugrad.errors import DeviceError, PluginError, PluginWarning
from plugrad.plugins import KernelSpec, OpSpec, hookimpl
from tests.sites import BANANA, fresh_site, message_of, plugin, run


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site with plugrad's own plugin in it."""
    yield from fresh_site(tmp_path, monkeypatch)


def hooks(**lists: str) -> str:
    """The source of a plugin module: hook names, and the expressions of what they return."""
    source = "from plugrad.plugins import BackendSpec, CheckSpec, CommandSpec, KernelSpec, OpSpec, hookimpl\n"
    return source + "".join(f"@hookimpl\ndef {hook}(): return {value}\n" for hook, value in lists.items())


BLUR = "OpSpec('acme::blur', 'acme_ops:blur')"


# ---- operators


def test_an_operator_is_found(site):
    site.stranger("acme", hooks(plugrad_ops=f"[{BLUR}, OpSpec('acme::edge', 'acme_ops:edge')]"))
    registry = site.registry()
    assert registry.find_op("acme::blur").target == "acme_ops:blur"
    assert [spec.name for spec in registry.op_specs()] == []
    assert [spec.name for spec in registry.op_specs(all=True)] == ["acme::blur", "acme::edge"]
    assert [spec.name for spec in registry.library("acme")] == ["acme::blur", "acme::edge"]
    assert registry.library("bits") == []


def test_an_unknown_operator_lists_its_library(site):
    site.stranger("acme", hooks(plugrad_ops=f"[{BLUR}]"))
    registry = site.registry()
    assert message_of(registry.find_op, "acme::sharpen") == (
        "operator 'acme::sharpen' is unknown: plugrad knows 'acme::blur'; no installed plugin offers it"
    )
    assert message_of(registry.find_op, "bits::blur") == (
        "operator 'bits::blur' is unknown: plugrad knows no operator of 'bits'; no installed plugin offers it"
    )


def test_a_failed_plugin_is_the_cause_of_an_unknown_operator(site):
    site.stranger("broken", "raise OSError('no driver')")
    registry = site.registry()
    with pytest.warns(PluginWarning), pytest.raises(PluginError) as raised:
        registry.find_op("broken::blur")
    failed = "plugin 'broken' (broken-plugrad 1.0) failed to load: OSError: no driver"
    assert str(raised.value).endswith(f"knows no operator of 'broken'; {failed}")
    assert isinstance(raised.value.__cause__, OSError)


def test_the_failed_plugin_of_that_name_comes_first(site):
    site.stranger("another", "raise ValueError('unrelated')")
    site.stranger("broken", "raise OSError('no driver')")
    registry = site.registry()
    for ask in (
        registry.find_backend,
        registry.unknown_library,
        lambda name: registry.find_op(f"{name}::blur"),
    ):
        with pytest.raises((DeviceError, PluginError)) as raised, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raise ask("broken")
        assert "; plugin 'broken' (broken-plugrad 1.0) failed to load: OSError: no driver; plugin" in str(
            raised.value
        )
        assert isinstance(raised.value.__cause__, OSError)


def test_of_two_operators_of_one_name_neither_wins(site):
    site.stranger("acme", hooks(plugrad_ops=f"[{BLUR}]"))
    site.stranger("bits", hooks(plugrad_ops=f"[{BLUR}, OpSpec('bits::edge', 'b:edge')]"))
    registry = site.registry()
    assert not registry.is_contested("acme::blur")  # nothing was read yet
    assert message_of(registry.find_op, "acme::blur") == (
        "operator 'acme::blur' is offered by plugin 'acme' (acme-plugrad 1.0) and plugin 'bits' (bits-plugrad 1.0): "
        "uninstall all but one of them, or disable one by PLUGRAD_DISABLE_PLUGINS=bits"
    )
    assert registry.is_contested("acme::blur")
    assert registry.find_op("bits::edge").target == "b:edge"


def test_an_operator_that_was_registered_comes_before_strangers(site):
    site.stranger("acme", hooks(plugrad_ops=f"[{BLUR}]"))
    registry = site.registry()

    class Mine:
        @hookimpl
        def plugrad_ops(self):
            return [OpSpec("acme::blur", "mine:blur")]

    registry.register(Mine())
    assert registry.find_op("acme::blur").target == "mine:blur"
    assert "acme" not in sys.modules


# ---- kernels


def test_kernels_of_all_plugins_are_listed(site):
    site.stranger(
        "acme",
        hooks(
            plugrad_ops=f"[{BLUR}]",
            plugrad_kernels="[KernelSpec('acme::blur', 'cpu', 'a:k'), KernelSpec('exp', 'banana', 'a:exp')]",
        ),
    )
    site.stranger("bits", hooks(plugrad_kernels="[KernelSpec('acme::blur', 'cpu', 'b:k')]"))
    registry = site.registry()

    def found(op: str, device: str) -> list[tuple[str, str]]:
        return [(spec.target, record.name) for spec, record in registry.kernels_for(op, device)]

    assert found("acme::blur", "cpu") == [("a:k", "acme"), ("b:k", "bits")]
    assert found("exp", "banana") == [("a:exp", "acme")]
    assert found("exp", "cpu") == []


def test_two_registered_plugins_may_offer_one_kernel(site):
    registry = site.registry()
    for name in ("One", "Two"):

        class Plugin:
            @hookimpl
            def plugrad_kernels(self, name=name):
                return [KernelSpec("exp", "banana", "a:exp")]

        Plugin.__name__ = name
        registry.register(Plugin())
    assert len(registry.kernels_for("exp", "banana")) == 2


# ---- commands, checks, default devices


def test_commands_and_checks(site):
    site.stranger(
        "acme",
        hooks(
            plugrad_commands="[CommandSpec('tune', 'acme_cli:main', 'measure the kernels')]",
            plugrad_doctor_checks="[CheckSpec('acme driver', 'acme_cli:driver')]",
        ),
    )
    registry = site.registry()
    ((command, record),) = registry.commands()
    assert (command.name, command.help, record.name) == ("tune", "measure the kernels", "acme")
    assert command.what == "command 'tune'"
    ((check, _),) = registry.checks()
    assert (check.name, check.target, check.what) == ("acme driver", "acme_cli:driver", "check 'acme driver'")


def test_the_default_device_that_plugins_propose(site):
    registry = site.registry()
    assert registry.default_device() == "cpu"
    site.stranger("acme", hooks(plugrad_default_device="'banana:1'"))
    site.stranger("bits", hooks(plugrad_default_device="None"))
    registry = site.registry()
    assert registry.default_device() == "banana:1"
    assert registry.records()[1].default_device == "banana:1"
    site.stranger("rest", hooks(plugrad_default_device="'cherry'"))
    assert message_of(site.registry().default_device) == (
        "default device 'auto': plugin 'acme' (acme-plugrad 1.0) ('banana:1') and plugin 'rest' (rest-plugrad 1.0) "
        "('cherry') disagree: name the device by plugrad.set_default_device"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("3", "TypeError: plugrad_default_device returned a int, 3: return a device such as"),
        ("'GPU'", "ValueError: plugrad_default_device returned 'GPU': return a device"),
        ("'cuda:01'", "ValueError: plugrad_default_device returned 'cuda:01'"),
    ],
)
def test_a_default_device_that_is_none(site, value, text):
    site.stranger("acme", hooks(plugrad_default_device=value))
    with pytest.warns(PluginWarning) as warned:
        assert site.registry().default_device() == "cpu"
    assert text in str(warned[0].message)


# ---- who is told


class Listener:
    """A plugin that notes of whom it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    @hookimpl
    def plugrad_registered(self, record):
        self.heard.append((record.name, record.state))


def test_a_listener_is_told_of_all_plugins_past_and_future(site):
    site.stranger("acme", plugin(BANANA))
    site.stranger("broken", "1 / 0")
    registry = site.registry()
    registry.find_backend("cpu")
    listener = Listener()
    registry.register(listener)
    assert listener.heard == [("builtin", "loaded"), ("Listener", "loaded")]
    with pytest.warns(PluginWarning):
        registry.records()
    assert listener.heard[2:] == [("acme", "loaded"), ("broken", "failed")]


def test_a_listener_among_the_plugins_is_told_once_of_each(site):
    source = (
        "from plugrad.plugins import hookimpl\nheard = []\n"
        "@hookimpl\ndef plugrad_registered(record): heard.append(record.name)\n"
    )
    site.stranger("ears", source)
    site.stranger("acme", plugin(BANANA))
    site.stranger("zebra", hooks(plugrad_ops="[]"))
    registry = site.registry()
    registry.records()
    registry.register(Listener())
    assert sys.modules["ears"].heard == ["builtin", "acme", "ears", "zebra", "Listener"]


def test_a_listener_that_fails_is_reported_once_and_harms_nobody(site):
    class Deaf:
        @hookimpl
        def plugrad_registered(self, record):
            raise SystemExit("no")

    registry = site.registry()
    with pytest.warns(PluginWarning) as warned:
        registry.register(Deaf())
    assert [str(w.message) for w in warned] == [
        "plugin 'Deaf' (registered by hand): its plugrad_registered, told of plugin 'builtin' (plugrad 0.1.0), "
        "failed: SystemExit: no; all else works; silence this by PLUGRAD_DISABLE_PLUGINS=Deaf"
    ]
    assert registry.find_backend("cpu").device_type == "cpu"


# ---- strictness


def test_a_strict_listener_raises(site, monkeypatch):
    monkeypatch.setenv("PLUGRAD_STRICT_PLUGINS", "1")

    class Deaf:
        @hookimpl
        def plugrad_registered(self):
            raise OSError("no ears")

    with pytest.raises(
        PluginError, match=r"plugin 'Deaf' .*: its plugrad_registered, told of .* failed: OSError: no"
    ):
        site.registry().register(Deaf())


@pytest.mark.parametrize(
    "source", ["raise OSError('no driver')", plugin('BackendSpec("x", "a:B", api=(9, 0))')]
)
def test_strict_plugins_raise(site, monkeypatch, source):
    monkeypatch.setenv("PLUGRAD_STRICT_PLUGINS", "1")
    site.stranger("acme", plugin(BANANA))
    site.stranger("broken", source)
    registry = site.registry()
    assert registry.find_backend("cpu").device_type == "cpu"  # strangers are not asked
    for _ in range(2):  # it does not go away by asking again
        text = message_of(registry.find_backend, "banana")
        assert text.startswith("plugin 'broken' (broken-plugrad 1.0) ")
        assert text.endswith(
            "; disable it by PLUGRAD_DISABLE_PLUGINS=broken, or set PLUGRAD_STRICT_PLUGINS=0"
        )
    monkeypatch.setenv("PLUGRAD_DISABLE_PLUGINS", "broken")
    assert registry.find_backend("banana").device_type == "banana"


@pytest.mark.parametrize("value", ["", "0"])
def test_not_strict(site, monkeypatch, value):
    monkeypatch.setenv("PLUGRAD_STRICT_PLUGINS", value)
    site.stranger("broken", "raise OSError('no driver')")
    with pytest.warns(PluginWarning):
        site.registry().records()


# ---- forks and threads


FORK = """
import os, sys, threading, time
from plugrad import plugins

def discover():
    plugins.records()
thread = threading.Thread(target=discover)
thread.start()
import builtins
while not hasattr(builtins, "acme_begins"):
    time.sleep(0.001)
child = os.fork()  # while the other thread holds the registry's lock, in the middle of an import
if child == 0:
    builtins.acme_sleeps = False
    # the half-imported module is Python's affair: a fresh import replaces it
    sys.modules.pop("acme", None)
    assert plugins.find_backend("cpu").device_type == "cpu"
    assert plugins.register(type("Mine", (), {"plugrad_ops": plugins.hookimpl(specname="plugrad_ops")(lambda s: [])})())
    print("child", flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
thread.join()
assert plugins.find_backend("banana").device_type == "banana"
print("parent", status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_does_not_wait_for_the_parents_threads(site):
    wait = (
        "import builtins, time\nbuiltins.acme_begins = True\n"
        "if getattr(builtins, 'acme_sleeps', True): time.sleep(1)\n"
    )
    site.stranger("acme", plugin(BANANA, before=wait))
    path = os.pathsep.join([str(site.folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        env={**os.environ, "PYTHONPATH": path, "PLUGRAD_PLUGINS": "acme"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == "child\nparent 0\n", done.stderr


FORK_WHILE_LISTING = """
import os, threading, time
from plugrad import plugins
from plugrad.plugins.registry import REGISTRY

parent, begun, listed = os.getpid(), threading.Event(), REGISTRY._sources["others"]

def slowly():
    begun.set()
    if os.getpid() == parent:
        time.sleep(1)
    return listed()

REGISTRY._sources["others"] = slowly
thread = threading.Thread(target=plugins.records)
thread.start()
begun.wait()
child = os.fork()  # while the other thread has begun to read the strangers' plugins
if child == 0:
    assert plugins.find_backend("banana").device_type == "banana"
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_reads_again_what_the_parent_was_reading(site):
    site.stranger("acme", plugin(BANANA))
    output = run(site, FORK_WHILE_LISTING, PLUGRAD_PLUGINS="acme")
    assert output.startswith("0\n")  # newer Pythons warn of forks while there are threads


TENSORS_AT_IMPORT = """
import builtins, threading
import plugrad
builtins.begun = threading.Event()
thread = threading.Thread(target=plugrad.plugins.records)
thread.start()
begun.wait()
assert plugrad.zeros(1).tolist() == [0.0]
thread.join()
print(plugrad.plugins.find_backend("banana").device_type)
"""


def test_a_plugin_may_make_tensors_while_others_make_their_first(site):
    work = "import builtins, time, plugrad\nbuiltins.begun.set()\ntime.sleep(0.3)\nplugrad.ones(2).sum()"
    site.stranger("acme", plugin(BANANA, before=work))
    assert run(site, TENSORS_AT_IMPORT, PLUGRAD_PLUGINS="acme") == "banana\n"


def test_what_other_threads_print_while_a_plugin_is_imported_passes(site, capsys):
    wait = "import threading, time\nprint('mine')\nbegun.set(); printed.wait(5)"
    begun, printed = threading.Event(), threading.Event()
    source = plugin(BANANA, before=f"from builtins import begun, printed\n{wait}")
    site.stranger("acme", source)
    import builtins

    builtins.begun, builtins.printed = begun, printed
    try:
        registry = site.registry()
        thread = threading.Thread(target=registry.records)
        thread.start()
        assert begun.wait(5)
        print("theirs")
        printed.set()
        thread.join()
    finally:
        del builtins.begun, builtins.printed
    assert capsys.readouterr().out == "theirs\n"
    assert registry.records()[1].output == "mine\n"
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_whoever_keeps_the_output_of_an_import_prints_later(site, capsys):
    site.stranger(
        "acme", plugin(BANANA, before="import sys\nkept = sys.stdout\nsys.stdout.writelines(['a', 'b'])")
    )
    registry = site.registry()
    before = sys.stdout
    assert registry.records()[1].output == "ab"
    assert sys.stdout is before
    kept = sys.modules["acme"].kept
    kept.write("later")
    kept.flush()
    assert capsys.readouterr().out == "later"
    assert kept.encoding == sys.stdout.encoding
