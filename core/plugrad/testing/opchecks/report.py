"""What `opcheck` found: one line for each check, and for each that failed what was asked, found, and the cure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped", "inapplicable"]


class Fault(Exception):
    """What a check found wrong, and the cure where it is not the usual one; a `fatal` one makes other checks pointless."""

    def __init__(self, found: str, cure: str | None = None, fatal: bool = False) -> None:
        super().__init__(found)
        self.found, self.cure, self.fatal = found, cure, fatal


class Inapplicable(Exception):
    """A check has nothing to look at, and says why."""


@dataclass(frozen=True)
class Check:
    """One check of a report."""

    name: str
    #: "passed", "failed", "skipped" by the caller or since what it stands on failed, or "inapplicable".
    status: Status
    #: Of a check that passed, what it was tried on; of one that was not made, the reason.
    detail: str = ""
    #: Of a check that failed.
    asked: str = ""
    found: str = ""
    cure: str = ""
    #: A line of Python that makes this check alone, on the sample that failed.
    reproduce: str = ""

    def __str__(self) -> str:
        if self.status != "failed":
            return f"{self.status:12} {self.name}" + (f": {self.detail}" if self.detail else "")
        lines = [f"FAILED       {self.name}: {self.asked}"]
        for what in ("found", "cure", "reproduce"):
            text = getattr(self, what).replace("\n", "\n" + " " * 20)
            lines.append(f"      {what + ':':11} {text}")
        return "\n".join(lines)


class OpReport:
    """The checks of one op on one device, by name: `report["gradcheck"].status`; `report.ok`, `report.failed`."""

    def __init__(self, op: str, device: str, checks: list[Check]) -> None:
        self.op, self.device, self.checks = op, device, checks

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [c for c in self.checks if c.status == "failed"]

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"{name!r}: the checks are {', '.join(c.name for c in self.checks)}")

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "op": self.op,
            "device": self.device,
            "ok": self.ok,
            "checks": [asdict(c) for c in self.checks],
        }

    def summary(self, only_failed: bool = False) -> str:
        """The checks as text."""
        made = [c for c in self.checks if c.status in ("passed", "failed")]
        head = f"opcheck of {self.op} on {self.device!r}: {len(self.failed)} of {len(made)} checks failed"
        if self.ok:
            head = f"opcheck of {self.op} on {self.device!r}: {len(made)} checks passed"
        return "\n".join([head, *(f"  {c}" for c in (self.failed if only_failed else self.checks))])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<{self.summary().splitlines()[0]}>"
