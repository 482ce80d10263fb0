"""What `import plugrad` loads, and what it leaves until something needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    "cupy",
    "pyopencl",
    "matplotlib",
    "importlib.metadata",
    "pluggy",
    "scipy",
    "torch",
    "plugrad_backends",
]


def loaded_after(program: str) -> set[str]:
    """The modules that a fresh interpreter has after the program."""
    code = f"{program}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_import_loads_no_backend_and_nothing_heavy() -> None:
    assert loaded_after("import plugrad").isdisjoint([*HEAVY, "plugrad.nn", "plugrad.optim"])


def test_the_first_tensor_loads_the_numpy_backend_alone() -> None:
    loaded = loaded_after("import plugrad; plugrad.zeros(2)")
    assert {"pluggy", "plugrad_backends.numpy"} <= loaded
    assert loaded.isdisjoint({"cupy", "pyopencl", "matplotlib", "scipy", "torch"})


@pytest.mark.parametrize("room", ["nn", "optim", "linalg", "utils"])
def test_rooms_that_load_at_first_use(room: str) -> None:
    assert f"plugrad.{room}" in loaded_after(f"import plugrad; plugrad.{room}")


def test_names_of_two_things_are_what_users_mean() -> None:
    import plugrad

    assert plugrad.tensor([1]).tolist() == [1]
    assert str(plugrad.device("cpu")) == "cpu"
    assert plugrad.op.__name__ == "op" and callable(plugrad.op)
    from plugrad.op import elementwise

    assert elementwise.__module__ == "plugrad.op"
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = plugrad.nonsense
