"""Draws docs/images/explain.svg: `python docs/images/explain.py`."""

from pathlib import Path

import plugrad as torch
from plugrad import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
with torch.autograd.record_source_lines():
    scores = net(torch.rand(100, 64))
    loss = nn.functional.cross_entropy(scores, torch.randint(0, 10, (100,)))
print(torch.explain(loss, params=net))
Path(__file__).with_suffix(".svg").write_text(torch.explain(loss, params=net).svg, encoding="utf-8")
