"""For authors of backends and operators: what proves that a device or an op is right."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import DivergenceError as DivergenceError
    from ..errors import OpCheckError as OpCheckError
    from .comparison import Comparison as Comparison
    from .comparison import compare as compare
    from .divergence import Divergence as Divergence
    from .kit.cases import Conformance as Conformance
    from .kit.engine import conformance as conformance
    from .kit.report import Report as Report
    from .kit.report import Result as Result
    from .opchecks.opcheck import opcheck as opcheck
    from .opchecks.report import OpReport as OpReport
    from .rows import In as In
    from .rows import S as S
    from .rows import Sample as Sample
    from .tolerances import TOLERANCES as TOLERANCES

#: Imported at first use, from the modules that define them: pytest is needed for `Conformance` alone.
_HOMES = {
    "Conformance": "kit.cases",
    "conformance": "kit.engine",
    "Report": "kit.report",
    "Result": "kit.report",
    "opcheck": "opchecks.opcheck",
    "Comparison": "comparison",
    "Divergence": "divergence",
    "DivergenceError": "comparison",
    "compare": "comparison",
    "OpReport": "opchecks.report",
    "OpCheckError": "opchecks.opcheck",
    "In": "rows",
    "S": "rows",
    "Sample": "rows",
    "TOLERANCES": "tolerances",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
