"""The engine's runs in the form of the second opinion's results."""

from __future__ import annotations

from typing import Any

import xarray as xr

from numalab.engine import simulate
from numalab.model.layout import Setup
from numalab.policy import Policy
from numalab.workload import Workload
from tests.second_opinion.reference import COUNTERS


def engine(
    w: Workload, policy: Policy, setup: Setup, seed: int = 0, replicates: int = 1
) -> list[dict[str, Any]]:
    """Run the engine; one plain dictionary a replicate."""
    ds = simulate(w, policy, seed=seed, replicates=replicates, setup=setup)
    return [plain(ds.isel(replicate=i)) for i in range(replicates)]


def _by(array: xr.DataArray) -> dict[Any, int]:
    """The entries of an array that are not zero, by their labels."""
    found = array.to_series()
    return {key: int(n) for key, n in found.items() if n}


def plain(ds: xr.Dataset) -> dict[str, Any]:
    """The end of one run as plain dictionaries."""
    end = ds.isel(time=-1)
    vmas = [str(v) for v in ds["vma"].values]
    tasks = [str(t) for t in ds["task"].values]

    def of_tasks(name: str) -> dict[str, int]:
        return {t: int(ds[name].sel(task=t)) for t in tasks}

    row = {
        name: ds[f"chunk_{name}"].values
        for name in ("ms", "scan", "task", "vma", "start", "pages", "updated")
    }
    chunks = [
        {
            "scan": int(row["scan"][i]),
            "ns": round(float(row["ms"][i]) * 1e6),
            "task": tasks[int(row["task"][i])],
            "vma": vmas[int(row["vma"][i])],
            "start": int(row["start"][i]),
            "pages": int(row["pages"][i]),
            "updated": int(row["updated"][i]),
        }
        for i in range(ds.sizes["chunk"])
        if int(row["pages"][i]) >= 0
    ]
    return {
        **{name: int(end[name]) for name in COUNTERS},
        "numa_scan_seq": {
            str(p): int(end["numa_scan_seq"].sel(process=p)) for p in ds["process"].values
        },
        "skips": _by(ds["skips"]),
        "scan_calls": _by(ds["scan_calls"]),
        "scan_pages": _by(ds["scan_pages"]),
        "notifier_calls": _by(ds["notifier_calls"]),
        "notifier_pages": _by(ds["notifier_pages"]),
        "pages_on_node": _by(ds["pages_on_node"]),
        "touches": of_tasks("touches"),
        "sum_exec_runtime": {
            t: round(float(ds["sum_exec_runtime"].sel(task=t)) * 1e6) for t in tasks
        },
        "total_numa_faults": of_tasks("total_numa_faults"),
        "numa_preferred_nid": of_tasks("numa_preferred_nid"),
        "numa_scan_period": of_tasks("numa_scan_period"),
        "chunks": chunks,
    }
