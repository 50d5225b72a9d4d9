"""Totals straight from the runs are those of the Datasets."""

import pytest

from numalab import workload_file
from numalab.catalog.guests import guest
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import Start, simulate
from numalab.policy import get
from numalab.schema import COUNTERS, PER_VMA, SCHEMA
from numalab.totals import NAMES, attributes, run_totals, totals

WORKLOADS = {
    "lifetimes": lifetimes(
        scan_delay_ms=300, vma_lifetime_ms=200, pin_fraction=0.5, duration_ms=4000
    ),
    "pinned churns": lifetimes(
        scan_delay_ms=100,
        vma_lifetime_ms=300,
        pin_fraction=0.0,
        churn_pin_fraction=0.5,
        duration_ms=4000,
    ),
    "guest": guest(memory_mb=64, vcpus=4, pin_fraction=0.25, thp=True, duration_ms=4000),
    "two processes": workload_file.load("data/workloads/two-processes.toml"),
    "many": workload_file.load("data/workloads/many-vmas.toml"),
}


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("policy", ["linux-6.1", "linux-7.2"])
def test_totals_of_runs_are_those_of_their_datasets(name, policy):
    w = WORKLOADS[name]
    found = run_totals(Start(workload=w), get(policy), seed=4, replicates=range(1, 4))
    ds = totals(simulate(w, get(policy), seed=4, replicates=4)).isel(replicate=slice(1, None))
    assert set(ds.data_vars) == set(NAMES)
    assert found.sum() > 0
    for i, column in enumerate(NAMES):
        assert ds[column].dims == ("replicate",)
        assert list(ds[column].values) == list(found[:, i]), column


def test_totals_leave_out_what_belongs_to_the_program():
    ds = simulate(WORKLOADS["lifetimes"], get("linux-7.2"), seed=4)
    own = [str(v) for v in ds["vma"].values if not str(v).startswith("image:")]
    assert own == ["old", "short_lived0", "short_lived1"]
    skipped = ds["skips"].sel(reason="inaccessible")
    assert int(skipped.sum()) > 0
    assert int(totals(ds)["skips_inaccessible"][0]) == int(skipped.sel(vma=own).sum()) == 0


def test_what_is_declared_is_in_the_dataset_and_in_the_totals():
    ds = simulate(WORKLOADS["lifetimes"], get("linux-7.2"))
    assert set(ds.data_vars) == set(SCHEMA)
    counted = {*COUNTERS, *(v.name for v in PER_VMA), "touches"}
    assert {name for name in SCHEMA if any(n.startswith(name) for n in NAMES)} == counted


def test_every_total_says_its_unit():
    said = attributes()
    assert tuple(said) == NAMES
    assert all(a["units"] and a["long_name"] and a["kernel"] for a in said.values())
