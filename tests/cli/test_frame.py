"""The command line as such: help, exit codes, tables; and every command where every plugin is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import plugrad
from plugrad.cli import answer

from .commands import shell


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
