"""The default device: set, named by the environment, or, for those who opt in, proposed by a plugin."""

import pytest

import plugrad as torch
from plugrad import creation
from plugrad.errors import DeviceError, PluginError
from tests.fake_backend import enter
from tests.sites import fresh_site


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site whose registry is this process's, and a default device that was not asked for yet."""
    enter("minimal")
    monkeypatch.setattr(creation, "_default_device", None)
    monkeypatch.delenv("PLUGRAD_DEFAULT_DEVICE", raising=False)
    for made in fresh_site(tmp_path, monkeypatch):
        monkeypatch.setattr("plugrad.plugins.registry.REGISTRY", made.registry())
        yield made


def proposal(device: str) -> str:
    hook = f"@hookimpl\ndef plugrad_default_device(): return {device!r}\n"
    return f"from plugrad.plugins import hookimpl\n{hook}"


def test_a_proposal_alone_changes_nothing(site):
    site.stranger("acme", proposal("minimal"))
    assert torch.zeros(1).device.type == "cpu"
    assert str(torch.get_default_device()) == "cpu"
    assert site.calls in ([], ["own"])


def test_auto_takes_what_a_plugin_proposes(site):
    site.stranger("acme", proposal("minimal"))
    torch.set_default_device("auto")
    assert str(torch.get_default_device()) == "minimal"
    assert torch.zeros(1).device.type == torch.rand(1).device.type == "minimal"
    torch.set_default_device(None)
    assert torch.zeros(1).device.type == "cpu"


def test_auto_without_a_proposal_is_the_cpu(site):
    torch.set_default_device("auto")
    assert str(torch.get_default_device()) == "cpu"


@pytest.mark.parametrize(
    ("value", "device"), [("auto", "minimal"), ("minimal", "minimal"), ("", "cpu"), ("cpu", "cpu")]
)
@pytest.mark.parametrize("make", [lambda: torch.zeros(1), lambda: torch.rand(1), lambda: torch.tensor([1.0])])
def test_the_environment_names_one(site, monkeypatch, value, device, make):
    site.stranger("acme", proposal("minimal"))
    monkeypatch.setenv("PLUGRAD_DEFAULT_DEVICE", value)
    assert make().device.type == device


def test_the_environment_names_none(site, monkeypatch):
    monkeypatch.setenv("PLUGRAD_DEFAULT_DEVICE", "cuda:x")
    with pytest.raises(
        DeviceError, match="the environment variable PLUGRAD_DEFAULT_DEVICE: Invalid device string"
    ):
        torch.zeros(1)
    torch.set_default_device("cpu")
    assert torch.zeros(1).device.type == "cpu"


def test_two_plugins_that_disagree(site):
    site.stranger("acme", proposal("minimal"))
    site.stranger("bits", proposal("cuda"))
    with pytest.raises(
        PluginError, match=r"plugin 'acme' .* \('minimal'\) and plugin 'bits' .* disagree: name the device"
    ):
        torch.set_default_device("auto")
