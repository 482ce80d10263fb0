"""What a run of the conformance kit found, as plain data, and its two written forms."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

#: What a check can come to. Of these, the last three make a run fail.
STATUSES = ("passed", "xfailed", "skipped", "failed", "xpassed", "crashed")
BAD = frozenset(STATUSES[3:])

#: How an op is tested, in this order; the columns of the coverage table.
ASPECTS = ("forward", "first", "second", "forward-mode")
_MARKS = {
    "passed": "✓", "xfailed": "expected ✗", "skipped": "·", "failed": "✗", "xpassed": "unexpected ✓", "crashed": "crash",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What one check came to; `reason` is one line, `detail` may be a traceback."""

    layer: str
    id: str
    status: str
    reason: str = ""
    reproduce: str = ""
    detail: str = ""

    def __str__(self) -> str:
        lines = [f"{self.status}: {self.id}" + (f": {self.reason}" if self.reason else "")]
        if self.status in BAD:
            lines += [f"reproduce: {self.reproduce}"] if self.reproduce else []
            lines += [self.detail.rstrip()] if self.detail else []
        return "\n".join(lines)


@dataclass
class Report:
    """All results of a run, in order.

    `origins` says for each op where its kernel comes from: "native", "plugin", "composite", "host" or "absent".
    """

    device: str
    tier: str
    seed: int
    results: list[Result] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> list[Result]:
        """The results that make the run fail."""
        return [r for r in self.results if r.status in BAD]

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and something ran."""
        return not self.failures and any(r.status != "skipped" for r in self.results)

    @property
    def counts(self) -> dict[str, int]:
        """How many results there are of each status that occurs."""
        found = Counter(r.status for r in self.results)
        return {status: found[status] for status in STATUSES if found[status]}

    def coverage(self) -> dict[str, dict[str, str]]:
        """For each op its kernel's origin, and the status of each aspect that applies to it and was tested."""
        table: dict[str, dict[str, str]] = {}
        for r in self.results:
            if r.layer == "ops":
                _, op, aspect = r.id.split(":", 1)[0], *r.id.split(":", 1)[1].rsplit(":", 1)
                row = table.setdefault(op, {"origin": self.origins.get(op, "")})
                row[aspect] = r.status
        return table

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, lists, strings and numbers."""
        return {
            "device": self.device,
            "tier": self.tier,
            "seed": self.seed,
            "ok": self.ok,
            "counts": self.counts,
            "results": [asdict(r) for r in self.results],
            "coverage": self.coverage(),
        }

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The report as a page: a summary, what failed, what was skipped, and the coverage table of the ops."""
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items()) or "nothing was run"
        parts = [f"# Conformance of `{self.device}`", f"Tier {self.tier}, seed {self.seed}: {counts}."]
        layers: dict[str, Counter[str]] = {}
        for r in self.results:
            layers.setdefault(r.layer, Counter())[r.status] += 1
        if layers:
            parts.append(
                _table(["layer", *STATUSES], [[n, *(c[s] for s in STATUSES)] for n, c in layers.items()])
            )
        for title, statuses in {"Failures": BAD, "Expected failures": {"xfailed"}}.items():
            lines = [
                f"- `{r.id}` ({r.status}): {r.reason}" + (f"  \n  `{r.reproduce}`" if r.status in BAD else "")
                for r in self.results
                if r.status in statuses
            ]
            parts += [f"## {title}", "\n".join(lines)] if lines else []
        skipped: dict[str, list[str]] = {}
        for r in self.results:
            if r.status == "skipped" and r.layer != "ops":
                skipped.setdefault(r.reason, []).append(f"`{r.id}`")
        if skipped:
            parts += ["## Skipped", "\n".join(f"- {why}: {_few(ids)}" for why, ids in skipped.items())]
        table = self.coverage()
        if table:
            rows = [
                [f"`{op}`", row["origin"], *(_MARKS.get(row.get(a, ""), "") for a in ASPECTS)]
                for op, row in sorted(table.items())
            ]
            marks = "✓ right, ✗ wrong, · not tested here, empty: does not apply."
            parts += ["## Coverage", marks, _table(["op", "kernel", *ASPECTS], rows)]
        return "\n\n".join(parts) + "\n"

    def __repr__(self) -> str:
        found = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        return f"<Report of {self.device!r}, tier {self.tier}: {found or 'empty'}>"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _few(names: list[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
