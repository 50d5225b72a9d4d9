"""Scan period: its bounds against the kernel's table, its branches against fair.c."""

import pytest

from numalab.linux.fair_period import (
    task_nr_scan_windows,
    task_scan_max,
    task_scan_min,
    task_scan_start,
    update_scan_period,
    update_task_scan_period,
)
from tests.linux.parts import kernel, mm, no_groups, tasks, world

GIB = 1 << 18
TABLE = [
    # RSS in GiB, windows, smin ms, smax ms
    (0.25, 1, 1000, 60000),
    (1, 4, 250, 15000),
    (2.5, 10, 100, 6000),
    (8, 32, 100, 1875),
    (32, 128, 100, 468),
    (64, 256, 100, 234),
    (128, 512, 100, 117),
    (150, 600, 100, 100),
    (1024, 4096, 100, 100),
]


@pytest.mark.parametrize(("gib", "windows", "smin", "smax"), TABLE)
@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
def test_bounds_of_the_period_by_resident_set(name, gib, windows, smin, smax):
    k, address_space, p = kernel(name), mm(rss=int(gib * GIB)), tasks()[0]
    assert task_nr_scan_windows(k, address_space) == windows
    assert task_scan_min(k, address_space) == smin
    assert task_scan_start(k, address_space, p, *no_groups()) == smin
    assert task_scan_max(k, address_space, p, *no_groups()) == smax


@pytest.mark.parametrize(
    ("rss", "windows"), [(0, 1), (1, 1), (65536, 1), (65537, 2), (131072, 2), (131073, 3)]
)
def test_windows_round_up_and_an_empty_set_counts_as_one(rss, windows):
    assert task_nr_scan_windows(kernel(), mm(rss=rss)) == windows


@pytest.mark.parametrize(
    ("size_mb", "rss_mb", "windows"), [(67, 72, 1), (67, 128, 1), (67, 144, 3), (100, 512, 5)]
)
def test_windows_round_up_by_a_macro_for_powers_of_two(size_mb, rss_mb, windows):
    """fidelity.md 2.5: 72 MB are one window of 67 MB: ((72 - 1) | (67 - 1)) + 1 = 72, in MB."""
    k, pages = kernel(scan_size_mb=size_mb), rss_mb << 8
    assert task_nr_scan_windows(k, mm(rss=pages)) == windows


@pytest.mark.parametrize(
    ("size", "floor"), [(1, 0), (64, 25), (256, 100), (1000, 500), (1281, 1000), (2560, 1000),
                        (4096, 1000)]
)  # fmt: skip
def test_the_floor_follows_the_scan_size(size, floor):
    k = kernel(scan_size_mb=size, scan_period_min_ms=1)
    assert task_scan_min(k, mm(rss=1 << 40)) == floor


def test_a_group_stretches_start_and_end_by_its_shared_faults():
    k, address_space = kernel(), mm(rss=65536)
    groups, faults = no_groups(2)
    groups[1].refcount = 4
    faults[1, 0, 0, 0], faults[1, 0, 1, 0] = 20, 10
    faults[1, 0, 0, 1] = 10
    p = tasks(numa_group=1)[0]
    assert task_scan_start(k, address_space, p, groups, faults) == 4000 * 31 // 41
    assert task_scan_max(k, address_space, p, groups, faults) == 240_000 * 31 // 41
    faults[1, 0] = [[0, 50], [0, 50]]
    assert task_scan_start(k, address_space, p, groups, faults) == 1000
    assert task_scan_max(k, address_space, p, groups, faults) == 60000


def adapt(period, remote, local, failed, shared, private, rss=65536, period_max=60000):
    address_space = mm(rss=rss, numa_next_scan=77)
    p = tasks(
        numa_scan_period=period, numa_scan_period_max=period_max, locality_remote=remote,
        locality_local=local, locality_failed=failed,
    )[0]  # fmt: skip
    update_task_scan_period(world(address_space=address_space, now=1000), p, shared, private)
    left = (int(p.locality_remote), int(p.locality_local), int(p.locality_failed))
    return int(p.numa_scan_period), left, int(address_space.numa_next_scan)


@pytest.mark.parametrize(
    ("remote", "local", "failed", "shared", "private"),
    [(50, 0, 0, 0, 50), (0, 0, 0, 0, 0), (10, 90, 1, 0, 100), (10, 90, 512, 50, 50)],
)
def test_no_useful_fault_or_a_failed_migration_doubles_and_keeps_the_counts(
    remote, local, failed, shared, private
):
    period, left, next_scan = adapt(1000, remote, local, failed, shared, private)
    assert period == 2000
    assert left == (remote, local, failed)
    assert next_scan == 1000 + 500


def test_doubling_stops_at_the_task_s_own_maximum():
    assert adapt(1000, 1, 0, 0, 0, 1, period_max=1500)[0] == 1500
    assert adapt(60000, 1, 0, 0, 0, 1) == (60000, (1, 0, 0), 1000 + 15000)


@pytest.mark.parametrize(
    ("period", "local", "private", "expected"),
    [  # of 100 faults each
        (1000, 0, 70, 1100),  # ps 7: at least one slot
        (1000, 100, 79, 1100),
        (1000, 0, 80, 1100),  # ps 8: one slot
        (1000, 0, 90, 1200),
        (1000, 0, 99, 1200),
        (1001, 0, 90, 1203),  # slot = ceil(1001 / 10)
        (1000, 70, 69, 1100),  # lr 7
        (1000, 90, 50, 1200),
        (1000, 99, 0, 1200),
        (2000, 30, 69, 1800),  # the larger of 3 and 6: one slot down
        (2000, 60, 20, 1800),
        (2000, 40, 30, 1400),
        (2000, 1, 1, 1000),  # seven slots down, but not below the minimum
        (1500, 50, 50, 1200),
    ],
)
def test_the_period_moves_by_slots_and_the_counts_are_cleared(period, local, private, expected):
    found = adapt(period, 100 - local, local, 0, 100 - private, private)
    assert found == (expected, (0, 0, 0), 77)


def test_all_private_faults_slow_by_three_slots():
    assert adapt(1000, 0, 100, 0, 0, 100)[0] == 1300


def test_the_period_is_clamped_to_the_present_maximum():
    assert adapt(1800, 0, 100, 0, 0, 100, rss=8 * GIB)[0] == 1875
    assert adapt(5000, 0, 100, 0, 0, 100, rss=150 * GIB)[0] == 100


def move(src, dst, **values):
    p = tasks(numa_scan_period=7000, **values)[0]
    update_scan_period(world(address_space=mm(rss=65536)), p, src, dst)
    return int(p.numa_scan_period)


def test_a_move_to_another_node_restarts_the_period_unless_it_helps():
    had = {"has_faults": 1}
    assert move(0, 1, numa_scan_seq=3) == 7000, "no fault so far"
    assert move(0, 0, **had) == 7000, "same node"
    assert move(0, 1, **had) == 1000, "before the first pass"
    assert move(0, 1, **had, numa_preferred_nid=1) == 1000, "before the first pass"
    assert move(0, 1, **had, numa_scan_seq=3) == 1000, "no preferred node"
    assert move(0, 1, **had, numa_scan_seq=3, numa_preferred_nid=1) == 7000, "to it"
    assert move(0, 1, **had, numa_scan_seq=3, numa_preferred_nid=0) == 1000, "away from it"
    assert move(1, 2, **had, numa_scan_seq=3, numa_preferred_nid=0) == 7000, "neither"
    assert move(0, 1, numa_scan_seq=3, has_faults=1) == 1000, "a fault not yet placed"
