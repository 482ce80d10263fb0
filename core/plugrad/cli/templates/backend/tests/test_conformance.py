"""The device is what plugrad expects of one."""

import plugrad as torch


def test_a_gradient():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device="banana", requires_grad=True)
    (x.softmax(-1) @ x).log().sum().backward()
    y = x.detach().to("cpu").requires_grad_()
    (y.softmax(-1) @ y).log().sum().backward()
    assert x.grad.device.type == "banana"
    assert torch.allclose(x.grad.to("cpu"), y.grad)
