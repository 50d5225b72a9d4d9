"""One drawn VMA as both sides hold it, with what it remembers of scans and pids."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from numalab import vma as vmas
from numalab.model.inputs import mapping_flags
from numalab.vma import Vma
from numalab.workload import TASK_POLICIES
from tests.linux import parts
from tests.second_opinion.objects import Mapped, NumabState
from tests.second_opinion.states import jiffies

VMA_FIELDS = ("next_scan", "pids_active_reset", "start_scan_seq", "prev_scan_seq")


def unsigned(bits: Any) -> int:
    """A mask that the engine holds as a signed number."""
    return int(bits) & ((1 << 64) - 1)


class Sides(tuple):
    """A VMA on both sides, and the memory policy of the task that comes to it."""

    task_policy = "default"

    def __repr__(self) -> str:
        """Short: numpy's would fill pages."""
        return f"<{self[0].kind}, {self[0].mempolicy}, of tasks {self.task_policy}>"


@st.composite
def mappings(
    draw: Any,
    kinds: tuple[str, ...] = ("anon",),
    mempolicies: tuple[str, ...] = vmas.POLICIES,
    task_policies: tuple[str, ...] = TASK_POLICIES,
) -> Sides:
    """A VMA without its scan state."""
    kind = draw(st.sampled_from(kinds))
    own = kind in vmas.KINDS
    mempolicy = draw(st.sampled_from(mempolicies)) if own else "default"
    task_policy = draw(st.sampled_from(task_policies))
    start, pages = draw(st.integers(1, 1 << 21)), draw(st.integers(1, 1 << 12))
    found = Sides(sides(kind, mempolicy, task_policy, start, pages))
    found.task_policy = task_policy
    return found


def sides(
    kind: str, mempolicy: str, task_policy: str, start: int = 1, pages: int = 512
) -> tuple[Mapped, Any]:
    """A VMA as each side holds it; the engine notes in it what a task's policy says of it."""
    ref = Mapped(vm_start=start, vm_end=start + pages, kind=kind, owner="v", mempolicy=mempolicy)
    own = kind in vmas.KINDS
    spec = Vma(name="v", size_mb=2, kind=kind, policy=mempolicy) if own else None
    flags = mapping_flags(kind, spec, task_policy=task_policy)
    return ref, parts.vma(vm_start=start, vm_end=start + pages, vm_flags=flags)


@st.composite
def scan_states(draw: Any) -> dict[str, Any]:
    """All that a VMA may remember; whether it does is drawn too."""
    values = {name: draw(jiffies) for name in VMA_FIELDS[:2]}
    values |= {name: draw(st.integers(-1, 4)) for name in VMA_FIELDS[2:]}
    return {
        "values": values,
        "there": draw(st.booleans()),
        "windows": [draw(st.integers(0, (1 << 64) - 1)) for _ in (0, 1)],
        "slots": [draw(st.integers(0, 255)) for _ in range(4)],
        "next": draw(st.integers(0, 3)),
    }


def give_state(found: dict[str, Any], ref: Mapped, record: Any, slots: bool) -> None:
    """Give a VMA its state on both sides: pids in windows, or in RFC v1's slots."""
    if slots:
        ref.accessing_pids, ref.next_pid_slot = list(found["slots"]), found["next"]
        packed = sum(pid << (8 * i) for i, pid in enumerate(ref.accessing_pids))
        parts.fill(record, pids_active0=packed, next_pid_slot=ref.next_pid_slot)
    elif found["there"]:
        values, windows = found["values"], list(found["windows"])
        ref.numab_state = NumabState(**values, pids_active=windows)
        signed = [int(np.uint64(window).astype(np.int64)) for window in windows]
        parts.fill(record, **values, numab_state=1, pids_active0=signed[0], pids_active1=signed[1])


def same_state(ref: Mapped, record: Any, slots: bool) -> None:
    """Assert that a VMA's scan state is the same on both sides."""
    if slots:
        found = [unsigned(record.pids_active0) >> (8 * i) & 0xFF for i in range(4)]
        assert (found, int(record.next_pid_slot)) == (ref.accessing_pids, ref.next_pid_slot)
        return
    assert bool(record.numab_state) == (ref.numab_state is not None)
    if ref.numab_state is None:
        return
    for name in VMA_FIELDS:
        assert int(record[name]) == getattr(ref.numab_state, name), name
    found = [unsigned(record.pids_active0), unsigned(record.pids_active1)]
    assert found == ref.numab_state.pids_active
