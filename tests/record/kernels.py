"""Logs of runs: of each kernel, booted once with all workloads of these tests; and made up."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from numalab.captures.run import read_run
from numalab.machine import Machine
from numalab.record import calibrate_guest, guest
from numalab.record.experiments import calibration_program
from numalab.record.initramfs import (
    FOREIGN_SOURCES,
    RecordError,
    compiled,
    initramfs,
    modules_of,
)
from numalab.record.program import program
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Task, Vma, Workload
from numalab.workload_file import load
from tests.record.workloads import JOBS

GENERATIONS = ("6.1", "6.12", "7.2")
MACHINE = Machine(nodes=2, cpus_per_node=1, memory_mb=512)
SHORT = Path(__file__).parents[1] / "data" / "captures" / "short" / "6.12"
OFTEN = Tunables(scan_delay_ms=50, scan_period_min_ms=100, scan_period_max_ms=100)


def _pinned_churn(name: str, **mapping: object) -> Workload:
    """Mappings that start on the other node than their thread's; the third is there at the end."""
    return Workload(
        name=name,
        duration_ms=1500,
        machine=MACHINE,
        tunables=OFTEN,
        tasks=(Task(name="t", cpu=0),),
        churns=(Churn(name="c", cpu=1, size_mb=4, lifetime_ms=600, first_touch_node=0, **mapping),),
    )


WORKLOADS = {
    w.name: w
    for w in (
        load(SHORT / "workload.toml"),
        _pinned_churn("half", pinned_fraction=0.5),
        _pinned_churn("huge", pinned_fraction=1.0, thp=True),
        Workload(
            name="guest",
            duration_ms=3000,
            machine=MACHINE,
            vmas=(Vma(name="ram", size_mb=16, pinned_fraction=1, subscriber="kvm"),),
            tasks=(
                Task(name="v0", cpu=0, access=(Access(vma="ram"),)),
                Task(name="v1", cpu=1, access=(Access(vma="ram", pattern="rand", write=False),)),
            ),
        ),
    )
}
EXPERIMENTS = {
    "6.12": [text for text, _ in calibrate_guest.experiments(MACHINE)],
    "7.2": [calibration_program(MACHINE, repeats=1)],
}
"""Calibrations, each on one kernel."""


@dataclass(frozen=True)
class Recorded:
    """What one boot of a kernel gave."""

    generation: str
    boot: str
    runs: tuple[str, ...]
    """Logs of the workloads, of those of ``test_programs``, and of the calibration, in turn."""

    def dataset(self, name: str) -> xr.Dataset:
        """Return the run of one of the workloads."""
        return read_run(self.log(list(WORKLOADS).index(name)), WORKLOADS[name]).dataset

    def log(self, number: int) -> str:
        """Return the log of one run, as if it had been booted alone."""
        return self.boot + self.runs[number] + guest.LAST_LINE

    @property
    def experiments(self) -> str:
        """The log of the calibration alone."""
        runs = self.runs[len(WORKLOADS) + len(JOBS) :]
        return "".join([self.boot, *runs, guest.LAST_LINE])


def image_of(generation: str) -> Path:
    """Return the image of a kernel, or skip the test."""
    for name in ("gcc", guest.QEMU):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    folder = Path(os.environ.get("NUMALAB_KERNELS", "")) / generation
    images = [path for path in folder.glob("vmlinuz-*") if path.suffix != ".package"]
    if not images or not modules_of(images[0]):
        pytest.skip(f"NUMALAB_KERNELS has no {generation} with modules (.ci/fetch-kernels)")
    return images[0]


def boot_all(image: Path, texts: list[str]) -> str:
    """Boot a kernel with several programs one after another, under the emulation that has SVM."""
    foreign = compiled(sources=FOREIGN_SOURCES)
    archive = initramfs(compiled(), "".join(texts), modules_of(image), foreign=foreign)
    return guest.boot(MACHINE, image, archive, limit_s=300, accel=guest.TCG).text


@functools.cache
def recorded_on(generation: str) -> Recorded:
    """Boot a kernel once, for all tests."""
    texts = [program(workload, seed=3) for workload in WORKLOADS.values()]
    texts += [program(workload, 3, by) for by, workload in JOBS.values()]
    text = boot_all(image_of(generation), texts + EXPERIMENTS.get(generation, []))
    boot, *runs = re.split(r"(?=@section \d+ run\n)", text.removesuffix(guest.LAST_LINE))
    return Recorded(generation, boot, tuple(runs))


def calibrated(generation: str, evaluate: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Evaluate a calibration; one that gave nothing, on a busy machine, is made again."""
    text = recorded_on(generation).experiments
    try:
        return evaluate(text)
    except RecordError:
        return evaluate(boot_all(image_of(generation), EXPERIMENTS[generation]))


def section(name: str, text: str) -> str:
    """Return a section as the guest writes it."""
    return f"@section {len(text)} {name}\n{text}"
