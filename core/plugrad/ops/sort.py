"""Orders: where the elements go is found here, and the elements are gathered by `take_sorted` and its like.

NaN counts as greater than any number, as in PyTorch.
"""

from __future__ import annotations

from ..op import operator

#: The indices that sort along an axis; of equal elements the first comes first.
argsort = operator("argsort", "x | axis=-1 descending=False")
#: The indices of the `k` greatest, or smallest, along an axis, in order.
argtopk = operator("argtopk", "x | k=1 axis=-1 largest=True")
#: For each value where it would go in the sorted 1-d `x`: before equal elements, or after them.
searchsorted = operator("searchsorted", "x values | right=False", result="own")
#: How often each of 0 … occurs among the elements of `x`, or the sum of their weights.
bincount = operator("bincount", "x | weights=None minlength=0")
#: The distinct elements (or slices along an axis) in order, which of them each is, and how often each occurs.
unique = operator("unique", "x | axis=None", outputs=True)
