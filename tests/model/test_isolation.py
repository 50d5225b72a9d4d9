"""A huge folio that one task migrates while another touches it."""

import pytest

from numalab import policy, workload_file
from numalab.engine import Start, run_one, simulate

SHARED = """
[workload]
name = "shared-huge"
duration_ms = {ms}
sample_ms = 10
[machine]
speed = {{migrate_huge_ns = 7e6, failed_pass_huge_ns = {window}, lost_share = 0.0}}
[[vma]]
name = "a"
size_mb = 32
thp = true
[[task]]
name = "main"
waits = true
[[task]]
name = "t"
cpu = 1
[[task.access]]
vma = "a"
[[task]]
name = "u"
cpu = {cpu}
[[task.access]]
vma = "{of_u}"
[[vma]]
name = "b"
size_mb = 32
thp = true
"""


def finished(name="linux-6.1", window=6.5e6, of_u="a", ms=3000):
    text = SHARED.format(window=window, cpu=1, of_u=of_u, ms=ms)
    return run_one(Start(workload=workload_file.parse(text)).complete(0), policy.get(name), 0).world


def failed(w):
    """Failed migrations that the tasks have counted since their last placement."""
    return int(w.tasks["locality_failed"].sum())


@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
def test_who_meets_a_folio_that_another_task_has_isolated_fails(name):
    """Both walk over 16 folios on one CPU; a migration takes longer than a tick."""
    w = finished(name)
    assert failed(w) >= 512
    assert w.stat[0].pgmigrate_fail == 0, "it fails before migrate_pages()"
    assert w.stat[0].numa_pages_migrated >= 16 * 512
    assert w.stat[0].numa_hint_faults > 16


def test_a_failure_doubles_the_period_for_ever():
    isolated, at_once = finished(ms=60000), finished(window=0, ms=60000)
    assert isolated.tasks["numa_scan_period"].max() > at_once.tasks["numa_scan_period"].max()


@pytest.mark.parametrize("given", [{"window": 0.0}, {"of_u": "b"}])
def test_nobody_meets_a_folio_that_is_unmapped_at_once_or_is_not_shared(given):
    assert failed(finished(**given)) < 512


def test_at_the_end_every_folio_is_somewhere():
    for ms in (2010, 2020, 2030, 2040, 2050):  # in the midst of the migrations
        w = workload_file.parse(SHARED.format(window=6.5e6, cpu=1, of_u="a", ms=ms))
        ds = simulate(w, policy.get("linux-6.1"), seed=1)
        pages = ds["pages_on_node"].sel(vma="a")
        assert int(pages.sum()) == 32 * 256
        done = int(ds["numa_pages_migrated"].isel(time=-1, replicate=0)) // 512 * 512
        assert int(pages.isel(replicate=0).sel(node=1)) == done
