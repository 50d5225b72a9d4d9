"""The same work done otherwise: page by page, in SimPy, by a real kernel."""

import os
import shutil
from pathlib import Path

import pytest
import simpy_program
import workloads
from parts import measure

from numalab import policy
from numalab.captures import open_recording
from numalab.engine import simulate
from numalab.record import guest
from numalab.record.recorder import record
from tests.second_opinion import reference

KERNEL = "linux-6.1"
RECORDED = workloads.ROOT / "data" / "captures" / "private-converge" / "6.1"


@pytest.mark.benchmark(group="small")
def test_engine_small(benchmark):
    w = workloads.small()
    measure(benchmark, w, kernel=KERNEL, setup=reference.bare_setup(w))


@pytest.mark.benchmark(group="small")
def test_simpy_small(benchmark):
    found = benchmark.pedantic(simpy_program.simulate, (workloads.small(),), rounds=5)
    benchmark.extra_info["hint_faults"] = found["numa_hint_faults"]


@pytest.mark.benchmark(group="small")
def test_reference_small(benchmark):
    w = workloads.small()
    how = {"phase_ns": reference.phase_of(w, 0), "setup": reference.bare_setup(w)}
    found = benchmark.pedantic(lambda: reference.simulate(w, policy.get(KERNEL), **how), rounds=3)
    benchmark.extra_info["hint_faults"] = found["numa_hint_faults"]


@pytest.mark.benchmark(group="converge")
def test_engine_converge(benchmark):
    w = workloads.converge()
    measure(benchmark, w, kernel=KERNEL, setup=reference.bare_setup(w))


@pytest.mark.benchmark(group="converge")
def test_simpy_converge(benchmark):
    found = benchmark.pedantic(simpy_program.simulate, (workloads.converge(),), rounds=3)
    benchmark.extra_info["hint_faults"] = found["numa_hint_faults"]


@pytest.mark.parametrize("workload", [workloads.small, workloads.converge])
def test_simpy_does_the_same_work(workload):
    w = workload()
    ds = simulate(w, policy.get(KERNEL), replicates=40, setup=reference.bare_setup(w))
    for seed in range(3):
        for name, value in simpy_program.simulate(w, seed).items():
            runs = ds[name].isel(time=-1)
            assert int(runs.min()) <= value <= int(runs.max()), name


def _image():
    folder = os.environ.get("NUMALAB_KERNELS", "")
    found = sorted(Path(folder).glob("6.1/vmlinuz-*")) if folder else []
    return next((p for p in found if p.suffix != ".package"), None)


@pytest.mark.benchmark(group="recorded")
def test_engine_recorded(benchmark):
    """From the address space and the clocks that the first recorded run started with."""
    start = open_recording(RECORDED).start(0)
    measure(benchmark, start.workload, kernel=KERNEL, setup=start.setup)


@pytest.mark.benchmark(group="recorded")
def test_kernel_recorded(benchmark):
    """Live where QEMU, gcc and an image are there; else the guest's time in the recording."""
    image = _image()
    info = benchmark.extra_info
    if image and shutil.which("gcc") and shutil.which(guest.QEMU):
        ds = benchmark.pedantic(record, (workloads.converge(), image), rounds=1)
        info |= {"how": "boot and run", "hint_faults": int(ds["numa_hint_faults"][0, -1])}
        return
    benchmark.pedantic(lambda: None, rounds=1)
    recording = open_recording(RECORDED)
    runs = recording.dataset()["numa_hint_faults"].isel(time=-1)
    info |= {
        "how": "run only, as recorded",
        "hint_faults": int(runs.median()),
        "seconds": recording.workload.duration_ms / 1000,
    }
