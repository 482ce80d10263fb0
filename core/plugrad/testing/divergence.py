"""What `compare` says of the first thing that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .tolerances import Difference

if TYPE_CHECKING:
    from .trace import Step, Trace

Kind = Literal["value", "gradient", "input", "arriving", "sequence", "error", "result"]


class Divergence:
    """Where a device first computed something else than the first one.

    `kind` says what: the "value" of the op, though its operands agree; the "gradient" that it passes on, though what arrives
    agrees; an "input" that no op made, or an "arriving" gradient that no op passed on; the "sequence" of ops; an "error"; or
    a "result" of the whole, though all ops agree.
    """

    def __init__(
        self,
        kind: Kind,
        trace: Trace,
        what: str,
        step: Step | None = None,
        difference: Difference | None = None,
        backward: bool = False,
    ) -> None:
        self.kind, self.what, self.difference, self.backward = kind, what, difference, backward
        reference = trace.reference or trace
        self.device, self.reference = trace.device, reference.device
        #: The op, the file and line that called it, its operands as "float32[2, 3]".
        self.op = None if step is None else step.name
        self.place = None if step is None else step.place
        self.inputs: list[str] = [] if step is None else step.forms
        #: How many ops were called before it, and how many there are in all.
        self.position = len(reference.steps) if step is None else step.number
        self.steps = len(reference.steps)
        #: How far the operands were apart, where it is the value that differs.
        self.input_error: float | None = None
        #: Whether it agrees, given the operands of the reference exactly: then it magnifies what they were apart.
        self.magnifies: bool | None = None

    @property
    def line(self) -> str:
        """The text of the line that called the op; "" where nobody knows."""
        import linecache

        return "" if self.place is None else linecache.getline(*self.place).strip()

    def __str__(self) -> str:
        where = ""
        if self.op is not None:
            where = f" at op {self.position + 1} of {self.steps}, {self.op}({', '.join(self.inputs)})"
        lines = [f"compare: {self.device!r} diverges from {self.reference!r}{where}", f"  {self.what}"]
        if self.difference is not None:
            lines.append(f"  found {self.difference}")
        if self.input_error == 0:
            lines.append("  its operands are equal")
        elif self.input_error is not None:
            exactly = {
                None: "",
                True: f"; given those of {self.reference!r} it agrees: it magnifies what they were apart",
                False: f"; given those of {self.reference!r} it differs as well",
            }
            lines.append(f"  its operands agree, to {self.input_error:.3g}{exactly[self.magnifies]}")
        if self.place is not None:
            lines.append(
                f"  called at {self.place[0]}:{self.place[1]}" + (f": {self.line}" if self.line else "")
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{str(self).splitlines()[0]}>"
