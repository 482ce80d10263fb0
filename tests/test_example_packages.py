"""The example packages, installed by pip beside plugrad in an environment of their own, and driven from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOSTILE = sorted(path.parent for path in ROOT.glob("examples/plugrad-hostile/*/pyproject.toml"))
FAILING = {"raises", "exits", "types", "signature", "future"}  # the others are noticed when they are used


class Environment:
    """A virtual environment that sees the packages of this one, but for plugrad, which is installed into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", symlinks=os.name != "nt")
        scripts = "Scripts" if os.name == "nt" else "bin"
        self.python = folder / "venv" / scripts / "python"
        site = Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (site / "beneath.pth").write_text("\n".join(paths))  # whose own .pth files are not read

    def run(
        self, code: str, *options: str, code_is_module: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program outside of the checkout."""
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("PLUGRAD_")}
        what = ["-m", *code.split()] if code_is_module else ["-c", code]
        return subprocess.run(
            [str(self.python), *options, *what],
            env={**kept, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def pip(self, *args: object) -> None:
        """Run pip for this environment."""
        command = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", *args]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def install(self, *projects: Path) -> None:
        """Build the wheels of some folders with a `pyproject.toml`, and install them."""
        from hatchling.builders.wheel import WheelBuilder

        wheels = [
            next(
                WheelBuilder(str(project)).build(directory=str(self.folder / "wheels"), versions=["standard"])
            )
            for project in projects
        ]
        self.pip("install", "--no-deps", "--no-index", "--no-compile", *wheels)

    def uninstall(self, *names: str) -> None:
        """Remove distributions."""
        self.pip("uninstall", "--yes", *names)

    def output(self, code: str, *options: str, **environment: str) -> str:
        """What a program prints that ends well and warns of nothing."""
        done = self.run(code, "-W", "error", *options, **environment)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment with plugrad in it."""
    pytest.importorskip("hatchling")
    pytest.importorskip("pip")
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install(ROOT)
    assert str(made.folder) in made.output("import plugrad; print(plugrad.__file__)")
    return made


USE_BOTH = """
import plugrad as torch
try:
    x = torch.ones(2, device="strict", requires_grad=True)
    (x * x).sum().backward()
    print(x.grad.tolist(), x.device.type)
except torch.errors.DeviceError as error:
    print(error)
try:
    y = torch.ops.signal.integrate(torch.ones(3), 0.5)
    print(y.tolist(), torch.kernels.find(torch.ops.signal.integrate, torch.device("cpu").backend)[1])
except AttributeError as error:
    print(error)
"""


def test_what_packages_offer_comes_and_goes_with_them(environment):
    pytest.importorskip("array_api_strict")

    def check_absence():
        device, operator = environment.output(USE_BOTH).splitlines()
        assert device.startswith("device 'strict' is unknown: plugrad knows 'cpu', 'cuda', 'opencl'")
        assert operator.startswith(
            "module 'plugrad.ops' has no attribute 'signal': operator library 'signal' is unknown"
        )

    check_absence()
    packages = ["plugrad-signal", "plugrad-array-api-strict"]
    environment.install(*(ROOT / "examples" / name for name in packages))
    try:
        assert environment.output(USE_BOTH) == "[2.0, 2.0] strict\n[1.0, 1.5, 1.75] plugin\n"
        # The operators' own tests, on both devices.
        tests = ROOT / "examples/plugrad-signal/tests"
        config = f"-c {os.devnull} --rootdir . -W error -W ignore:You"
        done = environment.run(f"pytest -q -p no:cacheprovider {config} {tests}", code_is_module=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "10 passed" in done.stdout
    finally:
        environment.uninstall(*packages)
    check_absence()


def test_the_package_that_the_page_on_operators_builds(environment):
    page = (ROOT / "docs/operators.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"^```\w+\n# (\S+/?\S+\.\w+)\n(.*?)^```$", page, re.M | re.S))
    assert {"pyproject.toml", "plugrad_acme/__init__.py", "tests/test_acme.py"} < set(files)
    package = environment.folder / "plugrad-acme"
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    environment.install(package)
    try:
        config = f"-c {os.devnull} --rootdir . -W error"
        done = environment.run(f"pytest -q -p no:cacheprovider {config} {package}/tests", code_is_module=True)
        assert "2 passed" in done.stdout, done.stdout + done.stderr
        used = environment.output(
            "import plugrad; wave = plugrad.ops.acme.wave; wave(plugrad.ones(2), k=2.0);"
            "print(*[kernel.__module__ for kernel in wave.kernels.values()])"
        )
        assert used == "plugrad_acme.kernels\n"
    finally:
        environment.uninstall("plugrad-acme")


# ---- hostile plugins


@pytest.fixture(scope="module")
def hostile(environment):
    """The environment with all hostile plugins in it, from here on."""
    environment.install(*HOSTILE)
    return environment


def test_there_are_ten():
    assert len(HOSTILE) == 10


def test_training_on_the_cpu_meets_none_of_them(hostile):
    loaded = hostile.output(
        """
import sys
import plugrad as torch
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(torch.ones(5, 3)), torch.zeros(5, 1))
    loss.backward()
    optimizer.step()
print(loss.item() < 10, *[name for name in sys.modules if "hostile" in name])
"""
    )
    assert loaded == "True\n"


def test_each_failure_is_one_warning_with_the_command_that_disables_it(hostile):
    done = hostile.run(
        """
import sys, warnings
from plugrad import plugins
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    plugins.records()
    plugins.records()
assert sys.stdout is sys.__stdout__
import json
print(json.dumps({
    "warnings": [str(w.message) for w in caught],
    "records": {r.name: [r.state, r.output, r.traceback_text] for r in plugins.records()},
    "loaded": [name for name in sys.modules if name.startswith("plugrad_hostile") and name.endswith("backend")],
}))
"""
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found = json.loads(done.stdout)  # and nothing else: one plugin prints at import
    assert len(found["warnings"]) == len(FAILING)
    for name in FAILING:
        (warning,) = (w for w in found["warnings"] if w.startswith(f"plugin '{name}' "))
        assert warning.endswith(f"; all else works; silence this by PLUGRAD_DISABLE_PLUGINS={name}")
    states = {name: state for name, (state, _, _) in found["records"].items()}
    assert {name for name, state in states.items() if state != "loaded"} == FAILING
    assert states["future"] == "incompatible"
    assert found["records"]["loud"][1] == "Thank you for choosing loud!\n"
    assert "libraises.so" in found["records"]["raises"][2]
    assert found["loaded"] == []  # the slow one's backend, among others


CAUSES = {
    "raises": "failed to load: OSError: libraises.so: cannot open shared object file",
    "exits": "failed to load: SystemExit: exits: no licence found",
    "types": "TypeError: plugrad_backends returned a list with 'types' in it: return a list of BackendSpec",
    "signature": "plugin 'signature' (plugrad-hostile-signature 0.1.0) failed to load: PluginValidationError",
    "future": "it offers device 'future' for plugin API 9.0, this plugrad has 1.0: upgrade plugrad",
    "twin": "device 'twin' is offered by plugin 'twin_one' (plugrad-hostile-twin-one 0.1.0) and plugin 'twin_two'",
    "needy": "device 'needy' needs 'no_such_array_library', which is not installed",
    "slow": "importing 'plugrad_hostile_slow.backend' failed: ImportError: slow: the array library was not built",
    "loud": "device 'loud': there is no module 'plugrad_hostile_loud.backend', which its plugin names",
}


def test_asking_for_what_they_offered_tells_the_cause(hostile):
    done = hostile.run(
        f"""
import json, warnings
import plugrad as torch
warnings.simplefilter("ignore")
found = {{}}
for device in {list(CAUSES)}:
    try:
        torch.zeros(1, device=device)
    except torch.errors.DeviceError as error:
        found[device] = str(error), type(error.__cause__).__name__
found["cpu"] = torch.ones(2).sum().item()
print(json.dumps(found))
"""
    )
    found = json.loads(done.stdout)
    assert found.pop("cpu") == 2.0
    assert set(found) == set(CAUSES)
    for device, cause in CAUSES.items():
        assert cause in found[device][0]
    causes = [found[device][1] for device in ("raises", "exits", "types", "future", "slow")]
    assert causes == ["OSError", "SystemExit", "TypeError", "PluginError", "ImportError"]


def test_the_environment_silences_or_insists(hostile):
    code = "from plugrad import plugins; print(len(plugins.backend_specs(all=True)))"
    assert hostile.output(code, PLUGRAD_DISABLE_PLUGINS="*") == "3\n"
    assert hostile.output(code, PLUGRAD_DISABLE_PLUGINS=",".join(FAILING)) == "8\n"
    assert hostile.output(code, PLUGRAD_PLUGINS="loud") == "4\n"
    done = hostile.run(code, PLUGRAD_STRICT_PLUGINS="1")
    assert done.returncode == 1
    assert "PluginError: plugin " in done.stderr and "disable it by PLUGRAD_DISABLE_PLUGINS=" in done.stderr


@pytest.mark.parametrize("command", ["plugins list", "devices"])
def test_the_command_line_works(hostile, command):
    done = hostile.run(f"plugrad {command} --json", code_is_module=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
