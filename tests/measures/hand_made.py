"""Runs made by hand, of which every number can be checked by eye."""

from __future__ import annotations

from typing import Any

import xarray as xr

from numalab import dataset
from numalab.plain import as_plain
from numalab.workload import Workload


def run_of(workload: Workload, /, **variables: Any) -> xr.Dataset:
    """One run of a workload that holds these variables; the image of its process has a heap."""
    vmas = [v.name for v in workload.vmas] + [c.name for c in workload.churns]
    samples = len(variables.get("numa_pages_migrated", [0]))
    coords = {
        "time": [i * workload.sample_ms for i in range(samples)],
        "process": list(workload.process_names),
        "vma": [*vmas, "image:heap"],
        "task": [t.name for t in workload.threads],
        "node": range(workload.machine.nodes),
    }
    attrs = {
        "source": "simulated",
        "kernel": "linux-7.2",
        "workload": as_plain(workload),
        "seed": 1,
        "replicate": 0,
    }
    return dataset.make(variables, coords, attrs)
