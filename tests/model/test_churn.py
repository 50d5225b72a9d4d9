"""Mappings that come and go: where their pages start, what is pinned, what an unmap frees."""

import dataclasses

import pytest

from numalab import policy, remedies
from numalab.engine import simulate
from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Task, Vma, Workload

MB = 256


def run(name="linux-6.12", duration_ms=4000, **churn):
    """A task on CPU 0 that keeps its own pages, and a churn on CPU 1 (node 1)."""
    w = Workload(
        name="churned",
        duration_ms=duration_ms,
        sample_ms=duration_ms,
        machine=Machine(nodes=2, cpus_per_node=1, memory_mb=128),
        tunables=Tunables(scan_delay_ms=100, scan_period_min_ms=100, scan_period_max_ms=200),
        vmas=(Vma(name="a", size_mb=1),),
        tasks=(Task(name="t", cpu=0, access=(Access(vma="a"),)),),
        churns=(Churn(**{"name": "c", "size_mb": 8, "lifetime_ms": 1e6, "cpu": 1} | churn),),
    )
    return simulate(w, remedies.get(name)).sel(vma="c").isel(replicate=0, time=-1)


@pytest.mark.parametrize("name", policy.GENERATIONS)
@pytest.mark.parametrize("thp", [False, True])
def test_only_what_is_not_pinned_comes_home(name, thp):
    ds = run(name, thp=thp, first_touch_node=0, pinned_fraction=0.25)
    assert ds["pages_on_node"].values.tolist() == [2 * MB, 6 * MB]


@pytest.mark.parametrize(
    ("name", "thp", "fails"),
    [
        ("linux-6.1", False, False),
        ("linux-6.1", True, True),
        ("linux-6.12", False, False),
        ("linux-6.12", True, True),
        ("linux-7.2", False, False),
        ("linux-7.2", True, False),
    ],
)
def test_each_kernel_spares_the_pinned_folios_that_it_spares_of_a_vma(name, thp, fails):
    ds = run(name, thp=thp, first_touch_node=0, pinned_fraction=1.0)
    assert bool(ds["pgmigrate_fail"] > 0) == fails
    assert bool(ds["chunk_updated"].where(ds["chunk_vma"] == 1).max() > 0) == fails


def test_whole_folios_are_pinned():
    churn = Churn(name="c", size_mb=8, lifetime_ms=1, thp=True, pinned_fraction=0.3)
    assert churn.pinned_pages == 4 * MB
    assert dataclasses.replace(churn, thp=False).pinned_pages == 614


def test_the_head_is_there_at_once_on_its_threads_node():
    """Its few touches fall on the head: the rest stays absent."""
    ds = run(pinned_fraction=0.5, pages_per_s=1.0, duration_ms=2000)
    assert ds["touches"].sel(task="c") > 0
    assert ds["pages_on_node"].values.tolist() == [0, 4 * MB]


def test_the_pins_time_is_taken_off_the_threads_touches():
    pinned, filled = (
        run(duration_ms=90, **how) for how in ({"pinned_fraction": 1.0}, {"first_touch_node": 1})
    )
    assert int(pinned["touches"].sel(task="c")) == int(filled["touches"].sel(task="c"))


def test_an_unmap_frees_what_was_pinned():
    """40 lives of 100 MB on a node of 128 MB."""
    ds = run(size_mb=100, pinned_fraction=1.0, lifetime_ms=100, duration_ms=4000)
    assert ds["pages_on_node"].values.tolist() == [0, 100 * MB]
    ds = run(pinned_fraction=1.0, lifetime_ms=100, gap_ms=1e6)
    assert ds["pages_on_node"].values.tolist() == [0, 0]


def test_a_new_mapping_is_judged_anew_by_the_remedy():
    """pinned-vma-mark leaves a VMA alone for a minute; its successor is another VMA."""
    stays = run("linux-6.12+pinned-vma-mark", pinned_fraction=1.0, lifetime_ms=1e6)
    comes = run("linux-6.12+pinned-vma-mark", pinned_fraction=1.0, lifetime_ms=1000)
    assert int(stays["scan_calls"]) == 1
    assert int(comes["scan_calls"]) == 4
