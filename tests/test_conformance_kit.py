"""The engine of the conformance kit: layers, expected failures, crashes, reports, and the tests that pytest sees."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugrad.testing import Report, Result, conformance
from plugrad.testing.__main__ import main
from plugrad.testing.kit.agreement import Disagreement, bits, describe, values
from plugrad.testing.kit.checks import LAYERS, STANDS_ON
from plugrad.testing.kit.suite import checks
from tests.test_conformance_mutations import PLUGINS

HERE = Path(__file__).parent.parent


def statuses(report: Report) -> dict[str, str]:
    return {r.id: r.status for r in report.results}


# --- layers and expected failures ---------------------------------------------------------------------------------


def test_a_layer_that_fails_skips_what_stands_on_it_with_one_reason() -> None:
    only = ["primitive:exp", "primitive:sin", "op:exp", "model:*", "capability:fork"]
    report = conformance("faulty_doubles_in_single_precision", only=only, plugins=PLUGINS)
    found = statuses(report)
    assert found["primitive:exp"] == "failed" and found["primitive:sin"] == "passed"
    skipped = {r.reason for r in report.results if r.layer in ("ops", "models", "capabilities")}
    assert skipped == {"the layer 'primitives' failed: repair primitive:exp first"}
    going = conformance("faulty_doubles_in_single_precision", only=only, plugins=PLUGINS, keep_going=True)
    assert statuses(going)["capability:fork"] == "passed" and statuses(going)["op:exp:forward"] == "failed"


def test_every_layer_has_checks_and_stands_on_an_earlier_one() -> None:
    assert {c.layer for c in checks().values()} == set(LAYERS)
    order = [c.layer for c in checks().values()]
    assert order == sorted(order, key=LAYERS.index)
    for layer, below in STANDS_ON.items():
        assert below is None or LAYERS.index(below) < LAYERS.index(layer)


def test_expected_failures_are_strict_and_do_not_stop_what_stands_on_them() -> None:
    xfails = {
        "primitive:exp": "single precision inside",
        "primitive:sin": "not true",
        "op:exp": "of exp, too",
    }
    report = conformance(
        "faulty_doubles_in_single_precision", only=["primitive:exp", "primitive:sin", "op:exp"], plugins=PLUGINS,
        xfails=xfails, keep_going=True,
    )  # fmt: skip
    found = statuses(report)
    assert found["primitive:exp"] == "xfailed" and found["primitive:sin"] == "xpassed"
    assert found["op:exp:forward"] == "xfailed" and found["op:exp:first"] == "skipped"
    assert [r.id for r in report.failures] == ["primitive:sin"]
    assert "is listed in xfails (not true), but passes: take it out" in report.failures[0].reason
    expected = next(r for r in report.results if r.id == "primitive:exp")
    assert expected.reason.startswith(
        "single precision inside (exp(float64[2, 3]), first array dense: at [0, 0] found"
    )
    only = {"primitive:exp": xfails["primitive:exp"]}
    report = conformance(
        "faulty_doubles_in_single_precision", only=["primitive:exp", "op:sin"], plugins=PLUGINS, xfails=only
    )
    assert report.ok and statuses(report)["op:sin:forward"] == "passed"


def test_an_op_may_be_expected_to_fail_in_one_aspect_or_to_be_absent() -> None:
    device = "faulty_derivatives_lose_duplicates"
    report = conformance(
        device, only=["op:take"], plugins=PLUGINS, xfails={"op:take:first": "duplicates are lost"}
    )
    found = statuses(report)
    assert found["op:take:forward"] == "passed" and found["op:take:first"] == "xfailed" and report.ok
    report = conformance("minimal", only=["op:bitcast", "op:exp"], plugins=PLUGINS)
    assert statuses(report)["op:bitcast:forward"] == "skipped" and report.ok
    assert report.origins == {"bitcast": "host", "exp": "native"}
    report = conformance(
        "minimal", only="op:bitcast", plugins=PLUGINS, xfails={"op:bitcast": "has no views of bits"}
    )
    assert statuses(report) == {"op:bitcast:forward": "xfailed"}


@pytest.mark.parametrize(
    ("xfails", "text"),
    [
        ({"op:exq": "x"}, "xfails: no check is called 'op:exq': did you mean 'op:exp"),
        ({"op:exp": " "}, "xfails: 'op:exp' has the reason ' ': say in a sentence why it must fail"),
    ],
)
def test_errors_of_expected_failures(xfails: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        conformance("cpu", xfails=xfails)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"only": "primitive:exq"}, "no check is called 'primitive:exq': did you mean 'primitive:exp'"),
        (
            {"layers": ["ops", "opps"]},
            "layers: found 'opps': the layers are declaration, layout, primitives, ops",
        ),
        ({"tier": "slow"}, 'tier: found \'slow\': give "quick" or "full"'),
    ],
)
def test_errors_of_arguments(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        conformance("cpu", **options)


def test_a_device_that_is_not_there() -> None:
    report = conformance("banana", layers=["declaration", "layout"])
    assert {r.status for r in report.results if r.layer == "layout"} == {"skipped"}
    assert "device 'banana' is unknown" in report.failures[0].reason and not report.ok
    report = conformance("fake", only="declaration:found", plugins=["tests.fake_backend:FakePlugim"])
    assert "plugins=['tests.fake_backend:FakePlugim']: AttributeError" in report.failures[0].reason


# --- crashes ------------------------------------------------------------------------------------------------------


def test_a_crash_is_a_failure_and_not_the_end() -> None:
    seen: list[Result] = []
    only = ["primitive:tanh", "primitive:abs", "primitive:exp"]
    report = conformance("faulty_aborts", only=only, plugins=PLUGINS, progress=seen.append)
    assert statuses(report) == {
        "primitive:tanh": "crashed",
        "primitive:abs": "passed",
        "primitive:exp": "passed",
    }
    assert seen == report.results
    crash = report.failures[0]
    assert crash.reason == "the process died of SIGABRT" and "in tanh" in crash.detail
    assert conformance(
        "faulty_aborts", only=only, plugins=PLUGINS, xfails={"primitive:tanh": "of empty arrays"}
    ).ok


def test_a_library_that_exits_is_a_failure() -> None:
    report = conformance("faulty_exits", only="primitive:log", plugins=PLUGINS)
    assert report.failures[0].status == "failed" and "SystemExit: no licence" in report.failures[0].reason


@pytest.mark.parametrize("device", ["faulty_maximum_drops_na_n", "faulty_aborts"])
def test_the_line_that_is_printed_repeats_the_failure(device: str) -> None:
    check = {"faulty_aborts": "primitive:tanh"}.get(device, "primitive:maximum")
    report = conformance(device, only=check, plugins=PLUGINS, seed=5)
    (failure,) = report.failures
    words = shlex.split(failure.reproduce)
    assert words[1:] == [
        "-m",
        "plugrad.testing",
        device,
        check,
        "--seed",
        "5",
        *[w for p in PLUGINS for w in ("--plugin", p)],
    ]
    run = subprocess.run(
        [sys.executable, *words[1:]], capture_output=True, text=True, cwd=HERE, env=_environment()
    )
    assert run.returncode == (1 if device != "faulty_aborts" else -6)
    assert (
        device == "faulty_aborts" or failure.reason in run.stdout
    )  # in its own process it takes that one down


def test_the_command_in_this_process(capsys: Any) -> None:
    assert main(["cpu", "primitive:exp", "layout:round-trip-b*"]) == 0
    out = capsys.readouterr().out
    assert (
        "passed: primitive:exp" in out
        and "skipped: layout:round-trip-bfloat16: the device has no bfloat16" in out
    )


# --- reports ------------------------------------------------------------------------------------------------------


def test_reports_are_plain_data_and_a_page() -> None:
    only = ["primitive:take", "op:take", "op:embed_add", "op:floor", "layout:round-trip-bfloat16"]
    report = conformance("faulty_derivatives_lose_duplicates", only=only, plugins=PLUGINS)
    data = json.loads(report.to_json())
    assert (
        data["device"] == "faulty_derivatives_lose_duplicates" and data["tier"] == "quick" and not data["ok"]
    )
    assert data["coverage"]["take"] == {
        "origin": "native", "forward": "passed", "first": "failed", "second": data["coverage"]["take"]["second"],
        "forward-mode": "passed",
    }  # fmt: skip
    assert sum(data["counts"].values()) == len(data["results"])
    assert set(data["results"][0]) == {"layer", "id", "status", "reason", "reproduce", "detail"}
    page = report.to_markdown()
    assert "# Conformance of `faulty_derivatives_lose_duplicates`" in page and "## Failures" in page
    assert "| `take` | native | ✓ | ✗ |" in page
    assert "| op | kernel | forward | first | second | forward-mode |" in page
    assert "the device has no bfloat16: `layout:round-trip-bfloat16`" in page
    assert repr(report).startswith("<Report of 'faulty_derivatives_lose_duplicates', tier quick: ")


# --- what pytest sees ------------------------------------------------------------------------------------------------


def _environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(HERE), *sys.path])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **more}


def pytested(tmp_path: Path, text: str, *options: str, **environment: str) -> tuple[int, str]:
    """The exit status and the output of pytest on a test file."""
    (tmp_path / "test_acme.py").write_text("from plugrad.testing import Conformance\n" + text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        *options,
        "test_acme.py",
    ]
    run = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=_environment(**environment)
    )
    return run.returncode, run.stdout + run.stderr


def test_an_author_s_whole_test_file(tmp_path: Path) -> None:
    code, out = pytested(
        tmp_path,
        f"""
class TestAcme(Conformance):
    device = "faulty_maximum_drops_na_n"
    plugins = {PLUGINS}
    xfails = {{"primitive:maximum": "the library drops NaN", "primitive:exp": "who knows"}}
""",
        "-k", "primitive:m or primitive:exp or op:exp or capability:fork",
    )  # fmt: skip
    assert code == 1, out
    assert (
        "XFAIL test_acme.py::TestAcme::test_primitives[primitive:maximum] - the library drops NaN (maximum("
        in out
    )
    assert "PASSED test_acme.py::TestAcme::test_primitives[primitive:matmul]" in out
    assert "xpassed: primitive:exp: is listed in xfails (who knows), but passes: take it out" in out
    assert "the layer 'primitives' failed: repair primitive:exp first" in out
    assert "Traceback" not in out


def test_a_failure_prints_the_line_that_repeats_it_and_no_traceback(tmp_path: Path) -> None:
    text = f'class TestAcme(Conformance):\n    device, plugins, seed = "faulty_aborts", {PLUGINS}, 3\n'
    code, out = pytested(tmp_path, text, "-k", "primitive:tanh or primitive:where")
    assert code == 1 and "PASSED test_acme.py::TestAcme::test_primitives[primitive:where]" in out
    assert "crashed: primitive:tanh: the process died of SIGABRT" in out
    assert "-m plugrad.testing faulty_aborts primitive:tanh --seed 3" in out


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("class TestAcme(Conformance):\n    pass", {}, "TestAcme names no device"),
        (
            "class TestAcme(Conformance):\n    device, xfails = 'cpu', {'op:exp': ''}",
            {},
            "say in a sentence why",
        ),
        (
            "class TestAcme(Conformance):\n    device = 'cpu'",
            {"PLUGRAD_CONFORMANCE": "ful"},
            "tier: found 'ful'",
        ),
    ],
)
def test_mistakes_in_the_test_file(tmp_path: Path, text: str, environment: dict[str, str], said: str) -> None:
    code, out = pytested(tmp_path, text, "-k", "primitive:exp", **environment)
    assert code == 1 and said in out


def test_tiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert conformance("cpu", only="primitive:exp").tier == "quick"
    monkeypatch.setenv("PLUGRAD_CONFORMANCE", "full")
    assert conformance("cpu", only="primitive:exp").tier == "full"
    assert conformance("cpu", "quick", only="primitive:exp").tier == "quick"
    text = f"class TestAcme(Conformance):\n    device, plugins = 'faulty_aborts', {PLUGINS}\n"
    assert "--seed 0 --tier full" in pytested(tmp_path, text, "-k", "primitive:tanh")[1]  # over the attribute


# --- comparing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "want", "tolerance", "text"),
    [
        ([1.0, 2.0], [1.0, 3.0], 0.0, r"x: at \[1\] found 2.0, expected 3.0 \(1 of 2 elements differ\)"),
        ([0.0], [-0.0], 0.0, r"found 0.0, expected -0.0"),
        ([np.nan], [np.inf], 0.1, r"found nan, expected inf"),
        ([1.0], [1.1], 0.01, r"found 1.0, expected 1.1"),
        ([[1.0]], [1.0], 0.1, r"x: found shape \(1, 1\), expected \(1,\)"),
        ([1 + 2j], [1 - 2j], 0.0, r"found \(1\+2j\), expected \(1-2j\)"),
    ],
)
def test_what_disagrees_is_told(found: Any, want: Any, tolerance: float, text: str) -> None:
    with pytest.raises(Disagreement, match=text):
        values(np.array(found), np.array(want), "x", tolerance, tolerance)


def test_what_agrees() -> None:
    values(np.array([np.nan, np.inf, -0.0, 2.0]), np.array([np.nan, np.inf, -0.0, 2.0]), "x")
    values(np.array([1.0, np.nan, np.inf]), np.array([1.0 + 1e-9, np.nan, np.inf]), "x", 1e-6)
    with pytest.raises(
        Disagreement, match=r"element 1 in row-major order has other bits: found 0.0, expected -0.0"
    ):
        bits(np.array([1.0, 0.0]), np.array([1.0, -0.0]), "x")
    assert describe((np.zeros(3), [True, np.zeros((), "i4")])) == "(float64[3], [True, int32[]])"
