"""Whether the kernel of a composite is what its body says."""

from __future__ import annotations

from typing import Any

from ... import creation
from ...engine import grad
from ...graph import Port
from ...lowering import LoweredNode, lowered_node
from ...op import Composite
from .calls import Case
from .checks import agree, check, hosts, results
from .report import Fault, Inapplicable


@check(
    "lowering",
    "the device's kernel of a composite computes what its body does, and its derivatives of both orders are the body's",
    "correct the kernel, or its Lowering: the body says what the composite means",
)
def check_lowering(case: Case, options: dict[str, Any]) -> str | None:
    composite, backend = case.subject.target, case.subject.backend
    if not isinstance(composite, Composite) or lowered_node(composite, backend.array_type) is None:
        raise Inapplicable("there is no composite of which the device has a kernel")
    served = False
    found: dict[bool, list[tuple[str, list[Any]]]] = {}
    for lowered in (True, False):
        values = found[lowered] = []
        for recorded in (False, True):
            tensors = case.tensors(grad=True)
            args, params = case.fill(tensors, backend)
            ys = results((composite.lowered if lowered else composite.body)(*args, **params))
            served = served or any(isinstance(_node(y), LoweredNode) for y in ys)
            values.append(("result", hosts(ys)))
            leaves, gs = [tensors[i] for i in case.differentiable], [y for y in ys if y.requires_grad]
            order = 1
            while gs and leaves and order <= 1 + recorded:
                given = [creation.tensor(w, device=case.subject.device) for w in case.weights(gs)]
                weights = [w.to(y.dtype) for w, y in zip(given, gs, strict=True)]
                grads = grad(gs, leaves, weights, create_graph=recorded, allow_unused=True)
                values.append((f"derivative of order {order}", hosts(grads)))
                gs, order = [g for g in grads if g is not None and g.requires_grad], order + 1
    if len(found[True]) != len(found[False]):
        raise Fault(f"{len(found[True])} results and derivatives, but the body has {len(found[False])}")
    for (what, values), (_, expected) in zip(found[True], found[False], strict=True):
        agree(values, expected, what, options)
    return f"{case}, by {'the kernel' if served else 'the body, since the kernel does not serve it'}"


def _node(y: Any) -> Any:
    edge = y._edge
    return edge.node if isinstance(edge, Port) else edge
