"""Derivatives of a polynomial at a point, and of a product."""

from __future__ import annotations

import argparse

import plugrad as torch


def main(device="cpu"):
    """Print the values with their derivatives and return (x, A)."""
    x = torch.tensor(2.0, requires_grad=True, device=device)
    y = 5 * x**3 + 2 * x**2 + 4 * x + 8
    y.backward()
    print("y =", y)
    print("dy/dx = 15 x^2 + 4 x + 4 =", x.grad)

    A = torch.tensor([5.0], requires_grad=True, device=device)
    B = A * 5
    B.backward()
    print("B =", B)
    print("dB/dA =", A.grad)
    return x, A


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="where the tensors live (default: cpu)")
    main(**vars(parser.parse_args()))
