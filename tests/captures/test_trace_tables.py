"""Notifications of a recorded run: their cause, the chunk they belong to, and the counts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from numalab import dataset, schema
from numalab.captures import trace_tables
from numalab.captures.runlog import RunLog
from numalab.model.layout import Mapping, ProcessSetup, Setup
from numalab.workload import Access, Task, Vma, Workload

RAM, DATA = 0x7F0000000000, 0x400000
START_NS = 4_000_000_000
WORKLOAD = Workload(
    name="w",
    duration_ms=1000,
    vmas=(Vma(name="ram", size_mb=1000, subscriber="kvm"),),
    tasks=(
        Task(name="v0", access=(Access(vma="ram"),)),
        Task(name="v1", access=(Access(vma="ram"),)),
    ),
)
VMAS = ["ram", *schema.IMAGE_VMAS]
SETUP = Setup(
    processes=(
        ProcessSetup(
            name="main",
            mappings=(
                Mapping(start=DATA >> 12, pages=16, kind="data", owner="image:data"),
                Mapping(start=RAM >> 12, pages=256_000, kind="anon", owner="ram"),
            ),
            pids=(91, 92),
            runtime_ms=(0.1, 0.1),
            reset_ms=-50.0,
        ),
    ),
)


def _line(tid, ms, event, body):
    us = START_NS // 1000 + round(ms * 1000)
    clock = f"{us // 1_000_000}.{us % 1_000_000:06d}"
    return f"              v{tid - 91}-{tid}      [000] .....     {clock}: {event}: {body}\n"


def _notice(tid, ms, start, pages):
    end = start + pages * 4096
    body = f"mmu notifier unmap range: 0x{start:016x} -- 0x{end:016x}"
    return _line(tid, ms, "kvm_unmap_hva_range", body)


def _chunk(tid, ms, start, pages):
    bounds = f"vm_start=0x{RAM:x} vm_end=0x{RAM + (1000 << 20):x}"
    body = f"(change_prot_numa+0x4/0x100) start=0x{start:x} end=0x{start + pages * 4096:x} {bounds}"
    return _line(tid, ms, "chunk", body)


def _chunk_end(tid, ms, n):
    return _line(
        tid, ms, "chunk_end", f"(task_numa_work+0x3c6/0x910 <- change_prot_numa) n=0x{n:x}"
    )


def _tables(trace, migrations="", workload=WORKLOAD, **more):
    log = {
        "setup": f"process main 90 0\nbalancing 0\nstart {START_NS}\n",
        "trace": "# tracer: nop\n" + trace,
        "migrations": migrations,
        "guests": "ram 100 110 7 130\n",
        **more,
    }
    return trace_tables.scans(RunLog(log), workload, SETUP, VMAS, ["v0", "v1"])


def _rows(tables):
    names = ("ms", "task", "vma", "start", "pages", "why", "chunk")
    return np.column_stack([tables[f"notify_{n}"] for n in names]).tolist()


def test_the_notifications_of_a_scan_belong_to_its_chunk():
    tables = _tables(
        _line(91, 10, "scan", "(task_numa_work+0x4/0x910)")
        + _chunk(91, 11, RAM, 65536)
        + _notice(91, 12, RAM, 65536)
        + _chunk_end(91, 13, 0)
        + _chunk(91, 14, RAM + (65536 << 12), 1024)
        + _notice(91, 15, RAM + (65536 << 12), 512)
        + _notice(91, 16, RAM + (66048 << 12), 512)
        + _chunk_end(91, 17, 5)
    )
    assert _rows(tables) == [
        [12, 0, 0, 0, 65536, 0, 0],
        [15, 0, 0, 65536, 512, 0, 1],
        [16, 0, 0, 66048, 512, 0, 1],
    ]
    assert tables["notifier_calls"][0].tolist() == [3, 0, 0]
    assert tables["notifier_pages"][0].tolist() == [66560, 0, 0]
    assert tables["notifier_wasted_pages"].tolist()[:2] == [65536, 0]  # only where n = 0


def test_a_migration_counts_as_often_as_it_notified_and_comes_in_order():
    us = START_NS // 1000
    page = RAM >> 12
    tables = _tables(
        _notice(92, 30, DATA, 1), f"{us + 20_000} 92 {page + 7} 1 1\n5000 91 -2 512 10\n"
    )
    rows = _rows(tables)
    assert rows[0] == [20, 1, 0, 7, 1, 1, -1]
    assert rows[1:11] == [[25, 0, 0, 5, 512, 1, -1]] * 10
    assert rows[11] == [30, 1, VMAS.index("image:data"), 0, 1, 2, -1]
    assert tables["notifier_calls"][0].tolist() == [0, 11, 0]
    assert tables["notifier_pages"][0].tolist() == [0, 5121, 0]
    assert tables["notifier_calls"][VMAS.index("image:data")].tolist() == [0, 0, 1]
    assert not tables["notifier_wasted_pages"].any()


def test_a_notification_by_another_thread_is_of_no_task():
    rows = _rows(_tables(_notice(40, 1, RAM + 4096, 2)))
    assert rows == [[1, -1, 0, 1, 2, 2, -1]]


def test_what_happens_while_another_thread_scans_is_not_the_scans():
    tables = _tables(
        _line(91, 10, "scan", "(task_numa_work+0x4/0x910)")
        + _chunk(91, 11, RAM, 512)
        + _notice(92, 12, RAM, 1)
        + _chunk_end(91, 13, 0)
    )
    assert tables["notifier_calls"][0].tolist() == [0, 0, 1]


def test_nothing_before_the_start_or_after_the_end_counts():
    tables = _tables(_notice(91, -5, RAM, 1) + _notice(91, 1001, RAM, 1))
    assert _rows(tables) == []
    assert not tables["notifier_calls"].any()


def test_two_guests_of_a_process_hear_each_notification_once_each():
    more = Vma(name="more", size_mb=1, subscriber="kvm")
    workload = dataclasses.replace(WORKLOAD, vmas=(*WORKLOAD.vmas, more))
    us = START_NS // 1000
    tables = _tables(
        _notice(91, 1, RAM, 8) * 2 + _notice(92, 2, RAM, 4) * 2,
        f"{us + 5000} 91 {RAM >> 12} 512 20\n",
        workload,
    )
    assert tables["notifier_calls"][0].tolist() == [0, 10, 2]


def test_a_run_without_a_guest_tells_of_no_notification():
    log = RunLog({"setup": f"start {START_NS}\n", "trace": ""})
    found = trace_tables.scans(log, WORKLOAD, SETUP, VMAS, ["v0", "v1"])
    assert not [name for name in found if name.startswith("notif")]
    assert trace_tables.guests(log, VMAS) == {}


def test_an_event_that_the_kernel_does_not_have_gives_no_zeros():
    tables = _tables("", missing="kvm/kvm_unmap_hva_range/enable")
    assert "notifier_calls" not in tables


def test_kvm_counts_for_each_guest():
    found = trace_tables.guests(RunLog({"guests": "ram 100 110 7 130\n"}), VMAS)
    assert found["refaults"][:2] == [100, 0]
    assert found["remote_flushes"][:2] == [7, 0]
    assert trace_tables.guests(RunLog({"guests": "ram -1 -1 -1 -1\n"}), VMAS) == {}


@pytest.mark.parametrize("rows", [(0, 2), (3, 1)])
def test_tables_of_notifications_are_padded(rows):
    coords = {"time": [0.0], "process": ["main"], "vma": ["a"], "task": ["t"], "node": [0]}
    attrs = {"source": "recorded", "kernel": "k"}
    runs = [dataset.make({"notify_pages": np.arange(n) + 1}, coords, attrs) for n in rows]
    joined = dataset.concat(runs)
    assert joined["notify_pages"].shape == (2, max(rows))
    assert [int((joined["notify_pages"][r] >= 0).sum()) for r in (0, 1)] == list(rows)
