"""The example programs: what they print and return, on plugrad and, where it is installed, on PyTorch.

The expected values are PyTorch's; run on PyTorch itself, the programs show that only the import differs.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests import fake_backend, several_devices

EXAMPLES = Path(__file__).parents[1] / "examples"
TUTORIALS = ["first_steps", "linear_regression", "linear_regression_numpy", "polynomial", "two_layer_net"]


def import_example(name, library="plugrad"):
    """Return the example as a module, with `library` in its import lines."""
    path = EXAMPLES / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    source = source.replace("import plugrad as torch", f"import {library} as torch")
    source = source.replace("from plugrad import", f"from {library} import")
    example = types.ModuleType(name)
    example.__file__ = str(path)
    exec(compile(source, path, "exec"), example.__dict__)
    return example


@pytest.fixture(params=["plugrad", "torch"])
def load(request):
    """Return `import_example` for one library."""
    if request.param == "torch":
        pytest.importorskip("torch").set_num_threads(1)  # more threads only slow such small arrays down
    return functools.partial(import_example, library=request.param)


@pytest.mark.parametrize("name", [*TUTORIALS, "digits"])
def test_only_the_import_line_speaks_of_plugrad(name):
    lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
    imports = {"import plugrad as torch", "from plugrad import nn", "from plugrad import nn, optim"}
    assert [line for line in lines if "plugrad" in line and line not in imports] == []


def test_first_steps(load, capsys):
    x, out = load("first_steps").main()
    assert x.grad.tolist() == [[4.5, 4.5], [4.5, 4.5]]
    assert out.item() == 27.0
    assert capsys.readouterr().out == (
        "x = tensor([[1., 1.],\n"
        "        [1., 1.]], requires_grad=True)\n"
        "y = tensor([[3., 3.],\n"
        "        [3., 3.]], grad_fn=<AddBackward0>)\n"
        "z = tensor([[27., 27.],\n"
        "        [27., 27.]], grad_fn=<MulBackward0>)\n"
        "out = tensor(27., grad_fn=<MeanBackward0>)\n"
        "y was made by AddBackward0 and z by MulBackward0\n"
        "x.grad = tensor([[4.5000, 4.5000],\n"
        "        [4.5000, 4.5000]])\n"
    )


def test_linear_regression(load, capsys):
    w, b, losses = load("linear_regression").main()
    assert w.shape == b.shape == (1, 1)
    assert len(losses) == 100
    assert losses[0] == 21.0
    assert losses[9::10] == pytest.approx(LINE_LOSSES, rel=1e-3)
    assert (w.item(), b.item()) == pytest.approx((1.97546, -0.92786), rel=1e-4)
    assert capsys.readouterr().out.splitlines()[-1] == "y = 1.9755 x + -0.9279"


LINE_LOSSES = [
    *(0.234465, 0.119342, 0.064976, 0.035378, 0.019263),
    *(0.010488, 0.005711, 0.003109, 0.001693, 0.000922),
]


def test_linear_regression_on_numpy_data(load, capsys):
    w, b, losses = load("linear_regression_numpy").main()
    assert len(losses) == 1000
    *progress, last = capsys.readouterr().out.splitlines()
    assert " ".join(line.split()[-1] for line in progress) == (
        "0.1273 0.0782 0.0620 0.0497 0.0404 0.0332 0.0277 0.0235 0.0203 0.0179"
    )
    assert last == f"Final weights: {w.item()} bias: {b.item()}"
    assert (w.item(), b.item()) == pytest.approx((2.68684983253479, 2.17771577835083), rel=1e-6)


def test_polynomial(load, capsys):
    x, a = load("polynomial").main()
    assert x.grad.item() == 72.0
    assert a.grad.tolist() == [5.0]
    assert capsys.readouterr().out == (
        "y = tensor(64., grad_fn=<AddBackward0>)\n"
        "dy/dx = 15 x^2 + 4 x + 4 = tensor(72.)\n"
        "B = tensor([25.], grad_fn=<MulBackward0>)\n"
        "dB/dA = tensor([5.])\n"
    )


def test_two_layer_net_agrees_step_by_step(load, capsys):
    by_numpy, *by_tensors = load("two_layer_net").main(["--steps", "100"])
    losses, w1, w2 = by_numpy
    assert [losses[0], losses[49], losses[99]] == pytest.approx([25019716.0, 10280.59, 327.4958], rel=1e-4)
    for other_losses, other_w1, other_w2 in by_tensors:
        assert other_losses == pytest.approx(losses, rel=1e-4)
        np.testing.assert_allclose(other_w1, w1, atol=1e-5)
        np.testing.assert_allclose(other_w2, w2, atol=1e-5)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["step", "NumPy", "by", "hand", "tensors", "by", "hand", "autograd"]
    assert row.split()[0] == "100"


@pytest.mark.parametrize(
    ("name", "device", "library"),
    [("two_layer_net", "cuda", "cupy"), ("two_layer_net", "opencl", "pyopencl"), ("digits", "cuda", "cupy")],
)
def test_a_device_that_is_not_there_says_how_to_get_it(name, device, library):
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    example = import_example(name)
    cure = re.escape(f"needs '{library}', which is not installed: pip install \"plugrad[{device}]\"")
    with pytest.raises(RuntimeError, match=f"device '{device}.*{cure}"):
        example.main(["--device", device])


@pytest.fixture(params=["fake", "minimal", "shared:1"])
def device(request):
    """A device whose arrays have what the contract asks for and nothing else."""
    if request.param == "shared:1":
        several_devices.enter()
    else:
        fake_backend.enter(request.param)
    return request.param


def test_the_tutorials_run_on_other_devices(device, capsys):
    x, out = import_example("first_steps").main(device)
    assert (str(x.grad.device), x.grad.tolist(), out.item()) == (device, [[4.5, 4.5], [4.5, 4.5]], 27.0)
    x, a = import_example("polynomial").main(device)
    assert (str(x.grad.device), x.grad.item(), a.grad.tolist()) == (device, 72.0, [5.0])
    w, _, losses = import_example("linear_regression").main(epochs=30, device=device)
    assert str(w.grad.device) == device and losses[9::10] == pytest.approx(LINE_LOSSES[:3], rel=1e-3)
    *_, losses = import_example("linear_regression_numpy").main(epochs=100, device=device)
    assert losses[-1] == pytest.approx(0.1273, rel=1e-2)
    assert f"device='{device}'" in capsys.readouterr().out


def test_two_layer_net_on_other_devices(device):
    by_numpy, *by_tensors = import_example("two_layer_net").main(["--steps", "3", "--device", device])
    for losses, w1, w2 in by_tensors:
        assert losses == pytest.approx(by_numpy[0], rel=1e-4)
        np.testing.assert_allclose(w1, by_numpy[1], atol=1e-5)
        np.testing.assert_allclose(w2, by_numpy[2], atol=1e-5)


def test_digits_on_other_devices(device, capsys, tmp_path):
    accuracy, losses = import_example("digits").main(["--epochs", "2", "--device", device])
    assert accuracy > 0.7 and losses[1] < 1.5 < losses[0]
    assert capsys.readouterr().out.endswith(f"on {device}\n")


@pytest.mark.parametrize("name", [*TUTORIALS, "digits"])
def test_each_takes_a_device_on_the_command_line(name):
    run = [sys.executable, str(EXAMPLES / f"{name}.py"), "--device"]
    refused = subprocess.run([*run, "banana"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "DeviceError: device 'banana' is unknown" in refused.stderr
    if name in ("first_steps", "polynomial"):
        assert "tensor(" in subprocess.run([*run, "cpu"], capture_output=True, text=True, check=True).stdout


def test_digits_learns_to_read(load, capsys):
    accuracy, losses = load("digits").main([])
    assert accuracy >= 0.97
    assert len(losses) == 40
    assert losses[-1] < 0.1 < 1 < losses[0]
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(rf"test accuracy {accuracy:.2%} in \d+\.\d s on cpu", last)


def test_digits_repeats_itself_and_obeys_the_seed(load):
    digits = load("digits")
    first, again, other = (digits.main(["--epochs", "2", "--seed", seed])[1] for seed in "112")
    assert first == again
    assert first != other


def test_digits_splits_all_images_once(load):
    parts = load("digits").load_digits("cpu")
    sizes = [(tuple(images.shape), tuple(labels.shape)) for images, labels in parts]
    assert sizes == [((1437, 64), (1437,)), ((360, 64), (360,))]
    # of each digit, so many in the whole file
    counts = sum(np.bincount(labels.numpy(), minlength=10) for _, labels in parts)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert all(images.min().item() == 0 and images.max().item() == 1 for images, _ in parts)


def test_digits_plots(load, tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "digits.png"
    load("digits").main(["--epochs", "1", "--plot", str(file)])
    assert file.read_bytes().startswith(b"\x89PNG")


def test_digits_without_matplotlib_says_how_to_get_it(load, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit):
        load("digits").main(["--epochs", "1", "--plot", str(tmp_path / "digits.png")])
    assert "matplotlib, which is not installed: pip install matplotlib" in capsys.readouterr().err


def test_digits_without_tqdm_says_how_to_get_it(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(SystemExit, match="tqdm, which is not installed: pip install tqdm"):
        load("digits")
