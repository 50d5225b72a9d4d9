"""Totals straight from many runs are those of their Datasets, also with secondary MMUs."""

from __future__ import annotations

import numpy as np
import pytest

from numalab import remedies
from numalab.catalog.guests import gpu_process, guest
from numalab.engine import Start, simulate
from numalab.totals import NAMES, run_totals, totals

WORKLOADS = {
    "kvm": guest(memory_mb=64, vcpus=2, pin_fraction=0.5, thp=False, duration_ms=5000),
    "sev": guest(
        memory_mb=64, vcpus=2, pin_fraction=1.0, thp=True, subscriber="sev", duration_ms=5000
    ),
    "gpu": gpu_process(memory_mb=64, registered=0.5, threads=2, duration_ms=5000),
}


@pytest.mark.parametrize("policy", ["linux-6.1", "linux-7.2", "linux-7.2+late-notifier"])
@pytest.mark.parametrize("name", list(WORKLOADS))
def test_totals_of_many_runs_are_those_of_their_datasets(name, policy) -> None:
    chosen = remedies.get(policy)
    found = run_totals(Start(workload=WORKLOADS[name]), chosen, seed=3, replicates=range(4))
    ds = totals(simulate(WORKLOADS[name], chosen, seed=3, replicates=4))
    for i, column in enumerate(NAMES):
        assert np.array_equal(found[:, i], ds[column].values), column
    counted = {"kvm": "refaults", "sev": "refaults", "gpu": "numa_hint_faults"}[name]
    assert found[:, NAMES.index(counted)].all()
