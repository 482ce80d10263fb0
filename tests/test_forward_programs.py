"""Programs of dual numbers that mix writes, views, hooks and both modes, run in PyTorch as well."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
import plugrad.autograd.forward_ad as fwAD

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # PyTorch's own, at its first make_dual
    pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True:UserWarning"),
]

V, T = [1.0, 2.0, 3.0], [1.0, 0.5, -1.0]
INSIDE: dict[str, str] = {
    # gradients with respect to what was computed: of an output, of its tangent, of both
    "intermediate": "y = d * 2; t = both((y * y).sum())[1]; r = grad(t, y)",
    "intermediate, by a value": "y = d * 2; p = both(y)[0]; r = grad((p * p).sum(), y)",
    "intermediate, by both": "y = d * 2; z = (y * y).sum(); p, t = both(z); g, = grad([z, t], y, [p * 0 + 2, p * 0 + 1]); "
    "r = [both(g)[0]]",
    "intermediate, written": "y = d * 2; y.mul_(d); y[0] = d[1]; t = both((y * y).sum())[1]; r = [*grad(t, y), *grad(t, x)]",
    "one of several": "a, b, c = (d * 2).unbind(); r = grad(both(a * b * c)[1], [a, b])",
    "inputs=": "y = d * 2; both((y * y).sum())[1].backward(inputs=[y]); r = [y.grad, x.grad]",
    "hook, by the tangent": "y = d * 2; r = []; y.register_hook(lambda g: r.append(g.clone())); grad(both((y * y).sum())[1], x)",
    "retain_grad, by the tangent": "y = d * 2; y.retain_grad(); both((y * y).sum())[1].backward(); r = [y.grad, x.grad]",
    # requires_grad and duals
    "requires_grad_": "e = make(v, w).requires_grad_(); y = (e * e * e).sum(); r = [*parts(y), *grad(both(y)[1], e)]; "
    "y.backward(); r += parts(e.grad)",
    "requires_grad_(False)": "e = make(v, w).requires_grad_()\n"
    "e.requires_grad_(False); y = e * e; r = [*parts(y), y.requires_grad]",
    "detach_": "y = d.clone(); y.detach_(); r = [*parts(y), y.requires_grad]",
    "Parameter": "p = lib.nn.Parameter(make(v, w)); r = [*parts(p), p.requires_grad]",
    "asarray": "r = parts(lib.asarray(make(v, w)))",
    # .grad
    ".grad of the value": "u = ones(); u.requires_grad_(); (d * u * u).sum().backward(); r = parts(u.grad)",
    ".grad that is recorded": "u = ones(); u.requires_grad_(); (d * u * u).sum().backward(create_graph=True); r = parts(u.grad)",
    # writes
    "leaf, under no_grad": "u = ones(); u.requires_grad_()\nwith lib.no_grad(): u[0] = d[1]; u.mul_(3); u[1] = 2.0\n"
    "y = (u * u * u).sum(); p, t = both(y); r = [p, t, *grad(t, u, retain_graph=True), *parts(grad(y, u)[0]), u.requires_grad]",
    "view of a leaf, under no_grad": "u = ones(); u.requires_grad_()\nwith lib.no_grad(): u[1:].add_(d[1:])\n"
    "t = both((u * u * u).sum())[1]; r = [t, *grad(t, u)]",
    "computed, under no_grad": "u = ones(); u.requires_grad_(); z = u * 2\nwith lib.no_grad(): z.add_(d)\n"
    "r = [*parts(z), z.requires_grad]",
    "descent": "u = ones(); u.requires_grad_(); lr = make(v, w)[0]\nfor _ in range(3):\n g, = grad((u**4).sum(), u)\n"
    " with lib.no_grad(): u -= lr * g * 0.01\nr = parts((u * u).sum())",
    "one of several, unrecorded": "c = make(v, w).clone(); c.unbind()[0].mul_(2); r = [*parts(c), c.requires_grad]",
    "view, unrecorded": "c = make(v, w).clone(); c[1:].mul_(2); r = [*parts(c), c.requires_grad]",
    # numbers and text
    "numpy": "e = make(v, w); r = [e.numpy(), np.asarray(e), (e * 2).numpy(force=True), e.tolist(), e[0].item()]",
    "a real tangent": "r = parts(make(v + 0j, w) * 2j)",
    "text": "e = make(v, w).float(); r = [repr(e), repr(e * 2), repr(e[0]), repr(e.view(3, 1)), repr(d), f'{e[0]:.2f}']",
}  # fmt: skip
AFTER: dict[str, tuple[str, str]] = {
    "views": (
        "d = make(v, w); y = d.clone(); a = y[1:]; b = y.view(3, 1); c = a[0]; e = y.unbind()[2]; y.mul_(2)",
        "a.add_(1); y[0] = 7.0; r = [y, a, b, c, e]",
    ),
    "a view alone": ("y = d.detach() * 2; a = y[1:]; del y; gc.collect()", "a.add_(1); r = [a]"),
    "admitted": ("z = ones(); a = z[1:]; z.add_(make(v, w))", "z.add_(1); a.mul_(2); r = [z, a]"),
    "hooks": (
        "r = []; y = d * d; y.register_hook(lambda g: r.append(g.clone())); y.retain_grad(); z = (y * y).sum()",
        "z.backward(); r += [y.grad, x.grad]",
    ),
    "a leaf": ("e = make(v, w).requires_grad_(); y = e * e", "y.sum().backward(); r = [e.grad, e.is_leaf]"),
    ".grad": ("u = ones(); u.requires_grad_(); (d * u * u).sum().backward(create_graph=True)", "r = [u.grad * 1]"),
    "copies": (
        "import copy; e = make(v, w); a = copy.copy(e); b = copy.deepcopy(e); c = e.data; p = lib.nn.Parameter(ones())\n"
        "p.data = e",
        "r = [a * 2, b * 2, c * 2, p * 2, p.requires_grad]",
    ),
    "gradients": (
        "u = ones(); u.requires_grad_(); z = u.new_zeros(3, requires_grad=True); s = []; y = u * d; y.register_hook(s.append)\n"
        "g, = grad((u * u * d).sum(), u); h, = grad(y.sum(), d, create_graph=True); (y * y).sum().backward()",
        "r = [g * 2, h * 2, s[0] * 2, u.grad * 2]",
    ),
    "no_grad": (
        "u = ones(); u.requires_grad_(); a = u[1:]\nwith lib.no_grad(): u.mul_(make(v, w))",
        "y = (u * u).sum() + (u[1:] * 1).sum(); r = [y, *grad(y, u)]",
    ),
}  # fmt: skip


def run(lib: Any, ad: Any, inside: str, after: str = "") -> list[Any]:
    def tensor(values: Any, **options: Any) -> Any:
        return lib.tensor(values, dtype=lib.float64, **options)

    def grad(ys: Any, xs: Any, *args: Any, **options: Any) -> Any:
        return lib.autograd.grad(ys, xs, *args, **{"retain_graph": True, **options})

    names: dict[str, Any] = {
        "lib": lib, "np": np, "gc": gc, "grad": grad, "make": ad.make_dual, "both": ad.unpack_dual,
        "parts": lambda x: list(ad.unpack_dual(x)), "ones": lambda: tensor([1.0, 1.0, 1.0]),
    }  # fmt: skip
    with ad.dual_level():
        names.update(x=tensor(V, requires_grad=True), v=tensor(V), w=tensor(T))
        names["d"] = ad.make_dual(names["x"], names["w"])
        exec(inside, names)
        if not after:
            return [plain(r) for r in names["r"]]
    exec(after, names)
    return [plain(r) for r in names["r"]]


def plain(r: Any) -> Any:
    """Something to compare: of a tensor the dtype and the values, NaN where there is none."""
    return (str(r.dtype).split(".")[-1], r.detach().tolist()) if hasattr(r, "detach") else r


def same(found: Any, want: Any) -> None:
    for a, b in zip(found, want, strict=True):
        if isinstance(a, tuple):
            assert a[0] == b[0]
            np.testing.assert_allclose(a[1], b[1], rtol=1e-12)
        else:
            assert type(a) is type(b) and np.array_equal(a, b), (a, b)


@pytest.mark.parametrize("name", INSIDE)
def test_inside_a_level_as_in_pytorch(name: str) -> None:
    oracle = pytest.importorskip("torch")
    import torch.autograd.forward_ad as oracle_ad

    same(run(torch, fwAD, INSIDE[name]), run(oracle, oracle_ad, INSIDE[name]))


@pytest.mark.parametrize("name", AFTER)
def test_after_a_level_as_in_pytorch(name: str) -> None:
    oracle = pytest.importorskip("torch")
    import torch.autograd.forward_ad as oracle_ad

    same(run(torch, fwAD, *AFTER[name]), run(oracle, oracle_ad, *AFTER[name]))


def test_what_numpy_gets_is_read_only() -> None:
    with fwAD.dual_level(), pytest.raises(ValueError, match="read-only"):
        fwAD.make_dual(torch.ones(2), torch.ones(2)).numpy()[0] = 3


@pytest.mark.parametrize("write", ["c.mul_(2)", "e.mul_(2)", "c[0] = 1.0"])
def test_memory_shared_with_a_detached_tensor_is_not_written(write: str) -> None:
    with fwAD.dual_level():
        c = fwAD.make_dual(torch.ones(2), torch.ones(2)).clone()
        e = c.detach()  # noqa: F841  # for `write`
        with pytest.raises(NotImplementedError, match=r"detached.*write into a \.clone\(\)"):
            exec(write)
        c = c.clone()
        c.detach()  # which nobody keeps
        assert fwAD.unpack_dual(c.mul_(2)).tangent.tolist() == [2, 2]


@pytest.mark.parametrize("use", [lambda d: d * d, lambda d: d + torch.ones(2), fwAD.unpack_dual])
def test_another_thread_is_refused(use: Callable[[Any], Any]) -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            use(d)
        except Exception as error:
            errors.append(error)

    with fwAD.dual_level():
        d = fwAD.make_dual(torch.ones(2), torch.ones(2))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert "forward_ad is used in another thread" in str(errors[0])
    assert isinstance(errors[0], RuntimeError)
