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
from numalab.captures import checks, runlog, scan_times, start, trace_tables
from numalab.captures.manifest import OWN_PROGRAM
from numalab.captures.sealed import MAX_LOG_BYTES
from numalab.fields import InputError, shown
from numalab.model.layout import Setup
from numalab.plain import as_plain
from numalab.workload import Workload

log = logging.getLogger(__name__)

LATE_MS = 60.0
"""A sample later than this means that the guest stood still: the host was busy."""
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
    if len(text) > MAX_LOG_BYTES:
        raise InputError(
            f"the run log has {len(text)} bytes: must be at most {MAX_LOG_BYTES}: run for less time"
        )
    runs = runlog.read(text)
    if len(runs) > 1:
        raise InputError(f"the run log holds {len(runs)} runs: must be one")
    run = runs[0]
    if run.get("run") != workload.name:
        raise InputError(f"is of workload {shown(run.get('run'))}, not {workload.name!r}")
    try:
        checks.check_threads(run, workload)
        checks.check_machine(run, workload)
        checks.check_times(run, workload)
        checks.check_lost(run)
        setup = start.setup(run, workload)
        checks.check_setup(setup, workload)
        setup = replace(
            setup,
            scan_factors=scan_times.scan_factors(run, setup, workload),
            scanned_before=any(e.name == "scan" and e.ms < 0 for e in run.events),
        )
        ds = _dataset(run, workload, setup)
        return Run(dataset=ds, setup=setup, flush_waits_ns=scan_times.flush_waits(run))
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"the run log is damaged: {shown(error.args[0])} is missing") from None
    except (ArithmeticError, LookupError, StopIteration, TypeError, ValueError) as error:
        text = f"{type(error).__name__}: {str(error)[:100]}"
        raise InputError(f"the run log is damaged ({text})") from None


def _dataset(run: runlog.RunLog, workload: Workload, setup: Setup) -> xr.Dataset:
    churns = [c.name for c in workload.churns]
    tasks = [t.name for t in workload.tasks] + churns
    vmas = [v.name for v in workload.vmas] + churns + list(schema.IMAGE_VMAS)
    ms, variables = _samples(run, workload)
    variables |= _threads(run, tasks, workload.machine.nodes)
    variables["pages_on_node"] = _pages_on_node(run, workload, vmas)
    if "change_prot_numa" not in run.get("missing", ""):
        variables |= trace_tables.scans(run, workload, setup, vmas, tasks)
    variables |= trace_tables.guests(run, vmas)
    kernel = run["uname"].partition(" ")[0]
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
    rows = [[int(word) for word in line.split()] for line in lines]
    if len({len(row) for row in rows}) != 1:
        raise InputError("samples: there are none, or not all have the same number of columns")
    table = np.array(rows, dtype=np.int64)
    if table[0, 0] > workload.sample_ms * 1e6 / 2:  # a log without the sample at the start
        table = np.vstack([np.zeros_like(table[:1]), table])
    counters = head.split()[1:]
    checks.check_samples(counters, table, workload)
    variables: dict[str, Any] = {name: table[:, 1 + i] for i, name in enumerate(counters)}
    passes = table[:, 1 + len(counters) :]
    variables["numa_scan_seq"] = passes[:, : len(workload.process_names)]
    return table[:, 0] / 1e6, variables


def _threads(run: runlog.RunLog, tasks: Sequence[str], nodes: int) -> dict[str, Any]:
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
    for nid in variables.get("numa_preferred_nid", []):
        if not -1 <= nid < nodes:
            raise InputError(f"numa_preferred_nid = {shown(nid)}: must be -1 to {nodes - 1}")
    return variables


def _pages_on_node(run: runlog.RunLog, workload: Workload, vmas: list[str]) -> np.ndarray:
    pages = np.zeros((len(vmas), workload.machine.nodes), dtype=np.int64)
    numbers = {name: i for i, name in enumerate(vmas)}
    for process in workload.process_names:
        for region in start.regions(run, process, "end", workload):
            pages[numbers[region.label]] += region.pages_on_node
    return pages
