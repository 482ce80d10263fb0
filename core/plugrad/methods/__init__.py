"""PyTorch's names: the methods of `Tensor`, by family, each a thin face over the ops.

`plugrad.functions` gives the same as functions: `plugrad.add` is `Tensor.add`.
"""

from __future__ import annotations

from .conversion import Conversion
from .elementwise import Elementwise
from .indexing import Indexing
from .inplace import InPlace
from .inplace_forms import InPlaceForms
from .linalg import Linalg
from .numpy_protocols import NumPyProtocols
from .random_fill import RandomFill
from .reductions import Reductions
from .shapes import Shapes


class Methods(
    Elementwise,
    Reductions,
    Shapes,
    Indexing,
    Linalg,
    InPlace,
    InPlaceForms,
    Conversion,
    RandomFill,
    NumPyProtocols,
):
    """All of them."""

    __slots__ = ()
