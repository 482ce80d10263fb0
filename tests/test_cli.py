"""The command line: what each command says, to people and as JSON, whatever the plugins are like."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import ANY

import pytest

import plugrad
from plugrad.cli import answer, doctor, probe
from plugrad.op import OPS
from plugrad.plugins import BackendSpec, Registry, hookimpl

from .commands import runner
from .sites import BANANA, fresh_site, plugin

#: Modules of plugins, each broken in its own way.
BROKEN = {
    "raising": "raise OSError('no driver\\non this machine')",
    "exiting": "import sys; sys.exit(3)",
    "listless": "from plugrad.plugins import hookimpl\n@hookimpl\ndef plugrad_backends(): return 3",
    "hookless": "answer = 42",
    "future": plugin('BackendSpec("later", "os:getcwd", api=(9, 0))'),
    "absent": None,
    "loud": plugin('BackendSpec("noisy", "nowhere:X")', before="print('I am loud')"),
    "rival": plugin('BackendSpec("cuda", "os:getcwd")'),
    "one": plugin('BackendSpec("contested", "os:getcwd")'),
    "two": plugin('BackendSpec("contested", "os:getcwd")'),
    "needy": plugin('BackendSpec("kiwi", "nowhere:X", requires=("no_such_library",))'),
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site with plugrad's own plugin in it."""
    yield from fresh_site(tmp_path, monkeypatch)


@pytest.fixture
def run(site, monkeypatch):
    """Runs a command line over the plugins of the site."""
    return runner(site, monkeypatch)


@pytest.fixture
def broken(site):
    """Every sort of broken plugin, installed."""
    for name, source in BROKEN.items():
        if source is None:
            site.install(f"{name}-plugrad", f"{name} = {name}")
        else:
            site.stranger(name, source)
    return site


def backend(name: str, body: str, base: str = "FakeBackend") -> dict[str, str]:
    """The modules of a plugin with one backend, over that of `fake_backend`, for a device of that name."""
    source = f"""
import os, signal, sys, time
sys.path.append({str(Path(__file__).parents[1])!r})
from tests.fake_backend import FakeBackend
class Backend({base}):
    device_type = {name!r}
{body}
"""
    return {name: plugin(f'BackendSpec("{name}", "{name}_backend:Backend")'), f"{name}_backend": source}


# ---- the frame


def shell(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "plugrad", *args]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_help_is_friendly(run):
    for line in ("", "--help"):
        code, text = run(line)
        assert code == 0
        assert "See which plugins, devices and ops plugrad has here" in text
        assert "Exit codes: 0" in text
        for name in (
            "plugins",
            "devices",
            "backends",
            "ops",
            "conformance",
            "doctor",
            "new-backend",
            "new-op",
        ):
            assert any(line.split()[:1] == [name] for line in text.splitlines())
    code, text = run("plugins --help")
    assert (code, "List the installed plugins, or look closely at one." in text) == (0, True)


def test_version_imports_no_plugin(tmp_path):
    done = shell("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"plugrad {plugrad.__version__}\n", "")
    code = "import sys; from plugrad.cli import main; main(['--version']); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"plugrad_backends", "pluggy", "rich", "importlib.metadata", "plugrad.plugins.loader"}.isdisjoint(
        loaded
    )


@pytest.mark.parametrize("line", ["--peel", "plugins peel", "plugins list --banana", "plugins show"])
def test_wrong_usage_is_exit_code_2(run, line, capsys):
    code, text = run(line)
    assert (code, text) == (2, "")
    assert "usage: plugrad" in capsys.readouterr().err


def test_json_may_stand_before_or_after_the_inner_command(run):
    assert run("plugins --json list") == run("plugins list --json") == run("plugins --json")


def test_a_reader_that_stops_reading_is_no_error():
    command = f"{sys.executable} -W error -m plugrad plugins list --json | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("{", "")


def test_interruption(run, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("plugrad.cli.plugins.read_plugins", interrupt)
    assert run("plugins list") == (130, "")


# ---- tables


def test_plain_columns():
    table = answer.Table(("name", "state"), [("a longer name", "ok"), ("b", "")])
    assert answer.plain(table) == "NAME           STATE\na longer name  ok\nb"


def test_colour_where_the_terminal_has_it(run, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    code, text = run("plugins list")
    assert code == 0
    assert "\x1b[32mloaded" in text
    assert "\x1b" not in json.dumps(run("plugins list --json")[1])


def test_plain_without_rich(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    text = run("plugins list")[1]
    assert text.splitlines()[0].split() == ["PLUGIN", "DISTRIBUTION", "STATE", "OFFERS", "CAUSE"]
    assert "\x1b" not in text


# ---- plugins


def test_plugins_list(run, site):
    site.stranger("acme", plugin(BANANA))
    code, text = run("plugins list")
    assert code == 0
    lines = text.splitlines()
    assert lines[1].startswith("builtin  plugrad 0.1.0")
    assert any(
        line.split() == ["acme", "acme-plugrad", "1.0", "loaded", "device", "banana"] for line in lines
    )


PLUGIN_KEYS = {
    "name", "distribution", "version", "entry_point", "state", "offers", "rejected", "cause", "traceback", "disable",
    "default_device", "output",
}  # fmt: skip


def test_plugins_list_as_json(run, site):
    site.stranger("acme", plugin(BANANA))
    code, data = run("plugins list --json")
    assert code == 0
    acme = {p["name"]: p for p in data["plugins"]}["acme"]
    assert set(acme) == PLUGIN_KEYS
    assert acme["offers"] == [
        {
            "kind": "backend", "what": "device 'banana'", "device_type": "banana", "target": "acme_backend:Banana",
            "requires": [], "extra": None, "api": [0, 1], "array_types": ["acme_arrays:Array"],
        }
    ]  # fmt: skip
    assert (acme["distribution"], acme["version"], acme["state"]) == ("acme-plugrad", "1.0", "loaded")
    assert (acme["cause"], acme["traceback"]) == (None, None)


def test_broken_plugins_are_rows_with_their_causes(run, broken):
    code, data = run("plugins list --json")
    assert code == 0
    found = {p["name"]: (p["state"], p["cause"]) for p in data["plugins"]}
    assert found["raising"] == ("failed", "OSError: no driver\non this machine")
    assert found["exiting"] == ("failed", "SystemExit: 3")
    assert found["listless"][1].startswith("TypeError: plugrad_backends returned a int, 3")
    assert "implements no hook" in found["hookless"][1]
    assert found["future"][0] == "incompatible"
    assert "upgrade plugrad" in found["future"][1]
    assert found["absent"] == ("failed", "ModuleNotFoundError: No module named 'absent'")
    assert found["builtin"] == found["loud"] == ("loaded", None)

    code, text = run("plugins list")
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert "OSError: no driver on this machine" in lines["raising"]
    assert "plugrad plugins show NAME" in text
    assert "I am loud" not in text


def test_a_very_long_cause_is_shortened_in_the_table_only(run, site):
    site.stranger("wordy", f"raise OSError('{'word ' * 100}')")
    assert max(map(len, run("plugins list")[1].splitlines())) < 200
    assert "word " * 99 in run("plugins show wordy")[1]


def test_texts_that_a_terminal_cannot_show(site):
    site.stranger("odd", "raise OSError('\\x1b[31mr\\u00e9d \\u2192 \\0')")
    environment = {
        "PYTHONPATH": os.pathsep.join([str(site.folder), *filter(None, sys.path)]),
        "PYTHONIOENCODING": "ascii",
    }
    done = shell("plugins", "list", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "OSError: [31mr\\xe9d \\u2192" in done.stdout
    assert json.loads(shell("plugins", "list", "--json", **environment).stdout)


def test_show_tells_everything(run, broken):
    code, text = run("plugins show raising")
    assert code == 0
    assert "OSError: no driver" in text
    assert 'raise OSError("no driver' in text or "raise OSError('no driver" in text  # the traceback
    assert "PLUGRAD_DISABLE_PLUGINS=raising" in text
    text = run("plugins show rival")[1]
    assert "rejected       device 'cuda' is reserved for plugrad itself" in text
    assert "printed when it was imported:\nI am loud" in run("plugins show loud")[1]
    text = run("plugins show needy")[1]
    assert "nowhere:X" in text
    assert "no_such_library" in text
    (shown,) = run("plugins show rival --json")[1]["plugins"]
    assert set(shown) == PLUGIN_KEYS
    assert len(shown["rejected"]) == 1


def test_show_an_unknown_plugin(run, site, capsys):
    assert run("plugins show bultin")[0] == 2
    message = "no plugin is called 'bultin': did you mean 'builtin'? `plugrad plugins list` shows them all"
    assert capsys.readouterr().err == f"plugrad: {message}\n"
    assert run("plugins show bultin --json") == (2, {"error": message})


def test_show_two_plugins_of_one_name(run, site):
    site.install("first", "same = same_a", same_a=plugin(BANANA))
    site.install("second", "same = same_b", same_b=plugin())
    data = run("plugins show same --json")[1]
    assert [p["distribution"] for p in data["plugins"]] == ["first", "second"]
    assert "first 1.0" in (text := run("plugins show same")[1])
    assert "second 1.0" in text


# ---- devices and backends

DEVICE_KEYS = {
    "device", "state", "cause", "plugin", "distribution", "version", "target", "requires", "array_types", "class",
    "array_type", "dtypes", "capabilities", "import_seconds", "gradient_seconds",
}  # fmt: skip


def test_devices(run, broken):
    code, data = run("devices --json")
    assert code == 0
    assert all(set(d) == DEVICE_KEYS for d in data["devices"])
    found = {d["device"]: d for d in data["devices"]}
    assert found["cpu"]["state"] == "usable"
    assert found["cpu"]["gradient_seconds"] > 0
    assert found["later"]["state"] == "incompatible"
    assert (found["noisy"]["state"], found["kiwi"]["state"]) == ("broken", "not installed")
    assert "there is no module 'nowhere', which its plugin names" in found["noisy"]["cause"]
    assert "needs 'no_such_library', which is not installed" in found["kiwi"]["cause"]
    assert found["contested"]["state"] == "broken"
    assert "is offered by plugin 'one'" in found["contested"]["cause"]
    assert sum(d["device"] == "contested" for d in data["devices"]) == 2

    code, text = run("devices")
    assert (code, text.splitlines()[0].split()[:2]) == (0, ["DEVICE", "STATE"])
    assert "5 plugins that are not loaded may offer more" in text


WRONG = "    def to_numpy(self, raw): return raw.values + 1"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("    os.kill(os.getpid(), signal.SIGSEGV)", "its process was killed by SIGSEGV"),
        ("    print('bye', file=sys.stderr); os._exit(7)", "its process ended with exit code 7: bye"),
        ("    raise SystemExit('no GPU')", "importing 'grape_backend' failed: SystemExit: no GPU"),
        ("    def __init__(self, index): raise OSError('no GPU')", "OSError: no GPU"),
        ("    def from_numpy(self, array): raise MemoryError('full')", "MemoryError: full"),
        (WRONG, "the gradient of (x * x).sum() at [1, 2, 3] is [3.0, 5.0, 7.0] instead of [2, 4, 6]"),
    ],
)  # fmt: skip
def test_a_backend_that_breaks_when_it_is_tried(run, site, body, cause):
    parts = backend("grape", body)
    site.stranger("grape", parts.pop("grape"), **parts)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "grape"]
    assert found["state"] == "broken"
    assert cause in found["cause"]


def test_a_backend_that_hangs(run, site, monkeypatch):
    monkeypatch.setattr(probe, "TIMEOUT", 2)
    parts = backend("grape", "    time.sleep(60)")
    site.stranger("grape", parts.pop("grape"), **parts)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "grape"]
    assert found["cause"] == "it did not answer within 2 seconds"


def test_what_a_library_prints_does_not_spoil_the_answer(run, site):
    parts = backend("grape", "    os.write(1, b'{}')", base="object")
    site.stranger("grape", parts.pop("grape"), **parts)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "grape"]
    assert "which is no subclass of Backend" in found["cause"]


def test_devices_registered_by_hand_are_tried_in_this_process(run, site, monkeypatch):
    registry: Registry = sys.modules["plugrad.plugins.registry"].REGISTRY

    class Plugin:
        @hookimpl
        def plugrad_backends(self):
            return [BackendSpec("plum", "os:getcwd")]

    registry.register(Plugin())
    tried = []
    answers = {"probe": lambda device: tried.append(device) or {"device": device, "cause": "sour"}}
    monkeypatch.setattr(probe, "QUESTIONS", answers)
    (found,) = [d for d in run("devices --json")[1]["devices"] if d["device"] == "plum"]
    assert (found["cause"], found["distribution"], found["version"], tried) == (
        "sour",
        "registered by hand",
        None,
        ["plum"],
    )


def test_backends(run, site):
    code, data = run("backends --json")
    assert code == 0
    cpu = data["backends"][0]
    assert (cpu["class"], cpu["array_type"]) == (
        "plugrad_backends.numpy.backend:NumPyBackend",
        "numpy:ndarray",
    )
    assert "float64" in cpu["dtypes"]
    assert "bfloat16" not in cpu["dtypes"]
    text = run("backends")[1]
    assert "all but bfloat16" in text
    assert "plugrad_backends.cupy:CuPyBackend" in text


# ---- ops


def test_ops(run):
    code, data = run("ops --json")
    assert code == 0
    own = {name for name in OPS if "::" not in name}  # other tests may declare some
    assert {op["op"] for op in data["ops"]} == own
    assert all(set(op) == {"op", "kind", "differentiable", "cause", "kernels"} for op in data["ops"])
    found = {op["op"]: op for op in data["ops"]}
    assert found["multiply"] == {
        "op": "multiply", "kind": "elementwise", "differentiable": ["a", "b"], "cause": None, "kernels": {"cpu": "native"},
    }  # fmt: skip
    assert (found["mish"]["kind"], found["mish"]["kernels"]["cpu"]) == ("composite", "composite")
    assert list(data["counts"]["cpu"]) == ["native", "plugin", "composite", "host", "absent"]
    assert sum(data["counts"]["cpu"].values()) == len(own)
    text = run("ops")[1]
    assert text.splitlines()[0].split() == ["OP", "KIND", "GRADIENTS", "FOR", "CPU"]
    assert f"\ncpu: {len(own)} ops, {data['counts']['cpu']['native']} native, " in text


def test_missing_ops(run, site):
    body = "    def kernel_names(self): return [n for n in super().kernel_names() if n not in ('sigmoid', 'imag')]"
    parts = backend("grape", body)
    site.stranger("grape", parts.pop("grape"), **parts)
    code, data = run("ops --json --missing grape")
    assert code == 0
    found = {op["op"]: op["kernels"]["grape"] for op in data["ops"]}
    assert (found["sigmoid"], found["imag"], found["mish"]) == ("composite", "host", "composite")
    assert "exp" not in found
    assert data["counts"]["grape"]["host"] == 1
    text = run("ops --missing grape")[1]
    assert "\nimag " in text
    assert "\nexp " not in text
    assert "1 host" in text
    columns = run("ops")[1].splitlines()[0].split()
    assert columns[-2:] == ["CPU", "GRAPE"]


@pytest.mark.parametrize(
    ("device", "cause"),
    [
        ("opencl", "needs 'pyopencl'"),
        ("durian", "device 'durian' is unknown: plugrad knows 'cpu'"),
        ("cpu:x", "Invalid device string: 'cpu:x'"),
    ],
)
def test_missing_ops_of_a_device_that_cannot_be_asked(run, capsys, device, cause):
    assert run(f"ops --missing {device}") == (2, "")
    text = capsys.readouterr().err
    assert text.startswith(f"plugrad: {device!r} cannot be asked: ")
    assert cause in text


ACME_OPS = """
from plugrad.sdk import composite, elementwise
half = elementwise("acme::half", "x", x=lambda g: g / 2, default=lambda x: x / 2)
twice = elementwise("acme::twice", "x", x=lambda g: g * 2, default=lambda x: x + x)
@composite("acme::both")
def both(x):
    return half(twice(x))
def half_on_numpy(x):
    return x / 2
"""


def test_ops_of_plugins(run, site):
    site.stranger("acme", """
from plugrad.plugins import KernelSpec, OpSpec, hookimpl
@hookimpl
def plugrad_ops():
    return [OpSpec(f"acme::{name}", f"acme_ops:{name}") for name in ("half", "twice", "both", "lost")]
@hookimpl
def plugrad_kernels():
    return [KernelSpec("acme::half", "cpu", "acme_ops:half_on_numpy")]
""", acme_ops=ACME_OPS)  # fmt: skip
    code, data = run("ops --json")
    assert code == 0
    found = {op["op"]: op for op in data["ops"]}
    origins = {name: found[f"acme::{name}"]["kernels"]["cpu"] for name in ("half", "twice", "both", "lost")}
    assert origins == {"half": "plugin", "twice": "composite", "both": "composite", "lost": "absent"}
    assert (found["acme::half"]["kind"], found["acme::half"]["differentiable"]) == ("elementwise", ["x"])
    assert "'acme_ops' has no 'lost'" in found["acme::lost"]["cause"]
    text = run("ops --missing cpu")[1]
    assert "acme::lost cannot be loaded: operator 'acme::lost': 'acme_ops' has no 'lost'" in text
    assert "acme::half " not in text


def test_ops_without_a_device(run, monkeypatch):
    monkeypatch.setenv("PLUGRAD_DISABLE_PLUGINS", "builtin")
    data = run("ops --json")[1]
    assert data["counts"] == {}
    assert {op["op"]: op["kernels"] for op in data["ops"]}["exp"] == {}


# ---- conformance


def test_conformance_of_a_sound_device(run, tmp_path):
    page = tmp_path / "cpu.md"
    code, text = run(f"conformance cpu --only declaration:* --only primitive:exp --markdown {page}")
    assert code == 0
    assert text.splitlines()[0].split() == ["LAYER", "PASSED"]
    assert "cpu, quick tier: " in text
    assert text.endswith(f"\nThe report is in {page}.\n")
    assert page.read_text().startswith("# Conformance of `cpu`")


def test_conformance_as_json(run):
    code, data = run("conformance cpu --json --only primitive:exp --seed 3")
    assert code == 0
    assert {"device", "tier", "seed", "ok", "counts", "results", "coverage"} <= set(data)
    assert (data["device"], data["tier"], data["seed"], data["ok"]) == ("cpu", "quick", 3, True)
    assert data["results"][0]["id"] == "primitive:exp"


def test_the_full_tier(run, monkeypatch):
    monkeypatch.delenv("PLUGRAD_CONFORMANCE", raising=False)
    assert run("conformance cpu --full --json --only primitive:exp")[1]["tier"] == "full"


def test_conformance_of_a_wrong_device(run, site):
    parts = backend("grape", WRONG)
    site.stranger("grape", parts.pop("grape"), **parts)
    code, text = run("conformance grape --only layout:round-trip-float32 --only primitive:exp")
    assert code == 1
    assert "\nfailed: layout:round-trip-float32: " in text
    assert "\n  reproduce: python" in text
    assert " failed" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("conformance durian", "device 'durian' is unknown: plugrad knows 'cpu'"),
        ("conformance cpu:x", "Invalid device string: 'cpu:x'"),
        ("conformance cpu --only primitive:expp", "no check is called 'primitive:expp': did you mean"),
        ("conformance cpu --only primitive:exp --markdown /nowhere/x.md", "the report cannot be written: "),
    ],
)
def test_conformance_that_cannot_be_asked(run, capsys, line, message):
    assert run(line) == (2, "")
    assert message in capsys.readouterr().err


# ---- doctor


def test_doctor_of_a_sound_installation(run):
    code, data = run("doctor --json")
    assert (code, data["ok"]) == (0, True)
    assert all(set(check) == {"status", "check", "found", "cure"} for check in data["checks"])
    assert {c["status"] for c in data["checks"]} <= {"ok", "note"}
    code, text = run("doctor")
    assert code == 0
    assert text.endswith("\nEverything is well.\n")
    assert run("plugins doctor")[0] == 0


def test_doctor_finds_what_is_broken(run, broken):
    code, data = run("doctor --json")
    assert (code, data["ok"]) == (1, False)
    found = {c["check"]: c for c in data["checks"]}
    failures = {c["check"] for c in data["checks"] if c["status"] == "failure"}
    assert failures == {
        "plugin raising", "plugin exiting", "plugin listless", "plugin hookless", "plugin absent", "plugin future",
        "device 'contested'", "device noisy",
    }  # fmt: skip
    assert all(c["cure"] for c in data["checks"] if c["status"] in ("warning", "failure"))
    assert found["plugin rival"]["status"] == "warning"
    assert found["device kiwi"]["status"] == "note"
    assert "PLUGRAD_DISABLE_PLUGINS=two" in found["device 'contested'"]["cure"]
    code, text = run("doctor")
    assert (
        "cure: upgrade, repair or uninstall raising-plugrad, or set PLUGRAD_DISABLE_PLUGINS=raising" in text
    )
    assert "failures, 1 warning." in text


def test_doctor_reads_the_environment(run, monkeypatch):
    monkeypatch.setenv("PLUGRAD_DISABLE_PLUGINS", "nobody,builtin")
    monkeypatch.setenv("PLUGRAD_DISABLED_PLUGINS", "x")
    code, data = run("doctor --json")
    assert code == 1
    found = [(c["status"], c["found"]) for c in data["checks"] if c["check"] == "environment"]
    assert [status for status, _ in found] == ["warning", "note", "warning"]
    texts = " | ".join(c["found"] + str(c["cure"]) for c in data["checks"])
    assert (
        "PLUGRAD_DISABLED_PLUGINS is not a variable that plugrad readsrename it to PLUGRAD_DISABLE_PLUGINS"
        in texts
    )
    assert "names 'nobody', but no plugin is called so" in texts
    assert "no plugin offers it, and nothing works without it" in texts


def test_doctor_knows_every_variable_that_plugrad_reads():
    core = Path(plugrad.__file__).parent
    sources = [p.read_text() for p in core.rglob("*.py") if "cli" not in p.relative_to(core).parts]
    assert set(re.findall(r"\bPLUGRAD_[A-Z_]+", "".join(sources))) == set(doctor.VARIABLES)


@pytest.mark.parametrize(
    ("device", "status", "found"),
    [
        ("cpu", "ok", "cpu"),
        ("auto", "ok", "cpu"),
        ("cuda:1", "failure", "'cuda:1' cannot be used"),
        ("nonsense", "failure", "'nonsense' cannot be used"),
    ],
)
def test_doctor_tries_the_default_device(run, monkeypatch, device, status, found):
    monkeypatch.setenv("PLUGRAD_DEFAULT_DEVICE", device)
    code, data = run("doctor --json")
    assert code == (status == "failure")
    checks = {c["check"]: c for c in data["checks"]}
    assert (checks["default device"]["status"], checks["default device"]["found"]) == (status, found)
    assert checks["device cpu"]["status"] == "ok"


def test_doctor_without_an_installed_distribution(run, monkeypatch):
    monkeypatch.setattr("plugrad.plugins.loader.own_distributions", list)
    monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", Registry(own=list, others=list))
    code, text = run("doctor")
    assert code == 1
    assert "is not installed as a distribution" in text
    assert "No plugin was found" in run("plugins list")[1]


@pytest.mark.parametrize(
    ("source", "status", "found"),
    [
        ("return 'driver 12.3'", "ok", "driver 12.3"),
        (
            "raise RuntimeError('driver 9 is too old: upgrade it')",
            "failure",
            "driver 9 is too old: upgrade it",
        ),
        ("return 1 / 0", "failure", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "failure", "SystemExit: 3"),
        ("return None", "warning", "returned None"),
    ],
)
def test_doctor_makes_the_checks_of_plugins(run, site, source, status, found):
    site.stranger("acme", offering("plugrad_doctor_checks", 'CheckSpec("driver version", "acme_checks:driver")'),
                  acme_checks=f"def driver(): {source}")  # fmt: skip
    code, data = run("doctor --json")
    assert code == (status == "failure")
    (check,) = [c for c in data["checks"] if c["check"] == "acme: driver version"]
    assert (check["status"], check["found"]) == (status, found)
    assert (check["cure"] is None) == (status == "ok")


def test_doctor_tells_what_runs_on_the_host(run, site, monkeypatch):
    body = "    def kernel_names(self): return [n for n in super().kernel_names() if n != 'imag']"
    parts = backend("grape", body)
    site.stranger("grape", parts.pop("grape"), **parts)
    monkeypatch.setattr("plugrad.kernels.fallbacks", Counter({("grape", "imag"): 2}))
    code, data = run("doctor --json")
    assert code == 0
    notes = [c["found"] for c in data["checks"] if c["status"] == "note"]
    lacks = "has no kernel for 1 op; plugrad.fallback lets the host compute 1 of them: `plugrad ops --missing grape`"
    assert f"{lacks} names them" in notes
    assert "this process computed 'imag' of device 'grape' on the host 2 times" in notes


def test_strict_plugins_do_not_hinder_the_doctor(run, broken, monkeypatch):
    monkeypatch.setenv("PLUGRAD_STRICT_PLUGINS", "1")
    code, data = run("doctor --json")
    assert code == 1
    found = {c["check"]: c for c in data["checks"]}
    assert found["environment"]["found"].startswith(
        "PLUGRAD_STRICT_PLUGINS=1: unless it is 0, a plugin that fails"
    )
    assert found["device cpu"]["status"] == "ok"
    assert os.environ["PLUGRAD_STRICT_PLUGINS"] == "1"


# ---- commands of plugins


def offering(hook: str, *specs: str) -> str:
    """The source of a plugin module that offers these specs by a hook."""
    return f"""
from plugrad.plugins import CheckSpec, CommandSpec, hookimpl
@hookimpl
def {hook}():
    return [{", ".join(specs)}]
"""


TUNE = 'CommandSpec("tune-up", "acme_commands:tune", "measure the kernels of acme")'


def commanding(site, tune: str) -> None:
    site.stranger("acme", offering("plugrad_commands", TUNE), acme_commands=f"def tune(words):\n    {tune}")


@pytest.mark.parametrize(
    ("tune", "code"), [("print('tuned', words)", 0), ("print('tuned', words); return 4", 4)]
)
def test_a_command_of_a_plugin(run, site, tune, code):
    commanding(site, tune)
    assert run("tune-up --fast x") == (code, "tuned ['--fast', 'x']\n")
    assert "command tune-up" in run("plugins list")[1]
    assert "measure the kernels of acme" in json.dumps(run("plugins show acme --json"))


def test_a_command_of_a_plugin_that_fails(run, site, capsys):
    commanding(site, "raise OSError('no driver')")
    assert run("tune-up") == (1, "")
    error = capsys.readouterr().err
    assert "OSError: no driver" in error
    assert error.endswith(
        "plugrad: command 'tune-up' of plugin 'acme' (acme-plugrad 1.0) failed: tell its author\n"
    )


def test_a_command_of_a_plugin_that_exits(run, site):
    commanding(site, "import sys; sys.exit(5)")
    assert run("tune-up") == (5, "")


def test_commands_that_cannot_be_run(run, site, capsys):
    site.stranger("acme", offering("plugrad_commands", TUNE))
    assert run("tune-up") == (2, "")
    assert (
        "plugin 'acme' (acme-plugrad 1.0): command 'tune-up': there is no module" in capsys.readouterr().err
    )
    assert run("tune-pu") == (2, "")
    assert (
        "'tune-pu' is no command: did you mean 'tune-up'? `plugrad --help` lists" in capsys.readouterr().err
    )


def test_a_command_that_two_plugins_add(run, site, capsys):
    site.stranger("acme", offering("plugrad_commands", TUNE))
    site.stranger("bolt", offering("plugrad_commands", TUNE))
    assert run("tune-up") == (2, "")
    assert "is offered by plugin 'acme' (acme-plugrad 1.0) and plugin 'bolt'" in capsys.readouterr().err
    assert run("doctor")[0] == 1


def test_an_unknown_command_tells_which_plugins_are_not_loaded(run, broken, capsys):
    assert run("tune-up --json") == (2, {"error": ANY})
    assert "which may add it, are not loaded: plugin" in capsys.readouterr().err


# ---- all commands, in a process of their own


@pytest.mark.parametrize("args", [("plugins", "list"), ("devices",), ("backends",), ("ops",), ("doctor",)])
def test_every_command_works_when_every_plugin_is_broken(broken, args):
    environment = {"PYTHONPATH": os.pathsep.join([str(broken.folder), *filter(None, sys.path)])}
    done = shell(*args, "--json", **environment)
    assert done.returncode == (args == ("doctor",)), done.stderr
    assert json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    if args == ("plugins", "list"):
        done = shell(*args, **environment)
        assert "Traceback" not in done.stdout + done.stderr
        assert "I am loud" not in done.stdout + done.stderr  # the record keeps it
