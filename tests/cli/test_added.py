"""Commands that plugins add."""

from __future__ import annotations

import json
from unittest.mock import ANY

import pytest

from .commands import offering

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
