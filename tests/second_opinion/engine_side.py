"""The engine's runs in the form of the second opinion's results."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from numalab.engine import simulate
from numalab.model.layout import Setup
from numalab.policy import Policy
from numalab.workload import Workload
from tests.second_opinion.reference import COUNTERS


def engine(
    w: Workload, policy: Policy, setup: Setup, seed: int = 0, replicates: int = 1
) -> list[dict[str, Any]]:
    """Run the engine, without LRU batches (test_mirrors.py); one plain dictionary a replicate."""
    drains = dataclasses.replace(policy, migration_drains=True)
    ds = simulate(w, drains, seed=seed, replicates=replicates, setup=setup)
    return [plain(ds.isel(replicate=i)) for i in range(replicates)]


def _by(array: xr.DataArray) -> dict[Any, int]:
    """The entries of an array that are not zero, by their labels."""
    labels = [array[dim].values.tolist() for dim in array.dims]
    found = {}
    for at in np.argwhere(array.values).tolist():
        key = tuple(names[i] for names, i in zip(labels, at, strict=True))
        found[key if len(key) > 1 else key[0]] = int(array.values[tuple(at)])
    return found


def plain(ds: xr.Dataset) -> dict[str, Any]:
    """The end of one run as plain dictionaries."""
    vmas = [str(v) for v in ds["vma"].values]
    tasks = [str(t) for t in ds["task"].values]

    def of_tasks(name: str) -> dict[str, int]:
        return dict(zip(tasks, ds[name].values.astype(int).tolist(), strict=True))

    seqs = ds["numa_scan_seq"].isel(time=-1)
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
        **{name: int(ds[name].values[-1]) for name in COUNTERS},
        "numa_scan_seq": dict(
            zip(ds["process"].values.tolist(), seqs.values.astype(int).tolist(), strict=True)
        ),
        "skips": _by(ds["skips"]),
        "scan_calls": _by(ds["scan_calls"]),
        "scan_pages": _by(ds["scan_pages"]),
        "notifier_calls": _by(ds["notifier_calls"]),
        "notifier_pages": _by(ds["notifier_pages"]),
        "pages_on_node": _by(ds["pages_on_node"]),
        "touches": of_tasks("touches"),
        "sum_exec_runtime": {
            t: round(ms * 1e6)
            for t, ms in zip(tasks, ds["sum_exec_runtime"].values.tolist(), strict=True)
        },
        "total_numa_faults": of_tasks("total_numa_faults"),
        "numa_preferred_nid": of_tasks("numa_preferred_nid"),
        "numa_scan_period": of_tasks("numa_scan_period"),
        "chunks": chunks,
    }
