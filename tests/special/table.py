"""The table of docs/special.md: `python -m tests.special.table` writes it anew."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from plugrad_plugins import special

from . import ROWS, op_of

PAGE = Path(__file__).parents[2] / "docs" / "special.md"
START, END = "<!-- the table, from here -->\n", "<!-- to here -->\n"


def table() -> str:
    """The functions by family: call, arguments with a derivative, domain, whether CuPy has a kernel."""
    rows, lines = {row.name: row for row in ROWS}, []
    for family, names in special.FAMILIES.items():
        title = (import_module(f"plugrad_plugins.special.{family}").__doc__ or "").partition("\n")[0]
        title = title.partition(":")[0].rstrip(".")
        lines += [
            "",
            f"### {title}",
            "",
            "| function | derivative in | defined for | CUDA |",
            "|---|---|---|---|",
        ]
        for name in names.split():
            op = op_of(rows[name])
            arguments = ", ".join([*op.inputs, *(f"{k}={v}" for k, v in op.params.items())])
            derivative = ", ".join(f"`{i}`" for i in op.differentiable) or "none"
            cuda = "yes" if name in special.CUPY.split() or name in special.COMPOSED else ""
            lines.append(f"| `{name}({arguments})` | {derivative} | {rows[name].domain} | {cuda} |")
    return "\n".join([*lines, "", ""])


def page() -> str:
    """The page with the table in its place."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return before + START + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
