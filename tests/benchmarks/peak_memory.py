"""Peak memory of one training step of an MLP, in-place activations or not: `python tests/benchmarks/peak_memory.py`.

Each variant runs in a process of its own. The figure is how much the resident memory grew at most, from before the
forward pass to after the backward. One activation of this network is 16 MiB, the gradients of all weights are 32.
Large arrays get pages of their own (MALLOC_MMAP_THRESHOLD_), so that fragmentation does not count.
"""

from __future__ import annotations

import importlib
import os
import resource
import subprocess
import sys
from typing import Any

BATCH, WIDTH, LAYERS = 4096, 1024, 8
VARIANTS = [
    ("plugrad", "h.relu()"), ("plugrad", "h.relu_()"), ("plugrad", "h.tanh_()"), ("plugrad", "h.relu_().mul_(1.1)"),
    ("torch", "h.relu()"), ("torch", "h.relu_()"), ("torch", "h.tanh_()"), ("torch", "h.relu_().mul_(1.1)"),
]  # fmt: skip


def resident() -> int:
    """Bytes of this process in memory now."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def step(torch: Any, activation: str, width: int, batch: int) -> float:
    """Forward and backward; returns the loss."""
    torch.manual_seed(0)
    weights = [torch.randn(width, width).mul_(width**-0.5).requires_grad_() for _ in range(LAYERS)]
    h = torch.randn(batch, width)
    before = resident()
    for w in weights:
        h = eval(activation, {"h": h @ w})
    loss = h.sum()
    del h
    loss.backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
    return float(loss)


def main() -> None:
    """Print a table."""
    print(f"MLP of {LAYERS} layers, {BATCH} × {WIDTH}, float32: growth of resident memory at its peak, MiB")
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    for library, activation in VARIANTS:
        command = [sys.executable, __file__, library, activation]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        said = done.stderr.strip().splitlines()
        what = f"{int(done.stdout) / 2**20:8.0f}" if not done.returncode else f"  {said[-1][:110]}"
        print(f"{library:8s} {activation:22s} {what}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        library = importlib.import_module(sys.argv[1])
        if sys.argv[1] == "torch":
            library.set_num_threads(1)
        step(library, sys.argv[2], WIDTH, BATCH)
    else:
        main()
