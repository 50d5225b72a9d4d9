"""What a migration of pinned memory takes that fails, and what it does to whoever faults."""

import dataclasses

import pytest

from numalab import policy
from numalab.engine import simulate
from numalab.machine import Machine, Speed, speed_of
from numalab.tunables import Tunables
from numalab.workload import Access, Task, Vma, Workload

MS = 1e6


def pinned(failed_pass_ms, subscriber="none", notify_ns=0.0):
    """One flat-out task on node 1 over 64 MB of pinned huge folios on node 0, for 4 s."""
    speed = Speed(failed_pass_huge_ns=failed_pass_ms * MS, migrate_huge_ns=0, notify_ns=notify_ns)
    return Workload(
        name="pinned",
        duration_ms=4000,
        machine=Machine(speed=speed),
        tunables=Tunables(scan_delay_ms=100, scan_period_min_ms=100, scan_period_max_ms=100),
        vmas=(Vma(name="a", size_mb=64, thp=True, pinned_fraction=1.0, subscriber=subscriber),),
        tasks=(Task(name="t", cpu=1, access=(Access(vma="a"),)),),
    )


def failed(workload, kernel):
    """Folios whose migration failed, and the run."""
    ds = simulate(workload, policy.get(kernel)).isel(replicate=0)
    return int(ds["pgmigrate_fail"].isel(time=-1)) // 512, ds


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
def test_failures_take_the_time_of_ten_passes(kernel):
    """In 4 s less than 100 of 40 ms fit; at 0.4 ms every scan marks the folios anew."""
    slow, ds = failed(pinned(4.0), kernel)
    assert 20 <= slow <= 4000 / 40
    assert float(ds["sum_exec_runtime"].sum()) > 3900
    fast, _ = failed(pinned(0.04), kernel)
    assert fast > 5 * slow


def test_a_kernel_that_marks_no_pinned_folio_has_none():
    assert failed(pinned(4.0), "linux-7.2")[0] == 0


def test_each_pass_notifies_a_guest_and_its_sender_waits():
    plain, _ = failed(pinned(1.0, "kvm"), "linux-6.1")
    slow, ds = failed(pinned(1.0, "kvm", notify_ns=9 * MS), "linux-6.1")
    assert 0 < slow <= 4000 / (10 + 10 * 9)
    assert plain > slow
    calls = int(ds["notifier_calls"].sel(vma="a", why="migrate"))
    assert calls == 10 * slow


def test_a_calibration_without_failures_takes_them_for_migrations():
    old = {"migrate_page_ns": 5000.0, "migrate_huge_ns": 6e6}
    assert speed_of(old) == dataclasses.replace(
        Speed(), **old, failed_pass_ns=500.0, failed_pass_huge_ns=6e5
    )
    measured = old | {"failed_pass_huge_ns": 4e6}
    assert speed_of(measured).failed_pass_huge_ns == 4e6
