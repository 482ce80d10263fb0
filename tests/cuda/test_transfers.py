"""Copies between the host and a GPU: who waits for whom, and what must live how long."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

pytest.importorskip("cupy")

import plugrad as torch
from plugrad.backend import for_device

from . import strict_double as double


def test_sending_never_waits(cuda: str) -> None:
    pageable, pinned = torch.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(2, 3).pin_memory()
    assert pinned.is_pinned() and not pageable.is_pinned() and pinned.tolist() == pageable.tolist()
    assert pinned[1:].is_pinned() and not pinned.to(cuda).is_pinned()
    with double.no_sync():
        sent = [
            x.to(cuda, non_blocking=later) for x in (pageable, pinned, pinned.T) for later in (False, True)
        ]
        sent.append(pinned.cuda(non_blocking=True))
    for x in sent:
        assert x.tolist() in (pageable.tolist(), pageable.T.tolist())


def test_fetching_waits_unless_told_otherwise(cuda: str) -> None:
    x = torch.tensor([1.0, 2.0], device=cuda, requires_grad=True)
    with double.no_sync():
        y = (x * 2).to("cpu", non_blocking=True)
        with pytest.raises(double.Waited):
            (x * 2).to("cpu")
    torch.cuda.synchronize()
    assert y.tolist() == [2, 4] and y.is_pinned()
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_memory_of_the_host_lives_until_its_copy_is_done(cuda: str) -> None:
    x = torch.ones(3).pin_memory()
    owner = x._raw
    while isinstance(owner, np.ndarray):
        owner = owner.base
    kept = weakref.ref(owner)
    y = x.to(cuda, non_blocking=True)
    in_flight = for_device("cuda")._in_flight  # type: ignore[attr-defined]
    in_flight._kept[-1][0].done = False
    del x, owner
    gc.collect()
    assert kept() is not None  # the GPU may be reading it
    in_flight._kept[-1][0].done = True
    torch.ones(3).pin_memory().to(cuda, non_blocking=True)
    gc.collect()
    assert kept() is None and y.tolist() == [1, 1, 1]


def test_modules_move(cuda: str) -> None:
    net = torch.nn.Linear(2, 1)
    before = net.weight.tolist()
    for move in (
        lambda: net.to(cuda, non_blocking=True),
        lambda: net.cuda(),
        lambda: net.cuda(0),
        lambda: net.cuda("cuda:0"),
    ):
        assert str(move().weight.device) == "cuda:0" and net.weight.tolist() == before
        net.cpu()


def test_what_cannot_be_pinned(cuda: str) -> None:
    with pytest.raises(
        RuntimeError, match="cannot pin a tensor on cuda:0: only dense CPU tensors can be pinned"
    ):
        torch.ones(1, device=cuda).pin_memory()
    with pytest.raises(RuntimeError, match=r"requires grad: pin \.detach\(\) instead"):
        torch.ones(1, requires_grad=True).pin_memory()
