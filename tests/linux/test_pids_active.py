"""How a VMA remembers pids: two windows, one window, four slots with and without the defect."""

import pytest

from numalab import policy
from numalab.linux.pids_active import (
    keeps_state,
    pid_reset,
    vma_pid_active,
    vma_set_access_pid_bit,
)
from tests.linux.parts import kernel, mm, tasks, vma


def remembered(name, pids, reader, huge=False, **state):
    k, v = kernel(name), vma(numab_state=1, **state)
    for pid in pids:
        vma_set_access_pid_bit(k, v, tasks(pid=pid)[0], huge)
    return bool(vma_pid_active(k, v, tasks(pid=reader)[0])), v


def slots(v):
    return [int(v.pids_active0) >> (8 * i) & 0xFF for i in range(4)]


@pytest.mark.parametrize("name", ["rfc-v2", "linux-6.4", "linux-6.12"])
def test_a_window_knows_who_faulted_and_nobody_else(name):
    assert remembered(name, [100], 100)[0]
    assert not remembered(name, [100], 101)[0]
    assert not remembered(name, [], 100)[0]


def test_rfc_v2_takes_the_pid_modulo_64_and_later_kernels_hash_it():
    assert remembered("rfc-v2", [100], 164)[0]
    assert not remembered("linux-6.4", [100], 164)[0]


def test_rfc_v1_as_intended_fills_four_slots_in_turn():
    _, v = remembered("rfc-v1-as-intended", [1, 2, 3, 4, 5, 5, 1], 9)
    assert slots(v) == [5, 1, 3, 4]


def test_rfc_v1_never_fills_slot_0_and_loses_each_fourth_write():
    """kernel.md 1.4: slots are written 1, 2, 3, then 4, whose byte is shifted out."""
    assert slots(remembered("rfc-v1", [1, 2, 3], 9)[1]) == [0, 1, 2, 3]
    assert slots(remembered("rfc-v1", [1, 2, 3, 4], 9)[1]) == [0, 1, 2, 3]
    assert slots(remembered("rfc-v1", [1, 2, 3, 4, 5], 9)[1]) == [0, 5, 2, 3]


def test_the_reader_of_rfc_v1_stops_at_the_empty_slot_0():
    assert not remembered("rfc-v1", [1, 2, 3], 2)[0]
    assert remembered("rfc-v1", [1, 2, 3], 256)[0], "pid mod 256 = 0 matches the empty slot"


def test_four_full_slots_without_a_match_allow():
    assert not remembered("rfc-v1-as-intended", [1, 2, 3], 9)[0]
    assert remembered("rfc-v1-as-intended", [1, 2, 3, 4], 9)[0]


def test_rfc_v1_missed_the_huge_fault_path():
    assert not remembered("rfc-v1-as-intended", [7], 7, huge=True)[0]
    assert remembered("rfc-v1-as-intended", [7], 7)[0]
    assert remembered("rfc-v2", [7], 7, huge=True)[0]


def test_one_window_is_wiped_by_a_reset_and_two_windows_need_two():
    for name, resets in (("rfc-v2", 1), ("linux-6.4", 2)):
        k = kernel(name)
        _, v = remembered(name, [100], 100)
        p = tasks(pid=100)[0]
        for i in range(resets):
            assert vma_pid_active(k, v, p), (name, i)
            pid_reset(k, mm(numa_scan_seq=1), v, 10**9)
        assert not vma_pid_active(k, v, p), name


def test_slots_are_never_reset_and_keep_no_state():
    k = kernel("rfc-v1-as-intended")
    _, v = remembered("rfc-v1-as-intended", [100], 100)
    pid_reset(k, mm(numa_scan_seq=1), v, 10**9)
    assert slots(v)[0] == 100
    assert not keeps_state(k)


@pytest.mark.parametrize("name", policy.NAMES)
def test_state_is_kept_by_whoever_needs_it(name):
    assert keeps_state(kernel(name)) == (name not in ("linux-6.1", "rfc-v1", "rfc-v1-as-intended"))
