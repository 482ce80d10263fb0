"""Linear regression by hand: the line through four points, found by gradient descent."""

from __future__ import annotations

import argparse

import plugrad as torch


def main(epochs=100, lr=0.1, device="cpu"):
    """Fit y = x w + b, print the progress and return (w, b, losses)."""
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0]], device=device)
    y = torch.tensor([[1.0], [3.0], [5.0], [7.0]], device=device)  # on the line 2 x - 1
    w = torch.tensor([[0.0]], requires_grad=True, device=device)
    b = torch.tensor([[0.0]], requires_grad=True, device=device)

    losses = []
    for epoch in range(1, epochs + 1):
        y_pred = x.mm(w) + b
        loss = ((y_pred - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
            w.grad.zero_()
            b.grad.zero_()
        losses.append(loss.item())
        if epoch % 10 == 0:
            print(f"epoch {epoch:3}: loss {losses[-1]:.6f}")
    print(f"y = {w.item():.4f} x + {b.item():.4f}")
    return w, b, losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="where the tensors live (default: cpu)")
    main(**vars(parser.parse_args()))
