"""Record a workload on a real kernel: boot, run, read what comes back.

Examples
--------
``record(load("workload.toml"), Path("bzImage"), runs=5)`` returns the Dataset that
``simulate`` returns for the same workload, measured instead of computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from numalab import dataset
from numalab.captures import open_recording
from numalab.captures.run import LATE_MS, read_run
from numalab.fields import InputError
from numalab.machine import Speed
from numalab.plain import as_plain
from numalab.record import guest
from numalab.record.calibrate import calibrate
from numalab.record.calibrate_guest import calibrate_guest, merged
from numalab.record.initramfs import FOREIGN_SOURCES, compiled, initramfs, modules_of
from numalab.record.manifest import RecordingWriter
from numalab.record.program import populated_pages
from numalab.record.program import program as program_text
from numalab.record.programs import FOREIGN, RECORDER
from numalab.units import PAGES_PER_MB
from numalab.workload import Workload, with_speed
from numalab.workload_file import parse

log = logging.getLogger(__name__)

REPORT_S = 60.0
"""Time that a guest may take to report; longer with a KVM guest in it, whose trace is long."""


def _has_guest(workload: Workload) -> bool:
    """Whether a VMA is the memory of a KVM guest."""
    return any(v.subscriber == "kvm" for v in workload.vmas)


def _time_limit_s(workload: Workload) -> float:
    """Seconds after which a guest that still runs is killed: boot, layout, run, report."""
    mb = sum(populated_pages(v) * v.count for v in workload.vmas) / PAGES_PER_MB
    report = REPORT_S * (3 if _has_guest(workload) else 1)
    return guest.BOOT_S + 0.05 * mb + 1.5 * workload.duration_ms / 1000 + report


def _calibration_of(workload: Workload, kernel: Path) -> dict[str, Any]:
    """Measure the speed of the workload's machine; that of KVM guests too if it has one."""
    found = calibrate(workload.machine, kernel)
    if _has_guest(workload):
        found = merged(found, calibrate_guest(workload.machine, kernel))
    return found


def _run_once(workload: Workload, kernel: Path, seed: int, program: str) -> guest.Boot:
    """Boot the kernel once with the workload as its init and return what came back.

    A KVM guest needs software emulation, which emulates AMD's SVM: whether a host's KVM
    nests is not asked.
    """
    nested = _has_guest(workload)
    image = initramfs(
        compiled(),
        program_text(workload, seed, program),
        modules_of(kernel) if nested else None,
        foreign=compiled(sources=FOREIGN_SOURCES) if program == FOREIGN else b"",
    )
    return guest.boot(
        workload.machine,
        kernel,
        image,
        limit_s=_time_limit_s(workload),
        accel=guest.TCG if nested else None,
    )


def record(
    workload: Workload,
    kernel: Path,
    *,
    runs: int = 1,
    seed: int = 0,
    speed: Speed | None = None,
    keep: Path | None = None,
    source: str | None = None,
    program: str = RECORDER,
    progress: Callable[[str], None] = log.info,
) -> xr.Dataset:
    """Run a workload on a real kernel, in a QEMU guest with NUMA nodes.

    Parameters
    ----------
    workload : Workload
        What to run, and the machine to run it on.
    kernel : Path
        A bzImage.
    runs : int
        Boots, one run each. With ``keep``: how many runs the folder shall hold in the end;
        those that it has are kept, so an interrupted batch is simply started again.
    seed : int
        Run ``i`` draws from seed ``seed + i``.
    speed : Speed, optional
        A calibration made before on this kernel and machine; it is written to ``keep`` as
        it is. Without it, ``keep`` gets a calibration of its own (one more boot; two with a
        KVM guest in the workload).
    keep : Path, optional
        The recording folder to write or extend.
    source : str, optional
        The TOML text of the workload, stored in ``keep`` as given; needed with ``keep``.
    program : str
        What runs the workload: ``recorder``, the recorder's own program; or ``foreign``, one
        that is written as a user would, with a main thread that waits (docs/recording.md).
        The calibration is always that of the recorder's program.
    progress : callable
        Gets one line after each step.

    Returns
    -------
    xarray.Dataset
        All runs along ``replicate``.

    Raises
    ------
    RecordError
        If a tool is missing, the image is no kernel, or a guest fails; in one line.
    InputError
        For what the program cannot do, before anything is booted.
    """
    guest.check_kernel(kernel)
    program_text(workload, seed, program)
    if runs < 1:
        raise InputError(f"runs = {runs}: must be at least 1")
    folder = None
    if keep is not None:
        if source is None:
            raise InputError("source is missing: keep stores the TOML text of the workload")
        if parse(source, "source").identity() != workload.identity():
            raise InputError("source: is the text of another workload than the one to record")
        folder = RecordingWriter(keep, workload, source, kernel, program)
        if not folder.calibrated:
            folder.add_calibration(
                {"speed": as_plain(speed)} if speed else _calibration_of(workload, kernel)
            )
            progress(f"{workload.name}: calibrated")
    found = []
    timed = with_speed(workload, speed) if speed else workload
    for number in range(folder.runs if folder else 0, runs):
        boot = _run_once(workload, kernel, seed + number, program)
        ds = read_run(boot.text, timed).dataset
        dataset.check_invariants(ds)
        found.append(ds)
        if folder:
            folder.add_run(boot, ds, seed + number)
        late_ms = dataset.provenance(ds)["latest_sample_ms"]
        if late_ms > LATE_MS:
            progress(f"{workload.name}: a sample is {late_ms:.0f} ms late: was the host busy?")
        counters = ", ".join(
            f"{name} {int(ds[name][-1])}"
            for name in ("numa_pte_updates", "numa_hint_faults", "numa_pages_migrated")
        )
        progress(f"{workload.name} on {ds.attrs['kernel']}: run {number + 1} of {runs}: {counters}")
    return open_recording(keep).dataset() if keep is not None else dataset.concat(found)
