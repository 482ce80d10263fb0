"""One two-layer network, trained three ways: NumPy by hand, tensors by hand, and autograd.

All three start from the same numbers and agree step by step, up to the rounding of float32:

    python examples/two_layer_net.py [--device cpu] [--steps 500]
"""

from __future__ import annotations

import argparse

import numpy as np

import plugrad as torch

BATCH, INPUTS, HIDDEN, OUTPUTS = 64, 1000, 100, 10
LEARNING_RATE = 1e-6


def make_start(seed=0):
    """Return the inputs x, the targets y and the two weight matrices, as NumPy arrays."""
    rng = np.random.default_rng(seed)
    shapes = (BATCH, INPUTS), (BATCH, OUTPUTS), (INPUTS, HIDDEN), (HIDDEN, OUTPUTS)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def to_tensors(start, device):
    """Copy the arrays to the device: training must not write into the start."""
    return [torch.from_numpy(array.copy()).to(device) for array in start]


def numpy_by_hand(start, steps):
    """Return the loss of each step and the trained w1, w2."""
    x, y, w1, w2 = (array.copy() for array in start)
    losses = []
    for _ in range(steps):
        h = x.dot(w1)
        h_relu = np.maximum(h, 0)
        y_pred = h_relu.dot(w2)
        losses.append(float(np.square(y_pred - y).sum()))

        grad_y_pred = 2 * (y_pred - y)
        grad_w2 = h_relu.T.dot(grad_y_pred)
        grad_h = grad_y_pred.dot(w2.T)
        grad_h[h < 0] = 0
        grad_w1 = x.T.dot(grad_h)

        w1 -= LEARNING_RATE * grad_w1
        w2 -= LEARNING_RATE * grad_w2
    return losses, w1, w2


def tensors_by_hand(start, steps, device):
    """Return the loss of each step and the trained w1, w2."""
    x, y, w1, w2 = to_tensors(start, device)
    losses = []
    for _ in range(steps):
        h = x.mm(w1)
        h_relu = h.clamp(min=0)
        y_pred = h_relu.mm(w2)
        losses.append((y_pred - y).pow(2).sum().item())

        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h_relu.t().mm(grad_y_pred)
        grad_h_relu = grad_y_pred.mm(w2.T)
        grad_h = grad_h_relu.clone()
        grad_h[h < 0] = 0
        grad_w1 = x.t().mm(grad_h)

        w1 -= LEARNING_RATE * grad_w1
        w2 -= LEARNING_RATE * grad_w2
    return losses, w1.cpu().numpy(), w2.cpu().numpy()


def autograd(start, steps, device):
    """Return the loss of each step and the trained w1, w2."""
    x, y, w1, w2 = to_tensors(start, device)
    w1.requires_grad_()
    w2.requires_grad_()
    losses = []
    for _ in range(steps):
        y_pred = x.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - y).pow(2).sum()
        losses.append(loss.item())

        loss.backward()
        with torch.no_grad():
            w1 -= LEARNING_RATE * w1.grad
            w2 -= LEARNING_RATE * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()
    return losses, w1.detach().cpu().numpy(), w2.detach().cpu().numpy()


def main(argv=None):
    """Train in all three ways and return what each returned: [(losses, w1, w2), ...]."""
    parser = argparse.ArgumentParser(description="Train a two-layer network in three ways.")
    parser.add_argument("--device", default="cpu", help="where the tensors live (default: cpu)")
    parser.add_argument("--steps", type=int, default=500, help="of gradient descent (default: 500)")
    arguments = parser.parse_args(argv)
    device, steps = torch.device(arguments.device), arguments.steps

    start = make_start()
    results = [
        numpy_by_hand(start, steps),
        tensors_by_hand(start, steps, device),
        autograd(start, steps, device),
    ]
    print(f"{'step':>4} {'NumPy by hand':>16} {'tensors by hand':>16} {'autograd':>16}")
    for step in range(99, steps, 100):
        print(f"{step + 1:4}", *(f"{losses[step]:16.6g}" for losses, _, _ in results))
    return results


if __name__ == "__main__":
    main()
