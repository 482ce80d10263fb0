"""First steps: what backward() leaves in x.grad, and how tensors remember where they came from."""

from __future__ import annotations

import argparse

import plugrad as torch


def main(device="cpu"):
    """Print each step and return (x, out)."""
    x = torch.ones(2, 2, requires_grad=True, device=device)
    print("x =", x)

    y = x + 2
    print("y =", y)

    z = y * y * 3
    out = z.mean()
    print("z =", z)
    print("out =", out)
    print("y was made by", y.grad_fn.name(), "and z by", z.grad_fn.name())

    out.backward()
    print("x.grad =", x.grad)
    return x, out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="where the tensors live (default: cpu)")
    main(**vars(parser.parse_args()))
