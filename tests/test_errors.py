"""What users meet when something is wrong: PyTorch's class, and what was asked, found, and the cure."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as torch
from plugrad.errors import DeviceError, GraphFreedError, InPlaceError
from plugrad.op import OPS, elementwise


def leaf(t: Any, *values: float) -> Any:
    return t.tensor(values or (1.0, 2.0), requires_grad=True)


def assign_grad(x: Any, value: Any) -> None:
    x.grad = value


def twice(y: Any) -> None:
    y.backward()
    y.backward()


def hooked(x: Any, hook: Callable[[Any], Any]) -> None:
    x.register_hook(hook)
    (x * 2).sum().backward()


#: name: (program of the library, class, text of plugrad's message as a regular expression)
ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    # shapes and dtypes
    "broadcast": (
        lambda t: t.ones(2, 3) + t.ones(2),
        RuntimeError,
        r"add: the size of tensor a \(3\) must match the size of tensor b \(2\) at non-singleton dimension 1",
    ),
    "matmul shapes": (
        lambda t: t.ones(2, 3) @ t.ones(2, 3),
        RuntimeError,
        r"cannot be multiplied \(2x3 and 2x3\)",
    ),
    "matmul dtypes": (
        lambda t: t.ones(2, 2) @ t.ones(2, 2, dtype=t.float64),
        RuntimeError,
        r"same dtype.*float32.*float64",
    ),
    "cat shapes": (
        lambda t: t.cat([t.ones(2, 2), t.ones(3, 3)]),
        RuntimeError,
        r"[Ss]izes of tensors must match except in dimension 0",
    ),
    "reshape": (
        lambda t: t.ones(3).reshape(2),
        RuntimeError,
        r"shape '\[2\]' is invalid for input of size 3",
    ),
    "view": (lambda t: t.ones(2, 3).t().view(6), RuntimeError, r"reshape"),
    "dim": (
        lambda t: t.ones(3).sum(2),
        IndexError,
        r"sum: Dimension out of range \(expected to be in range of \[-1, 0\], but got 2\)",
    ),
    "mean of integers": (lambda t: t.ones(2, dtype=t.int64).mean(), RuntimeError, r"mean.*int64"),
    "max of nothing": (lambda t: t.ones(0).max(), RuntimeError, r"max"),
    "text as operand": (
        lambda t: t.ones(2) + "a",
        TypeError,
        r"add\(\): argument 'b' must be Tensor or a number, not str",
    ),
    "truth of several": (
        lambda t: bool(t.ones(2)),
        RuntimeError,
        r"Boolean value of Tensor with more than one value is ambiguous",
    ),
    "number of several": (
        lambda t: t.ones(2).item(),
        RuntimeError,
        r"a Tensor with 2 elements cannot be converted to Scalar",
    ),
    "length of 0-d": (lambda t: len(t.tensor(1.0)), TypeError, r"len\(\) of a 0-d tensor"),
    "iteration over 0-d": (lambda t: list(t.tensor(1.0)), TypeError, r"iteration over a 0-d tensor"),
    # indices
    "index": (lambda t: t.ones(3)[5], IndexError, r"index 5 is out of bounds for dimension 0 with size 3"),
    "indices": (lambda t: t.ones(3)[1, 2], IndexError, r"too many indices for tensor of dimension 1"),
    "float index": (lambda t: t.ones(3)[1.5], IndexError, r"only integers, slices"),
    "negative step": (lambda t: t.ones(3)[::-1], ValueError, r"step must be greater than zero|step"),
    "index array": (lambda t: t.ones(3)[t.tensor([0, 7])], IndexError, r"index 7 is out of bounds"),
    # backward
    "no grad": (
        lambda t: t.ones(1).backward(),
        RuntimeError,
        r"backward: element 0 of tensors does not require grad and does not "
        r"have a grad_fn: create it with requires_grad=True",
    ),
    "under no_grad": (
        lambda t: t.no_grad()(lambda: leaf(t) * 2)().sum().backward(),
        RuntimeError,
        r"does not require grad",
    ),
    "not a scalar": (
        lambda t: (leaf(t) * 2).backward(),
        RuntimeError,
        r"backward: grad can be implicitly created only for scalar "
        r"outputs, found shape \(2,\): pass a gradient",
    ),
    "complex scalar": (
        lambda t: t.tensor(1j, requires_grad=True).backward(),
        RuntimeError,
        r"only for real scalar outputs, found torch.complex64: pass a gradient",
    ),
    "gradient's shape": (
        lambda t: (leaf(t) * 2).backward(t.ones(3)),
        RuntimeError,
        r"backward: Mismatch in shape: grad_output\[0\] has a shape of "
        r"\(3,\) and output\[0\] has a shape of \(2,\)",
    ),
    "gradient's kind": (
        lambda t: (leaf(t) * 2).backward(t.ones(2, dtype=t.complex64)),
        RuntimeError,
        r"grad_output\[0\] has torch.complex64 and output\[0\] has torch.float32",
    ),
    "gradient's type": (
        lambda t: leaf(t).sum().backward(3.0),
        TypeError,
        r"gradients can be either Tensors or None, but got float",
    ),
    "second backward": (
        lambda t: twice((leaf(t) * leaf(t)).sum()),
        RuntimeError,
        r"MulBackward0 are gone.*backward through the graph a second time\): pass retain_graph=True",
    ),
    "second grad": (
        lambda t: [t.autograd.grad(y, x) for x in [leaf(t, 1.0)] for y in [x.exp()] for _ in range(2)],
        RuntimeError,
        r"a second time",
    ),
    "empty inputs": (
        lambda t: leaf(t).sum().backward(inputs=[]),
        RuntimeError,
        r"backward: `inputs` is empty",
    ),
    "inputs without grad": (
        lambda t: leaf(t).sum().backward(inputs=[t.ones(2)]),
        RuntimeError,
        r"backward: element 0 of inputs does not require grad",
    ),
    "grad of nothing": (
        lambda t: t.autograd.grad(leaf(t).sum(), []),
        RuntimeError,
        r"grad: `inputs` is empty",
    ),
    "grad of unused input": (
        lambda t: t.autograd.grad(leaf(t).sum(), leaf(t)),
        RuntimeError,
        r"grad: inputs\[0\] appears to not have been used in the graph.* Set allow_unused=True",
    ),
    "grad of a constant": (
        lambda t: t.autograd.grad(leaf(t).sum(), [t.ones(2)], allow_unused=True),
        RuntimeError,
        r"grad: element 0 of inputs does not require grad",
    ),
    "grad of a non-scalar": (
        lambda t: t.autograd.grad(leaf(t) * 2, leaf(t)),
        RuntimeError,
        r"grad: grad can be implicitly created only for scalar outputs",
    ),
    "materialize but not allowed": (
        lambda t: t.autograd.grad(leaf(t).sum(), leaf(t), allow_unused=False, materialize_grads=True),
        ValueError,
        r"materialize_grads=True needs allow_unused",
    ),
    # gradients and their places
    "integers that require grad": (
        lambda t: t.ones(2, dtype=t.int64).requires_grad_(),
        RuntimeError,
        r"only Tensors of floating point and complex dtype can "
        r"require gradients, found torch.int64: convert it",
    ),
    "new integers that require grad": (
        lambda t: t.tensor([1, 2], requires_grad=True),
        RuntimeError,
        r"only Tensors of floating point",
    ),
    "requires_grad of a result": (
        lambda t: (leaf(t) * 2).requires_grad_(False),
        RuntimeError,
        r"you can only change requires_grad flags of leaf variables",
    ),
    "retain_grad of a constant": (
        lambda t: t.ones(2).retain_grad(),
        RuntimeError,
        r"can't retain_grad on Tensor that has requires_grad=False",
    ),
    "hook on a constant": (
        lambda t: t.ones(2).register_hook(print),
        RuntimeError,
        r"cannot register a hook on a tensor that doesn't require gradient",
    ),
    "hook that returns a number": (
        lambda t: hooked(leaf(t), lambda g: 3),
        TypeError,
        r"expected Variable, but hook '<lambda>' returned 'int'",
    ),
    "hook that changes the shape": (
        lambda t: hooked(leaf(t), lambda g: g.sum()),
        RuntimeError,
        r"hook '<lambda>' has changed the size of value: the "
        r"gradient has shape \(2,\), what it returned \(\)",
    ),
    "hook that changes the dtype": (
        lambda t: hooked(leaf(t), lambda g: g.double()),
        RuntimeError,
        r"hook '<lambda>' has changed the type of value: .*float32.*float64",
    ),
    "grad of another shape": (
        lambda t: assign_grad(leaf(t), t.ones(3)),
        RuntimeError,
        r"assigned grad has shape torch.Size\(\[3\]\), but the tensor has shape torch.Size\(\[2\]\)",
    ),
    "grad of another dtype": (
        lambda t: assign_grad(leaf(t), t.ones(2, dtype=t.float64)),
        RuntimeError,
        r"assigned grad has dtype torch.float64, but the tensor has dtype torch.float32",
    ),
    "grad that is no tensor": (
        lambda t: assign_grad(leaf(t), 3.0),
        TypeError,
        r"assigned grad expected to be a Tensor or None but got grad of float",
    ),
    "grad of its own": (
        lambda t: [assign_grad(x, x) for x in [leaf(t)]],
        RuntimeError,
        r"can't assign Variable as its own grad",
    ),
    # writes and conversions
    "write to a leaf": (
        lambda t: leaf(t).add_(1),
        RuntimeError,
        r"add_: a leaf Variable that requires grad is being used in an "
        r"in-place operation: write under torch.no_grad",
    ),
    "index write to a leaf": (
        lambda t: leaf(t).__setitem__(0, 1.0),
        RuntimeError,
        r"leaf Variable that requires grad",
    ),
    "write of a larger shape": (
        lambda t: t.ones(2).add_(t.ones(3, 2)),
        RuntimeError,
        r"output with shape \[2\] doesn't match the broadcast shape \[3, 2\]",
    ),
    "write of another kind": (
        lambda t: t.ones(2, dtype=t.int64).add_(0.5),
        RuntimeError,
        r"result type .*float.* can't be cast to the desired output type .*int64",
    ),
    "numpy of what requires grad": (
        lambda t: leaf(t).numpy(),
        RuntimeError,
        r"Use tensor.detach\(\).numpy\(\) instead",
    ),
    "copy of a result": (
        lambda t: copy.deepcopy(leaf(t) * 2),
        RuntimeError,
        r"only Tensors created explicitly by the user \(graph leaves\)",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    run, error, text = ERRORS[name]
    with pytest.raises(error, match=text):
        run(torch)
    assert torch.is_grad_enabled()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ERRORS)
def test_pytorch_raises_the_same_class(name: str) -> None:
    run, error, _ = ERRORS[name]
    with pytest.raises(error):
        run(pytest.importorskip("torch"))


def test_classes_of_our_own_are_the_ones_that_people_catch() -> None:
    assert all(issubclass(e, RuntimeError) for e in (DeviceError, GraphFreedError, InPlaceError))
    with pytest.raises(GraphFreedError):
        twice((leaf(torch) * leaf(torch)).sum())
    with pytest.raises(InPlaceError):
        leaf(torch).add_(1)


def test_arguments_that_are_no_tensors() -> None:
    with pytest.raises(TypeError, match=r"backward: element 0 of tensors is a float, not a Tensor"):
        torch.autograd.backward([3.0])
    with pytest.raises(RuntimeError, match=r"Tensors or GradientEdges, but element 1 of inputs is a ndarray"):
        torch.autograd.grad(leaf(torch).sum(), [leaf(torch), np.ones(2)])
    with pytest.raises(RuntimeError, match=r"backward: got 1 tensors and 2 gradients for them"):
        torch.autograd.backward([leaf(torch).sum()], [None, None])
    x = leaf(torch, 1.0)
    with pytest.warns(FutureWarning, match=r"only_inputs argument is deprecated and is ignored now"):
        torch.autograd.grad(x, x, only_inputs=False)


def test_an_op_without_derivative_says_which_and_for_what() -> None:
    x = leaf(torch)
    op = elementwise("half_known", "a b", a=lambda g: g, default=lambda a, b: a + b)
    try:
        y = op.call(x, x.detach() * 1)
        y.sum().backward()
        with pytest.raises(
            NotImplementedError, match=r"backward: 'half_known' has no derivative for input 'b'"
        ):
            op.call(x, x).sum().backward()
    finally:
        del OPS["half_known"]
