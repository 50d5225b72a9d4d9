"""What a reader of a run should be told: what did not happen, and what changed nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

import pandas as pd
import xarray as xr

from numalab import measures
from numalab.dataset import provenance
from numalab.report.answers import answers, of_tasks, skips
from numalab.workload import Workload

_NAMED = 4
"""Names that a line lists; more are counted."""


def notes(ds: xr.Dataset, without: Mapping[str, xr.Dataset] | None = None) -> list[str]:
    """Say in lines what did not happen in simulated runs and why, and what changed nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        Over ``replicate``.
    without : mapping, optional
        For each remedy of the policy, the same runs without it.
    """
    w = measures.workload_of(ds)
    found = [*_unscanned(ds, w), *_passes(ds, w), *_idle_tasks(ds, w), *_late_tasks(ds, w)]
    for remedy, other in (without or {}).items():
        if ds.equals(other):
            told = any(v.subscriber != "none" for v in w.vmas)
            why = "" if told else ": no VMA has a subscriber"
            found.append(f"remedy {remedy} changed nothing{why}")
    idle: dict[str, list[str]] = {}
    for key, why, where in _idle_keys(w):
        idle.setdefault(f"{key} changes nothing: {why}", []).append(where)
    found += [f"{line} ({_named(dict.fromkeys(where))})" for line, where in idle.items()]
    runs = ds.sizes["replicate"]
    if runs > 1 and all(len(pd.unique(da.values)) == 1 for da in answers(ds).values()):
        found.append(f"replicates = {runs} changed nothing: all runs count the same")
    return found


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more


def _seconds(w: Workload) -> str:
    return f"{w.duration_ms / 1000:g} s"


def _scanned(ds: xr.Dataset, w: Workload) -> dict[str, bool] | None:
    """Say of each process whether a run scanned it; None if the runs do not hold every scan."""
    if "scans" not in (tasks := of_tasks(ds)):
        return None
    busy = _with_any(tasks, "scans")
    return {p: any(t.name in busy for t in w.threads if t.process == p) for p in w.process_names}


def _with_any(ds: xr.Dataset, name: str) -> set[str]:
    """Return the names of the tasks for which a variable is above 0 in a run."""
    return {str(task) for task in ds["task"].values[ds[name].max("replicate").values > 0]}


def _unscanned(ds: xr.Dataset, w: Workload) -> Iterator[str]:
    scanned = _scanned(ds, w) or {}
    for name in (name for name, done in scanned.items() if not done):
        yield f'process "{name}" was never scanned: {_why_unscanned(ds, w, name)}'


def _why_unscanned(ds: xr.Dataset, w: Workload, process: str) -> str:
    rules = provenance(ds)["policy"]
    subscribed = any(v.subscriber != "none" and v.process == process for v in w.vmas)
    if not w.tunables.numa_balancing:
        return "numa_balancing = 0"
    if rules["process_opt_out"] and subscribed:
        return "it opted out (process_opt_out)"
    if rules["one_node_cpuset"] and (
        len(w.process(process).cpuset_mems) == 1 or (rules["confined"] and subscribed)
    ):
        return "its cpuset has one node"
    delay, most = w.tunables.scan_delay_ms, _most_cpu_ms(ds, w, process)
    if most <= delay:
        rated = (
            " (pages_per_s sets it; busy = true: it computes between its touches)"
            if _all_rated(w, process)
            else ""
        )
        return (
            f"a thread needs scan_delay_ms = {delay} ms of CPU time first, and the most that one "
            f"got in {_seconds(w)} is {most:.0f} ms{rated}"
        )
    reasons = dict.fromkeys(reason for _, reason, _ in skips(ds))
    return f"scans skipped each VMA: {', '.join(reasons)}" if reasons else "no scan came due"


def _most_cpu_ms(ds: xr.Dataset, w: Workload, process: str) -> float:
    names = [t.name for t in w.threads if t.process == process]
    return float(ds["sum_exec_runtime"].sel(task=names).max())


def _all_rated(w: Workload, process: str) -> bool:
    mine = [t for t in w.tasks if t.process == process]
    return not any(t.busy or a.pages_per_s == 0 for t in mine for a in t.access)


def _passes(ds: xr.Dataset, w: Workload) -> Iterator[str]:
    scanned, runs = _scanned(ds, w) or {}, ds.sizes["replicate"]
    for name in w.process_names:
        ends = ds["numa_scan_seq"].isel(time=-1).sel(process=name).values
        if (short := int((ends == 0).sum())) and scanned.get(name, True):
            yield (
                f'process "{name}": {short} of {runs} runs ended, after {_seconds(w)}, before its '
                "first pass did: make duration_ms longer"
            )


def _idle_tasks(ds: xr.Dataset, w: Workload) -> Iterator[str]:
    ran, touched = _with_any(ds, "sum_exec_runtime"), _with_any(ds, "touches")
    tasks = [t for t in w.tasks if not t.waits]
    if never := [t.name for t in tasks if t.name not in ran]:
        yield f"never ran: {_named(never)}"
    idle = [t for t in tasks if t.name in ran and t.name not in touched]
    if lazy := [t.name for t in idle if not t.access]:
        yield f"have no [[task.access]], so they touch nothing: {_named(lazy)}"
    if late := [t.name for t in idle if t.access]:
        yield f"ran and touched nothing of the workload: {_named(late)}"


def _late_tasks(ds: xr.Dataset, w: Workload) -> Iterator[str]:
    """Tasks of scanned processes that never got the CPU time of a first scan."""
    scanned, delay = _scanned(ds, w) or {}, w.tunables.scan_delay_ms
    most = ds["sum_exec_runtime"].max("replicate")
    late = [
        t.name
        for t in w.threads
        if scanned.get(t.process)
        and not getattr(t, "waits", False)
        and 0 < float(most.sel(task=t.name)) <= delay
    ]
    if late:
        yield (
            f"never scan, as they get no more than scan_delay_ms = {delay} ms of CPU time: "
            f"{_named(late)}"
        )


def _idle_keys(w: Workload) -> Iterator[tuple[str, str, str]]:
    """Yield keys that differ from their default but have no say: the key, why, and where."""
    for vma in w.vmas:
        if vma.pin_placement != "head" and vma.pinned_fraction in (0, vma.populated):
            why = f"pinned_fraction = {vma.pinned_fraction:g}"
            yield "pin_placement", why, f'vma "{vma.name}"'
    for task, access in [(one, access) for one in w.tasks for access in one.access]:
        if access.pattern != "hot":
            for key in _changed(access, "hot_fraction", "hot_share"):
                yield key, f'pattern = "{access.pattern}"', f'task "{task.name}"'
        if access.start_ms >= w.duration_ms:
            why = f"it starts at {access.start_ms:g} ms"
            yield f'access of vma "{access.vma}"', why, f'task "{task.name}"'
    for churn in w.churns:
        if churn.lifetime in ("fixed", "exponential") and _changed(churn, "lifetime_shape"):
            yield "lifetime_shape", f'lifetime = "{churn.lifetime}"', f'churn "{churn.name}"'
    if not w.tunables.numa_balancing:
        knobs = [f.name for f in fields(w.tunables) if f.name != "numa_balancing"]
        for key in _changed(w.tunables, *knobs):
            yield key, "numa_balancing = 0", "[tunables]"


def _changed(one: object, *keys: str) -> list[str]:
    """Return those of some fields of a dataclass that have not their default."""
    default = {f.name: f.default for f in fields(one)}  # type: ignore[arg-type]
    return [key for key in keys if getattr(one, key) != default[key]]
