"""`plugrad plugins`: every plugin is a row, and what is wrong with it is told."""

from __future__ import annotations

import json
import os
import sys

from ..sites import BANANA, plugin
from .commands import shell


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
            "requires": [], "extra": None, "api": [1, 0], "array_types": ["acme_arrays:Array"], "names": False,
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
