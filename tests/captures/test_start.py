"""The address space of a recorded process: what belongs to the program, a stack, a churn."""

from __future__ import annotations

import math

import pytest

from numalab.captures.runlog import RunLog
from numalab.captures.start import AddressSpace, regions, setup
from numalab.workload import Churn, Process, Task, Workload

MB = 1 << 20
STACK, CHURN = 0x7F0000001000, 0x7E0000001000
WORKLOAD = Workload(
    name="w",
    processes=(Process(name="main", stack_kb=8192),),
    tasks=(Task(name="m", waits=True), Task(name="t")),
    churns=(Churn(name="c", size_mb=8, lifetime_ms=100),),
)


def _maps(image: str, *anonymous: int) -> str:
    lines = [
        f"00400000-00401000 r-xp 00000000 00:03 12 {image}",
        f"00402000-00403000 rw-p 00002000 00:03 12 {image}",
        "00403000-00405000 rw-p 00000000 00:00 0 ",
    ]
    for at in anonymous:
        lines.append(f"{at - 4096:x}-{at:x} ---p 00000000 00:00 0 ")
        lines.append(f"{at:x}-{at + 8 * MB:x} rw-p 00000000 00:00 0 ")
    return "\n".join([*lines, ""])


def _log(image: str) -> RunLog:
    thread = "{} {} 5 0 1000 0 0"
    return RunLog(
        {
            "setup": "process main 90 0\nbalancing 3\nstart 10000\n",
            "mappings main": "",
            "maps main start": _maps(image, STACK),
            "maps main end": _maps(image, CHURN, STACK),
            "numa_maps main start": "",
            "numa_maps main end": f"{STACK:x} default anon=2 N0=2 kernelpagesize_kB=4\n",
            "threads start": "\n".join(
                thread.format(name, 90 + i) for i, name in enumerate(("m", "t", "c"))
            ),
        }
    )


@pytest.mark.parametrize("image", ["/init", "/foreign"])
def test_the_image_is_that_of_either_program(image: str) -> None:
    found = regions(_log(image), "main", "start", WORKLOAD)
    assert [r.kind for r in found] == ["text", "file-data", "data", "guard", "thread-stack"]


def test_a_churn_as_large_as_a_stack_is_a_churn_and_the_stack_a_stack() -> None:
    found = {r.start: r for r in regions(_log("/init"), "main", "end", WORKLOAD)}
    assert found[STACK].pages == found[CHURN].pages == 2048
    assert found[STACK].label == "image:thread-stacks"
    assert found[CHURN].label == "c"


def test_chunks_of_both_are_told_apart_in_the_trace() -> None:
    space = AddressSpace(setup(_log("/init"), WORKLOAD).of("main"), WORKLOAD)
    for at, label in ((STACK, "image:thread-stacks"), (CHURN, "c")):
        assert space.locate(at + 4096, at, at + 8 * MB) == (label, 1)


SCAN = "            init-{}      [{:03}] .....     {:.6f}: scan: (task_numa_work+0x4/0x910)\n"
CHUNK = (
    "            init-90      [001] .....     {:.6f}: chunk: (change_prot_numa) "
    "start=0x{at:x} end=0x{end:x} vm_start=0x{at:x} vm_end=0x{end:x}\n"
)


@pytest.mark.parametrize(
    ("scans", "cpu", "ms"),
    [
        ([], -1, None),
        ([(90, 1, 3e-6)], 1, -7e-3),
        ([(90, 1, 3e-6), (90, 0, 4e-6)], 0, -6e-3),
        ([(90, 1, 3e-6), (90, 0, 11e-6)], 1, -7e-3),
        ([(91, 1, 3e-6)], -1, math.inf),
    ],
    ids=["none", "one", "the last", "not after the start", "of another"],
)
def test_a_main_thread_that_scanned_alone_did_so_on_a_cpu(scans, cpu, ms) -> None:
    """The run starts at 10 us. Without a trace nothing is known."""
    log = _log("/init")
    walk = CHUNK.format(4e-6, at=0x403000, end=0x405000)
    log["trace"] = "".join([SCAN.format(*scan) for scan in scans] + [walk] * bool(scans))
    found = setup(log, WORKLOAD).of("main")
    assert found.alone_cpu == cpu
    assert found.alone_ms == (ms if ms is None else pytest.approx(ms))
    assert not found.alone_stack
    for probe in ("task_numa_work", "change_prot_numa"):
        log["missing"] = f"p:numalab/x {probe}"
        assert setup(log, WORKLOAD).of("main").alone_ms is None


def test_work_that_walked_nothing_was_no_scan() -> None:
    """The clone had put the next scan off after the tick had queued the work."""
    log = _log("/init")
    log["trace"] = SCAN.format(90, 1, 3e-6) + CHUNK.format(12e-6, at=STACK, end=STACK + 8 * MB)
    assert setup(log, WORKLOAD).of("main").alone_ms == math.inf


@pytest.mark.parametrize(("at", "there"), [(STACK, True), (0x403000, False)])
def test_a_scan_before_the_first_clone_may_find_the_stack_of_the_first_thread(at, there) -> None:
    log = _log("/init")
    log["trace"] = SCAN.format(90, 1, 3e-6) + CHUNK.format(4e-6, at=at, end=at + 8 * MB)
    assert setup(log, WORKLOAD).of("main").alone_stack == there
