"""The operators: one declaration each, with its derivative beside it.

Names follow the Python array API standard (`axis`, `keepdims`, `astype`, `take`), the language that array
libraries share; PyTorch's names are a thin face over them in `plugrad.methods` and `plugrad.functions`.
Each op is an attribute by its name: `plugrad.ops.sum`; those of plugins by their library's: `plugrad.ops.acme.blur`.
"""

from __future__ import annotations

import importlib
from typing import Any

from .. import plugins
from ..op import OPS, astype, conform, sum_to
from . import axes
from .activation import *  # noqa: F403
from .attention import *  # noqa: F403
from .conv import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .index import *  # noqa: F403
from .linalg import *  # noqa: F403
from .lookup import *  # noqa: F403
from .loss import *  # noqa: F403
from .norm import *  # noqa: F403
from .pool import *  # noqa: F403
from .reduce import *  # noqa: F403
from .shape import *  # noqa: F403
from .sort import *  # noqa: F403

__all__ = [name for name in globals() if not name.startswith("_")] + ["astype", "axes", "conform", "sum_to"]

plugins.RESERVED_LIBRARIES.update(name for name in (*globals(), *OPS) if not name.startswith("_"))


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in OPS:  # here, names that Python or NumPy gives another meaning have a '_' behind them: `sum_`
        return OPS[name]
    # Nobody pays for plugins before one is asked for; and `from . import` would ask here again.
    found = globals()[name] = importlib.import_module(f"{__name__}.libraries").find(name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module(f"{__name__}.libraries").names()})
