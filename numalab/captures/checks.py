"""Whether the log of a run is of the workload that the recording names, and whole enough.

The checks are of what a log says by itself: CPUs, nodes, samples, threads, mappings, clocks.
What breaks them was edited, or recorded of something else.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from numalab.captures.runlog import RunLog
from numalab.captures.start import Thread, threads
from numalab.fields import InputError, shown
from numalab.model.layout import ProcessSetup, Setup, threads_of
from numalab.schema import COUNTERS
from numalab.units import NSEC_PER_MSEC
from numalab.workload import Workload

MAX_LOST_SHARE = 0.01
"""Trace events that may be lost, as a share of those that are there."""
MAX_LATE_SHARE = 0.5
"""How late a sample or an event may be, as a share of the length of the run."""
MAX_BOOT_MS = 900_000.0
"""Time from boot to the start: the model's clock begins 1000 s before the start at 1000 Hz."""
_MAX_PID = 1 << 22


def check_machine(run: RunLog, workload: Workload) -> None:
    """Refuse a log of a machine with other CPUs or nodes than the workload's.

    Raises
    ------
    InputError
        One line: what the log has, and what the workload has.
    """
    machine = workload.machine
    cpus = sum(name.startswith("trace_stats ") for name in run)
    if cpus != machine.cpus:
        raise InputError(
            f"is of a machine with {cpus} CPUs, that of the workload has {machine.cpus}"
        )
    for thread in workload.threads:
        nodes = len(re.findall(r"^numa_faults node=", run[f"sched {thread.name}"], re.MULTILINE))
        if nodes not in (0, machine.nodes):
            raise InputError(
                f"is of a machine with {nodes} nodes, that of the workload has {machine.nodes}"
            )


def check_lost(run: RunLog) -> None:
    """Refuse a log of which too many trace events were lost.

    Raises
    ------
    InputError
        One line: how many, of how many, and the bound.
    """
    if run.lost_events > MAX_LOST_SHARE * len(run.events):
        raise InputError(
            f"lost_events = {shown(run.lost_events)} of {len(run.events)} that are there: must be "
            f"at most {MAX_LOST_SHARE * 100:g} %"
        )


def check_samples(names: list[str], table: np.ndarray, workload: Workload) -> None:
    """Refuse samples that are not those of a run of the workload.

    Parameters
    ----------
    names : list of str
        The counters.
    table : ndarray of int64, shape (samples, columns)
        Time [ns], counters, passes of each process, and maybe touches of each thread.
    workload : Workload

    Raises
    ------
    InputError
        One line: what the samples are, and what they must be.
    """
    for name in names:
        if name not in COUNTERS or names.count(name) > 1:
            raise InputError(f"samples: counter {shown(name)}: unknown, or there twice")
    counted = 1 + len(names) + len(workload.process_names)
    if table.shape[1] not in (counted, counted + len(workload.threads)):
        raise InputError(
            f"samples have {table.shape[1]} columns: must be {counted}, or "
            f"{counted + len(workload.threads)} with touches"
        )
    fallen = (np.diff(table[:, 1 : 1 + len(names)], axis=0) < 0).any(axis=0)
    if fallen.any():
        raise InputError(f"samples: {names[fallen.argmax()]} falls")
    sample_ns = round(workload.sample_ms * NSEC_PER_MSEC)
    due = 1 + round(workload.duration_ms * NSEC_PER_MSEC) // sample_ns
    if len(table) != due:
        raise InputError(
            f"{len(table)} samples, of duration_ms = {workload.duration_ms:g} and sample_ms = "
            f"{workload.sample_ms:g} there must be {due}"
        )
    late_ms = (table[:, 0] - np.arange(due) * sample_ns) / NSEC_PER_MSEC
    if late_ms.min() < 0:
        raise InputError(f"sample {late_ms.argmin()} is {-late_ms.min():.3f} ms before its time")
    most_ms = MAX_LATE_SHARE * workload.duration_ms
    if late_ms.max() > most_ms:
        raise InputError(
            f"sample {late_ms.argmax()} is {late_ms.max():.0f} ms late: must be at most "
            f"{most_ms:.0f} ms"
        )


def check_threads(run: RunLog, workload: Workload) -> None:
    """Refuse threads that are not the workload's, or that no kernel could have run so.

    Raises
    ------
    InputError
        One line: the thread, and what is wrong.
    """
    start_ns = run.start_ns
    if start_ns > MAX_BOOT_MS * NSEC_PER_MSEC:
        raise InputError(
            f"starts {start_ns / 1e9:.0f} s after boot: at most {MAX_BOOT_MS / 1e3:g} s"
        )
    begin, end = threads(run, "start"), threads(run, "end")
    for found, when in ((begin, "start"), (end, "end")):
        if odd := found.keys() ^ {thread.name for thread in workload.threads}:
            raise InputError(f"threads {when}: {shown(min(odd))} is not in both log and workload")
    pids = Counter(thread.tid for thread in begin.values())
    for name, one in begin.items():
        if not 0 < one.tid <= _MAX_PID or pids[one.tid] > 1:
            raise InputError(f"thread {name}: pid {one.tid}: must be its own, 1 to {_MAX_PID}")
        if max(one.created_ns, one.sum_exec_runtime_ns) > start_ns:
            raise InputError(f"thread {name}: created, or run for longer, than the run has started")
        _check_end(name, one, end[name])


def _check_end(name: str, begin: Thread, end: Thread) -> None:
    if end.tid != begin.tid or end.sum_exec_runtime_ns < begin.sum_exec_runtime_ns:
        raise InputError(
            f"thread {name}: another pid, or less CPU time, at the end than at the start"
        )


def check_setup(setup: Setup, workload: Workload) -> None:
    """Refuse a start that is not one of the workload: the model would trust it.

    Raises
    ------
    InputError
        One line: the process or the VMA, what the log has, and what the workload has.
    """
    names = [process.name for process in setup.processes]
    if names != list(workload.process_names):
        raise InputError(
            f"is of the processes {shown(names)}, the workload has "
            f"{shown(list(workload.process_names))}"
        )
    for process in setup.processes:
        _check_process(process, workload)
        _check_mappings(process, workload)


def _check_process(process: ProcessSetup, workload: Workload) -> None:
    where = f'process "{process.name}"'
    if not process.fork_ms <= process.reset_ms <= 0 or process.balancing_ms > 0:
        raise InputError(f"{where}: forked, cloned or balanced after the start")
    if process.fork_ms < -MAX_BOOT_MS or process.balancing_ms < -MAX_BOOT_MS:
        raise InputError(f"{where}: forked or balanced before boot")
    if process.alone_cpu >= workload.machine.cpus:
        raise InputError(
            f"{where}: scanned on CPU {process.alone_cpu}: the machine has CPUs 0 to "
            f"{workload.machine.cpus - 1}"
        )
    if len(process.pids) != len(threads_of(workload, process.name)):
        raise InputError(f"{where}: has {len(process.pids)} threads")


def _check_mappings(process: ProcessSetup, workload: Workload) -> None:
    pages: dict[str, list[int]] = {}
    for mapping in process.mappings:
        pages.setdefault(mapping.owner, []).append(mapping.pages)
    if all(mapping.kind == "stack" for mapping in process.mappings):
        raise InputError(f'process "{process.name}": has no mapping besides its stack')
    for vma in workload.vmas:
        found = pages.get(vma.name, [])
        count = vma.count if vma.process == process.name else 0
        if len(found) != count:
            raise InputError(
                f'vma "{vma.name}" has {len(found)} mappings in process "{process.name}": of '
                f"count = {vma.count} there must be {count}"
            )
        if odd := [n for n in found if n != vma.pages]:
            raise InputError(
                f'vma "{vma.name}" has a mapping of {odd[0]} pages: of size_mb = {vma.size_mb:g} '
                f"it must have {vma.pages}"
            )


def check_times(run: RunLog, workload: Workload) -> None:
    """Refuse a trace with an event long after the end of the run.

    Raises
    ------
    InputError
        One line: when it is, and when the run ends.
    """
    last_ms = max((event.ms for event in run.events), default=0.0)
    if last_ms > (1 + MAX_LATE_SHARE) * workload.duration_ms:
        raise InputError(
            f"an event is at {last_ms:.0f} ms: the run ends at {workload.duration_ms:g} ms"
        )
