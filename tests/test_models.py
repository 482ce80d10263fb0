"""The two models of the conformance kit."""

from __future__ import annotations

from typing import Any

import pytest

from plugrad.testing.models import MODELS, Model

EACH = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)


@EACH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_losses_are_those_kept(model: Model, dtype: str) -> None:
    assert model.train("cpu", dtype, 6) == pytest.approx(model.losses, rel=model.tolerance[dtype], abs=0)


@EACH
def test_pytorch_has_the_same_losses(model: Model) -> None:
    oracle: Any = pytest.importorskip("torch")
    assert model.train(torch=oracle) == pytest.approx(model.losses, rel=1e-12, abs=0)


@EACH
def test_models_learn(model: Model) -> None:
    """So that what is wrong in any gradient shows in the losses."""
    losses = model.train(steps=40)
    assert losses[:6] == pytest.approx(model.losses, rel=1e-9, abs=0) and losses[-1] < losses[0] / 4
