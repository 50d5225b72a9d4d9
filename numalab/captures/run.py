"""One recorded run: from its log to the Dataset of the schema and the start of the model."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from numalab import dataset, schema
from numalab.captures import runlog, scan_times, start, trace_tables
from numalab.fields import InputError
from numalab.model.layout import Setup
from numalab.plain import as_plain
from numalab.workload import Workload

log = logging.getLogger(__name__)

LATE_MS = 60.0
"""A sample later than this means that the guest stood still: the host was busy."""
OWN_PROGRAM = "recorder"
"""The program of a recording that names none."""
_SCHED = {
    "total_numa_faults": "total_numa_faults",
    "numa_pages_migrated": "task_pages_migrated",
    "numa_preferred_nid": "numa_preferred_nid",
}
"""Fields of a thread's ``sched`` file, and the variables that they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run log holds."""

    dataset: xr.Dataset
    """Every variable of the schema that this kernel gives; times in ms from the start."""
    setup: Setup
    """Address spaces, pids and clocks at the start."""
    flush_waits_ns: list[float]
    """Times of the small scan calls that waited for the TLB flushes of other CPUs."""


def read_run(text: str, workload: Workload) -> Run:
    """Read the log of one run, as the guest wrote it.

    Raises
    ------
    InputError
        If the log is cut, damaged or of another workload than ``workload``.
    """
    run = runlog.read(text)[-1]
    if run.get("run") != workload.name:
        raise InputError(f"the run log is of workload {run.get('run')!r}, not {workload.name!r}")
    try:
        setup = start.setup(run, workload)
        setup = replace(
            setup,
            scan_factors=scan_times.scan_factors(run, setup, workload),
            scanned_before=any(e.name == "scan" and e.ms < 0 for e in run.events),
        )
        return Run(
            dataset=_dataset(run, workload, setup),
            setup=setup,
            flush_waits_ns=scan_times.flush_waits(run),
        )
    except (KeyError, ValueError, IndexError, StopIteration, TypeError) as error:
        raise InputError(f"the run log is damaged ({type(error).__name__}: {error})") from None


def _dataset(run: runlog.RunLog, workload: Workload, setup: Setup) -> xr.Dataset:
    churns = [c.name for c in workload.churns]
    tasks = [t.name for t in workload.tasks] + churns
    vmas = [v.name for v in workload.vmas] + churns + list(schema.IMAGE_VMAS)
    ms, variables = _samples(run, workload)
    variables |= _threads(run, tasks)
    variables["pages_on_node"] = _pages_on_node(run, workload, vmas)
    if "change_prot_numa" not in run.get("missing", ""):
        variables |= trace_tables.scans(run, workload, setup, vmas, tasks)
    variables |= trace_tables.guests(run, vmas)
    kernel = run["uname"].split()[0]
    time = np.arange(len(ms)) * workload.sample_ms
    late = float((ms - time).max())
    if run.lost_events:
        log.warning("%s on %s: %d trace events were lost", workload.name, kernel, run.lost_events)
    if late > LATE_MS:
        log.info(
            "%s on %s: a sample is %.0f ms late: was the host busy?", workload.name, kernel, late
        )
    coords = {
        "time": time,
        "process": list(workload.process_names),
        "vma": vmas,
        "task": tasks,
        "node": np.arange(workload.machine.nodes),
    }
    attrs = {
        "source": "recorded",
        "kernel": kernel,
        "version": run["uname"],
        "program": run.get("program", OWN_PROGRAM),
        "workload": as_plain(workload),
        "identity": workload.identity(),
        "lost_events": run.lost_events,
        "latest_sample_ms": round(late, 3),
    }
    return dataset.make(variables, coords, attrs)


def _samples(run: runlog.RunLog, workload: Workload) -> tuple[np.ndarray, dict[str, Any]]:
    """Times of the samples [ms], and the counters and completed passes at them."""
    head, *lines = run["samples"].splitlines()
    table = np.array([[int(word) for word in line.split()] for line in lines], dtype=np.int64)
    if table[0, 0] > workload.sample_ms * 1e6 / 2:  # a log without the sample at the start
        table = np.vstack([np.zeros_like(table[:1]), table])
    counters = head.split()[1:]
    variables: dict[str, Any] = {name: table[:, 1 + i] for i, name in enumerate(counters)}
    passes = table[:, 1 + len(counters) :]
    variables["numa_scan_seq"] = passes[:, : len(workload.process_names)]
    return table[:, 0] / 1e6, variables


def _threads(run: runlog.RunLog, tasks: Sequence[str]) -> dict[str, Any]:
    """Return what each thread did, and what its ``sched`` file said at the end if it was there."""
    ends = start.threads(run, "end")
    variables: dict[str, Any] = {
        "touches": [ends[name].touches for name in tasks],
        "sum_exec_runtime": [ends[name].sum_exec_runtime_ns / 1e6 for name in tasks],
    }
    for field, name in _SCHED.items():
        found = [re.search(rf"^{field}\s*:\s*(-?\d+)", run[f"sched {n}"], re.M) for n in tasks]
        if all(found):
            variables[name] = [int(m[1]) for m in found if m]
    return variables


def _pages_on_node(run: runlog.RunLog, workload: Workload, vmas: list[str]) -> np.ndarray:
    pages = np.zeros((len(vmas), workload.machine.nodes), dtype=np.int64)
    for process in workload.process_names:
        for region in start.regions(run, process, "end", workload):
            pages[vmas.index(region.label)] += region.pages_on_node
    return pages
