"""Which tasks touch a VMA: how each kernel and each proposal remembers pids.

Filled by hint faults (``vma_set_access_pid_bit``), read and aged by the scanner.
"""

from __future__ import annotations

import numpy as np

from numalab.jit import jitted
from numalab.linux.structs import pid_bucket
from numalab.units import msecs_to_jiffies

TWO_WINDOWS, ONE_WINDOW, FOUR_SLOTS, FOUR_SLOTS_DEFECT = 1, 2, 3, 4
"""``sched_numa.pid_filter``: v6.4 and later; RFC v2; RFC v1 as intended; RFC v1 as posted.
0 is no filter."""


@jitted
def keeps_state(k):
    """Say whether a kernel allocates ``numab_state`` for a VMA that the scanner reaches.

    RFC v1 (message-id 67bf778d592c39d02444825c416c2ed11d2ef4b2.1673610485.git.
    raghavendra.kt@amd.com) keeps its slots in the VMA itself.
    """
    windows = k.pid_filter == TWO_WINDOWS or k.pid_filter == ONE_WINDOW
    return bool(k.vma_scan_delay or windows or k.seq_completed)


@jitted
def _pid_bit(k, pid):
    bucket = pid % 64 if k.pid_filter == ONE_WINDOW else pid_bucket(pid)
    return np.int64(1) << bucket


@jitted
def _remember_slot(k, vma, pid):
    low = pid & 0xFF
    for slot in range(4):
        if (vma.pids_active0 >> (8 * slot)) & 0xFF == low:
            return
    if k.pid_filter == FOUR_SLOTS:
        slot = vma.next_pid_slot
        vma.next_pid_slot = (slot + 1) % 4
    else:
        slot = vma.next_pid_slot + 1
        vma.next_pid_slot = slot % 4
    if slot < 4:
        keep = ~(np.int64(0xFF) << (8 * slot))
        vma.pids_active0 = (vma.pids_active0 & keep) | (np.int64(low) << (8 * slot))


@jitted
def vma_set_access_pid_bit(k, vma, p, huge):
    """Remember that a task hint-faulted in a VMA.

    Mirrors vma_set_access_pid_bit(), include/linux/mm.h, v6.4 to v7.2; and what RFC v1
    did in do_numa_page(): four slots of 8 bits, not for huge PMDs. As posted, V1 advanced
    the slot before it wrote, so that slot 0 stayed empty and the fourth write was shifted
    out of the word.
    """
    if k.pid_filter == TWO_WINDOWS or k.pid_filter == ONE_WINDOW:
        if vma.numab_state:
            vma.pids_active1 |= _pid_bit(k, p.pid)
    elif k.pid_filter and not huge:
        _remember_slot(k, vma, p.pid)


@jitted
def vma_pid_active(k, vma, p):
    """Say whether the history of a VMA lets a task scan it.

    RFC v1 walked its slots: the task's own allows, the first empty one denies, and four
    full ones without a match allow.
    """
    if k.pid_filter == TWO_WINDOWS or k.pid_filter == ONE_WINDOW:
        return (vma.pids_active0 | vma.pids_active1) & _pid_bit(k, p.pid) != 0
    for slot in range(4):
        found = (vma.pids_active0 >> (8 * slot)) & 0xFF
        if found == p.pid & 0xFF:
            return True
        if found == 0:
            return False
    return True


@jitted
def pid_reset(k, mm, vma, jiffies):
    """Age the history of a VMA, one window a visit, four scan delays after the last time."""
    if k.pid_filter != TWO_WINDOWS and k.pid_filter != ONE_WINDOW:
        return
    if mm.numa_scan_seq != 0 and jiffies > vma.pids_active_reset:
        vma.pids_active_reset += msecs_to_jiffies(4 * k.scan_delay_ms, k.hz)
        vma.pids_active0 = vma.pids_active1 if k.pid_filter == TWO_WINDOWS else 0
        vma.pids_active1 = 0
