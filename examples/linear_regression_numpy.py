"""Linear regression on data that comes from NumPy, with nn.MSELoss."""

from __future__ import annotations

import argparse

import numpy as np

import plugrad as torch
from plugrad import nn


def main(epochs=1000, lr=0.01, device="cpu"):
    """Fit y = w x + b to noisy points, print every hundredth loss and return (w, b, losses)."""
    np.random.seed(0)  # the losses below belong to these very points
    X = np.random.rand(100, 1)
    Y = 2 + 3 * X + 0.1 * np.random.randn(100, 1)
    x, y = (torch.from_numpy(points).float().to(device) for points in (X, Y))

    w = torch.tensor([1.0], requires_grad=True, device=device)
    b = torch.tensor([1.0], requires_grad=True, device=device)
    criterion = nn.MSELoss()

    losses = []
    for epoch in range(1, epochs + 1):
        loss = criterion(w * x + b, y)
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
            w.grad.zero_()
            b.grad.zero_()
        losses.append(loss.item())
        if epoch % 100 == 0:
            print(f"epoch {epoch}: loss {losses[-1]:.4f}")
    print("Final weights:", w.item(), "bias:", b.item())
    return w, b, losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="where the tensors live (default: cpu)")
    main(**vars(parser.parse_args()))
