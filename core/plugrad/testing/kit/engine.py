"""A run of the kit: which checks run, in which order, what they stand on, and what becomes of their results."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .checks import STANDS_ON, Check
from .report import BAD, Report, Result
from .suite import checks, select, suggestion
from .worker import Worker, WorkerDied

TIERS, TIER_VARIABLE = ("quick", "full"), "PLUGRAD_CONFORMANCE"


class Session:
    """The checks of one device: remembers which layers failed, and holds the worker.

    `isolated=False` runs checks in this process: for a debugger.
    """

    def __init__(
        self,
        device: str,
        tier: str | None = None,
        *,
        xfails: Mapping[str, str] | None = None,
        plugins: Sequence[str] = (),
        seed: int = 0,
        timeout: float = 60.0,
        keep_going: bool = False,
        isolated: bool = True,
    ) -> None:
        tier = tier or os.environ.get(TIER_VARIABLE) or "quick"
        if tier not in TIERS:
            raise ValueError(f'tier: found {tier!r}: give "quick" or "full"')
        self.xfails = checked_xfails(xfails or {})
        self.plugins = [plugins] if isinstance(plugins, str) else list(plugins)
        self.keep_going, self.isolated, self.timeout = keep_going, isolated, timeout
        self.report = Report(device, tier, seed)
        self._failed: dict[str, list[str]] = {}
        self._worker: Worker | None = None
        self._bench: Any = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()

    def run(self, check: Check) -> list[Result]:
        """Run a check, in all its aspects; its results, which the report keeps."""
        blocked = self._blocked(check.layer)
        raw: list[tuple[str, dict[str, Any]]] = []
        for aspect in check.aspects:
            if blocked:
                outcome: dict[str, Any] = {"status": "skipped", "reason": blocked}
            elif raw and raw[0][1]["status"] != "passed":  # the forward of an op
                first = raw[0][1]
                outcome = {"status": "skipped", "reason": first["reason"]}
                if first["status"] != "skipped":
                    outcome["reason"] = f"{check.result_id(check.aspects[0])} {first['status']}"
            else:
                outcome = self._run(check, aspect)
            raw.append((aspect, outcome))
        results = self._judged(check, raw)
        self.report.results += results
        for r in results:
            if r.status in BAD:
                self._failed.setdefault(check.layer, []).append(r.id)
        return results

    def _run(self, check: Check, aspect: str) -> dict[str, Any]:
        try:
            outcome = self._run_there(check, aspect) if self.isolated else self._run_here(check, aspect)
        except WorkerDied as death:
            return {"status": "crashed", "reason": str(death), "detail": death.detail}
        if "origin" in outcome:
            self.report.origins[check.id.removeprefix("op:")] = outcome["origin"]
        return outcome

    def _run_there(self, check: Check, aspect: str) -> dict[str, Any]:
        if self._worker is None:
            r = self.report
            settings = {"device": r.device, "tier": r.tier, "seed": r.seed, "plugins": self.plugins}
            self._worker = Worker(settings, self.timeout)
        return self._worker.run(check.id, aspect)

    def _run_here(self, check: Check, aspect: str) -> dict[str, Any]:
        from . import suite
        from .bench import Bench
        from .worker import add_plugins

        if self._bench is None:
            add_plugins(self.plugins)
            self._bench = Bench(self.report.device, self.report.tier, self.report.seed)
        return suite.run(self._bench, check, aspect)

    def _blocked(self, layer: str) -> str:
        """Why a layer is not run: a layer that it stands on has failed."""
        below = STANDS_ON[layer]
        while below is not None and not self.keep_going:
            failed = self._failed.get(below)
            if failed:
                more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
                return f"the layer {below!r} failed: repair {failed[0]}{more} first"
            below = STANDS_ON[below]
        return ""

    def _judged(self, check: Check, raw: list[tuple[str, dict[str, Any]]]) -> list[Result]:
        """The outcomes with expected failures taken into account, and with the line that repeats them."""
        whole = self.xfails.get(check.id) if check.aspects != ("",) else None
        any_bad = any(o["status"] in BAD for _, o in raw)
        results = []
        for aspect, o in raw:
            name = check.result_id(aspect)
            status, reason, detail = o["status"], o.get("reason", ""), o.get("detail", "")
            expected = self.xfails.get(name)
            if expected is None and whole is not None and (status in BAD or not any_bad):
                expected = whole
            # What is absent may be listed, too; a check that did not run says nothing.
            if expected is not None and (status in BAD or o.get("absent")):
                status, reason = "xfailed", f"{expected} ({reason})"
            elif expected is not None and status == "passed":
                status, reason = "xpassed", f"is listed in xfails ({expected}), but passes: take it out"
            line = self.reproduce(name) if status in BAD else ""
            results.append(Result(check.layer, name, status, reason, line, detail if status in BAD else ""))
        return results

    def reproduce(self, name: str) -> str:
        """The command that runs one check again, in one process and with the same random numbers."""
        r = self.report
        words = [os.path.basename(sys.executable) or "python", "-m", "plugrad.testing", r.device, name]
        words += ["--seed", str(r.seed)]
        words += ["--tier", r.tier] if r.tier != "quick" else []
        words += [word for plugin in self.plugins for word in ("--plugin", plugin)]
        return shlex.join(words)


def checked_xfails(xfails: Mapping[str, str]) -> dict[str, str]:
    """The expected failures, if each names a check and gives a reason; ValueError otherwise."""
    known = {name for c in checks().values() for name in (c.id, *map(c.result_id, c.aspects))}
    for name, reason in xfails.items():
        if name not in known:
            raise ValueError(f"xfails: no check is called {name!r}{suggestion(name)}")
        if not (isinstance(reason, str) and reason.strip()):
            raise ValueError(
                f"xfails: {name!r} has the reason {reason!r}: say in a sentence why it must fail"
            )
    return dict(xfails)


def conformance(
    device: str,
    tier: str | None = None,
    *,
    layers: Iterable[str] | None = None,
    only: Iterable[str] | None = None,
    xfails: Mapping[str, str] | None = None,
    plugins: Sequence[str] = (),
    seed: int = 0,
    timeout: float = 60.0,
    keep_going: bool = False,
    isolated: bool = True,
    progress: Callable[[Result], None] | None = None,
) -> Report:
    """Run the conformance kit on a device, e.g. "acme" or "acme:1", and report.

    `tier` is "quick" or "full"; by default what the environment variable PLUGRAD_CONFORMANCE says, else "quick".
    `layers` are some of those in `checks.LAYERS`, `only` ids of checks or patterns of them ("op:*"); what stands on a
    layer that failed is skipped, unless `keep_going`. `xfails` maps ids of checks that must fail to the reasons.
    `plugins` are import strings ("package.module" or "package.module:Class") of plugins to register that no installed
    distribution offers. A check that takes longer than `timeout` seconds is ended, and counts as crashed. `progress` is
    called with each result. Failures of the device are in the report; what raises here is a wrong argument (ValueError).

    >>> conformance("cpu", "quick", only=["primitive:exp"])
    <Report of 'cpu', tier quick: 1 passed>
    """
    selected = select(layers, only)
    options: dict[str, Any] = {"plugins": plugins, "seed": seed, "timeout": timeout, "keep_going": keep_going}
    with Session(device, tier, xfails=xfails, isolated=isolated, **options) as session:
        for check in selected:
            for result in session.run(check):
                if progress is not None:
                    progress(result)
    return session.report
