"""`explain`: the nodes of a graph, what they keep, where they were called, and the pictures."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import plugrad as torch
from plugrad import nn

SVG = "{http://www.w3.org/2000/svg}"


def graph() -> tuple[Any, dict[str, Any]]:
    w = torch.ones(3, 4, requires_grad=True)
    b = torch.ones(4, requires_grad=True)
    h = torch.ones(2, 3) @ w + b
    y = torch.softmax(h, 1)
    return (y * y).mean() + h.exp().sum(), {"w": w, "b": b}


def test_the_table() -> None:
    loss, params = graph()
    assert repr(torch.explain(loss, params=params)) == (
        "#  op                shape   dtype    saves        from\n"
        "0  AddBackward0      ()      float32               1 4\n"
        "1  MeanBackward0     ()      float32               2\n"
        "2  MulBackward0      (2, 4)  float32  kept before  3 3\n"
        "3  SoftmaxBackward0  (2, 4)  float32  32 B         6\n"
        "4  SumBackward0      ()      float32               5\n"
        "5  ExpBackward0      (2, 4)  float32  32 B         6\n"
        "6  AddBackward0      (2, 4)  float32               7 9\n"
        "7  MmBackward0       (2, 4)  float32  24 B         8\n"
        "8  w                 (3, 4)  float32  leaf\n"
        "9  b                 (4,)    float32  leaf\n"
        "8 ops, 2 leaves; the graph keeps 88 B"
    )


SHAPES = {
    "reshape": lambda x: x.reshape(6).exp(),
    "permute": lambda x: x.permute(1, 0).neg(),
    "sum": lambda x: x.sum(1),
    "expand": lambda x: x.reshape(1, 2, 3).expand(4, 2, 3),
    "index": lambda x: x[:, torch.tensor([0, 0, 1])],
    "cat": lambda x: torch.cat([x * 2, x], 1),
    "split": lambda x: x.split([1, 2], 1)[1] * 2,
    "sort": lambda x: x.sort(1)[0],
    "matmul": lambda x: (x * 2) @ torch.ones(3, 5),
    "broadcast": lambda x: (x * 2) + torch.ones(4, 1, 1),
    "where": lambda x: torch.where(x > 1, x * 2, x.exp()),
    "complex": lambda x: (x * 1j).abs(),
    "prod": lambda x: (x * 2).prod(0),
    "det": lambda x: (x[:, :2] * 2).det(),
    "in place": lambda x: (x * 2).index_fill_(0, torch.tensor([0]), 1.0),
    "assignment": lambda x: written(x),
    "function": lambda x: Twins.apply(x * 2, "plain")[1].sum(),
}


def written(x: Any) -> Any:
    y = x * 2
    y[0, 1:] = 3 * x[1, 1:]
    return y


class Twins(torch.autograd.Function):
    """Two outputs, and an argument that is no tensor."""

    @staticmethod
    def forward(ctx: Any, x: Any, _: str) -> Any:
        ctx.save_for_backward(x)
        return x * 1, x * 2

    @staticmethod
    def backward(ctx: Any, a: Any, b: Any) -> Any:
        raise AssertionError("explain must not call what users write")


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_dtypes_are_those_of_the_forward(name: str) -> None:
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    expected: dict[int, tuple[Any, Any]] = {}
    explanation = None
    y = SHAPES[name](x)
    explanation = torch.explain(y)
    first = explanation.nodes[0]
    assert (first.shape, first.dtype) == (tuple(y.shape), y.dtype)
    # A hook sees the gradient of each node's output, which has its shape.
    for n in explanation.nodes:
        if n.kind == "op" and len(getattr(n.node, "output_metas", ())) <= 1:
            n.node.register_prehook(
                lambda gs, n=n: expected.__setitem__(id(n), (tuple(gs[0].shape), gs[0].dtype))
            )
    if name != "function":
        y.backward(torch.ones_like(y))
        assert expected
    for n in explanation.nodes:
        if id(n) in expected and n.shape is not None:
            assert (n.shape, n.dtype) == expected[id(n)], n.name
    unknown = [n.name for n in explanation.nodes if n.shape is None]
    assert unknown == []
    leaf = explanation.nodes[-1]
    assert (leaf.kind, leaf.shape) == ("leaf", (2, 3))


def test_bytes_count_each_array_once_and_no_leaf() -> None:
    x = torch.ones(1000, requires_grad=True)
    assert torch.explain(x * x).saved_bytes == 0  # the leaf is there anyway
    y = x.exp()
    assert torch.explain((y * y).sum()).saved_bytes == 4000
    assert torch.explain((y[:10] * y[10:20]).sum()).saved_bytes == 4000  # y itself; its parts are views of it
    z = x.double() * 2
    assert torch.explain((z * z).sum()).saved_bytes == 8000
    both = torch.explain(y.sum(), (y * 3).sum())
    assert both.saved_bytes == 4000 and [n.is_output for n in both.nodes].count(True) == 2


def test_bytes_of_a_view_are_those_of_the_memory_that_it_keeps() -> None:
    x, large = torch.ones(10, requires_grad=True), torch.ones(1000)
    assert torch.explain((x * large[:10]).sum() + (x * large[10:20]).sum()).saved_bytes == 4000
    assert torch.explain(x * torch.ones(1).expand(10)).saved_bytes == 4


def test_bytes_inside_transforms() -> None:
    found = []

    def f(x: Any) -> Any:
        y = x.exp()
        z = (y * y).sum()
        found.append(torch.explain(z))
        return z

    torch.func.vmap(torch.func.grad(f))(torch.ones(5, 3))
    assert found[0].saved_bytes == 60 and found[0].nodes[-1].shape == (3,)
    torch.func.jvp(torch.func.grad(f), (torch.ones(3),), (torch.ones(3),))
    assert found[1].saved_bytes == 24  # the values and how they move


def test_what_a_function_keeps() -> None:
    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            ctx.other = x + 1
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = torch.ones(5, requires_grad=True)
    y = Kept.apply(x)
    record = torch.explain(y).nodes[0]
    assert [(s.name, s.bytes, s.note) for s in record.saved] == [("0", 0, "leaf"), ("other", 20, "")]
    y.sum().backward()
    assert torch.explain(y).saved_bytes == 20  # nobody lets go of an attribute


def test_a_single_packed_value() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    y = x.exp()
    y.grad_fn._raw_saved_result.register_hooks(lambda t: 1, lambda _: pytest.fail("explain unpacks nothing"))
    record = torch.explain(y).nodes[0]
    assert [(s.note, s.shape, s.bytes) for s in record.saved] == [("packed", (2, 3), 0)] and not record.freed


def test_a_freed_graph_and_packed_values() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp().sum()
    y.backward()
    assert "freed" in repr(torch.explain(y)) and torch.explain(y).saved_bytes == 0
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: 1, lambda _: pytest.fail("explain unpacks nothing")
    ):
        z = (x.exp() * x).sum()
    e = torch.explain(z)
    assert "packed" in repr(e) and e.saved_bytes == 0 and all(n.shape is not None for n in e.nodes)


def test_lines() -> None:
    x = torch.ones(1000, requires_grad=True)
    with torch.autograd.record_source_lines():
        line = sys._getframe().f_lineno
        y = x.exp()
        z = (y * 2).tanh()
    e = torch.explain(z.sum() + y.sin().sum())
    assert e.by_line() == {f"{__file__}:{line + 1}": 4000, f"{__file__}:{line + 2}": 4000}
    text = repr(e)
    assert f"test_explain.py:{line + 1}" in text and "kept by line:\n  3.9 KiB  test_explain.py" in text


def test_names_of_parameters() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    e = torch.explain(net(torch.ones(4, 2)).sum(), params=net)
    assert {n.name for n in e.nodes if n.kind == "leaf"} == {"0.weight", "0.bias", "2.weight", "2.bias"}
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    assert torch.explain(y).nodes[-1].name == "leaf"
    del x
    assert torch.explain(y).nodes[-1].name == "deleted leaf"


def test_what_is_explained() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    edge = torch.autograd.graph.get_gradient_edge(y)
    assert [len(torch.explain(v).nodes) for v in (y, y.grad_fn, edge, x, [y, x], (y, y))] == [
        2,
        2,
        2,
        1,
        2,
        2,
    ]
    with pytest.raises(
        RuntimeError,
        match=r"explain: output 1 has no graph: it does not require grad, or was computed.*with requires_grad=True",
    ):
        torch.explain(y, torch.ones(2))
    with pytest.raises(TypeError, match=r"explain: output 0 is a float: expected a Tensor or its grad_fn"):
        torch.explain(2.0)
    with pytest.raises(TypeError, match=r"explain: no output given"):
        torch.explain()
    with pytest.raises(
        TypeError, match=r"params is a list: expected an nn\.Module or a dict from name to tensor"
    ):
        torch.explain(y, params=[x])
    with pytest.raises(ValueError, match=r"limit must be a number of nodes to show, at least 1, found 0"):
        torch.explain(y, limit=0)
    assert "... and 1 more node\n" in repr(torch.explain(y, limit=1))


def test_nothing_changes() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    seen: list[Any] = []
    y.register_hook(seen.append)
    y.grad_fn.register_hook(lambda *_: seen.append(1))
    z = y.reshape(1, 3).permute(1, 0).sum()
    torch.explain(z).html  # noqa: B018
    assert not seen and x.grad is None
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.e, rtol=1e-6)


def test_long_graphs() -> None:
    x = y = torch.ones((), requires_grad=True)
    for _ in range(100_000):
        y = y + 1
    e = torch.explain(y)
    text, picture = repr(e), e.svg
    assert len(e.nodes) == 100_001 and x.grad is None
    assert "... and 99901 more nodes\n100000 ops, 1 leaf" in text and len(text.splitlines()) == 103
    assert "... and 99901 more nodes" in picture and picture.count("<rect") == 101
    assert e.dot.count(" -> ") == 100_000


def test_the_picture() -> None:
    loss, params = graph()
    e = torch.explain(loss, params={"<w & b>": params["w"]})
    root = ElementTree.fromstring(e.svg)
    boxes = [
        tuple(float(r.attrib[k]) for k in ("x", "y", "width", "height"))
        for r in root.iter(f"{SVG}rect")
        if "x" in r.attrib
    ]
    assert len(boxes) == len(e.nodes)
    for i, (x, y, w, h) in enumerate(boxes):
        assert (
            x >= 0
            and y >= 0
            and x + w <= float(root.attrib["width"])
            and y + h <= float(root.attrib["height"])
        )
        for a, b, c, d in boxes[:i]:
            assert x + w < a or a + c < x or y + h < b or b + d < y, "boxes overlap"
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert "SoftmaxBackward0" in texts and "<w & b>" in texts and "(2, 4) float32" in texts
    arrows = [p for p in root.iter(f"{SVG}path") if "marker-end" in p.attrib]
    assert len(arrows) == sum(len(set(n.inputs)) for n in e.nodes)
    assert e._repr_svg_() == e.svg and e._repr_html_() == e.html
    assert "8 ops, 2 leaves" in e.html and "&lt;w &amp; b&gt;" in e.html


def test_arrows_go_round_the_boxes() -> None:
    x = h = torch.ones(4, 4, requires_grad=True)
    for _ in range(4):
        h = h + torch.tanh(h @ torch.ones(4, 4)) * x
    root = ElementTree.fromstring(torch.explain(h.sum()).svg)
    boxes = [
        [float(r.attrib[k]) for k in ("x", "y", "width", "height")]
        for r in root.iter(f"{SVG}rect")
        if "x" in r.attrib
    ]
    lanes = []
    for path in root.iter(f"{SVG}path"):
        lanes += re.findall(r" ([-\d.]+),([-\d.]+) V([-\d.]+)", path.attrib["d"])
    assert len(lanes) > 10
    for at, top, bottom in (map(float, lane) for lane in lanes):
        assert top < bottom
        for x0, y0, w, h0 in boxes:
            assert not (x0 <= at <= x0 + w and y0 < bottom and top < y0 + h0), "an arrow crosses a box"


def test_dot() -> None:
    loss, params = graph()
    text = torch.explain(loss, params={'a "name"\\': params["w"]}).dot
    assert text.startswith("digraph {") and text.rstrip().endswith("}")
    assert r'label="a \"name\"\\\n(3, 4) float32" fillcolor=lightblue' in text
    assert (
        "fillcolor=darkolivegreen1" in text and "fillcolor=lightgrey" in text and "fillcolor=orange" in text
    )
    declared = set(re.findall(r"^  (n\w+) \[", text, re.M))
    assert {n for pair in re.findall(r"^  (n\w+) -> (n\w+)", text, re.M) for n in pair} <= declared
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=text, text=True, check=True, capture_output=True)


def test_render_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    e = torch.explain(graph()[0])
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(
        ImportError, match=r"""needs the package 'graphviz'.*pip install "plugrad\[graphviz\]".*use \.svg"""
    ):
        e.render(str(tmp_path / "graph.svg"))


def test_render_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"needs the program 'dot', which was not found: install Graphviz"):
        torch.explain(graph()[0]).render(str(tmp_path / "graph.svg"))


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_render(tmp_path: Path) -> None:
    pytest.importorskip("graphviz")
    path = torch.explain(graph()[0]).render(str(tmp_path / "graph.svg"))
    assert "SoftmaxBackward0" in Path(path).read_text()
