"""What the probes of a calibration say about the times of scans."""

from math import exp

import pytest

from numalab.captures import scan_times
from numalab.captures.runlog import RunLog
from numalab.machine import Machine, Speed
from numalab.model.layout import Mapping, ProcessSetup, Setup
from numalab.workload import Access, Task, Vma, Workload

REGION = scan_times.REGION_PAGES
BASE = 0x7F0000000000


def _run(*calls, threads=2):
    """A run of calls (event, begin [us], length [us], pages, entries marked), thread 91's."""
    lines = []
    for name, begin, length, pages, marked in calls:
        bounds = f"start=0x{BASE:x} end=0x{BASE + pages * 4096:x}"
        for at, event, body in ((begin, name, bounds), (begin + length, f"{name}_end", "")):
            body = body or f"n=0x{marked:x}"
            clock = f"{1 + at // 1_000_000}.{at % 1_000_000:06d}"
            lines.append((at, f" t-91 [000] ..... {clock}: {event}: (probe) {body}\n"))
    trace = "".join(line for _, line in sorted(lines))
    names = "".join(f"t{i} {91 + i} 0 0 0\n" for i in range(threads))
    return RunLog({"setup": "start 1000000000\n", "trace": trace, "threads start": names})


def test_costs_of_a_call_of_looking_and_of_marking():
    run = _run(
        ("chunk", 0, 7, 4, 0),
        ("chunk", 1000, 900, 4, 4),  # changes something: waits for other CPUs
        ("chunk", 2000, 2 * REGION, REGION, 0),
        ("chunk", 100_000, 5 * REGION, REGION, REGION),
    )
    found = scan_times.scan_costs(run)
    assert found == pytest.approx(
        {"scan_call_ns": 7000, "scan_page_ns": 2000, "pte_update_ns": 3000}
    )


def test_costs_that_nothing_measured_are_left_out():
    assert scan_times.scan_costs(_run()) == {}
    assert scan_times.scan_spread([_run()]) == {}
    assert scan_times.first_scan(_run()) == {}


def test_small_calls_that_mark_something_wait_for_a_flush():
    calls = (
        ("chunk", 0, 50, 4, 4),
        ("chunk", 100, 2000, 8, 1),
        ("chunk", 3000, 4000, 8, 1),
        ("chunk", 8000, 5000, 4, 0),  # nothing to flush
        ("chunk", 14000, 5000, 512, 512),  # long for its own work
    )
    waits = scan_times.flush_waits(_run(*calls))
    assert waits == pytest.approx([50e3, 2000e3, 4000e3])
    assert scan_times.flush_waits(_run(*calls, threads=1)) == []
    late = scan_times.late_flushes(waits)
    assert late == pytest.approx({"late_flush_share": 2 / 3, "late_flush_ns": 3000e3})
    assert scan_times.late_flushes(waits[:1]) == {}


def test_the_spread_is_that_of_whole_regions():
    times = [round(1000 * exp(z)) for z in (-0.6745, -0.6745, 0.6745, 0.6745)]
    calls = [("chunk", 10_000 * i, t, REGION, REGION) for i, t in enumerate(times)]
    found = scan_times.scan_spread([_run(*calls[:2]), _run(*calls[2:])])
    assert found["scan_spread"] == pytest.approx(1.0, rel=1e-2)


def test_the_first_scan_of_a_boot_takes_longer():
    calls = []
    for i, extra in enumerate((500, 30, 20, 40)):
        calls.append(("scan", 10_000 * i, 1000 + extra, 1, 0))
        calls.append(("chunk", 10_000 * i + 5, 1000, 512, 0))
    assert scan_times.first_scan(_run(*calls)) == pytest.approx({"first_scan_ns": 470e3})


def test_chunks_of_whole_mappings_that_changed_all_or_nothing():
    run = _run(("chunk", 0, 10, 8, 8), ("chunk", 100, 20, 8, 3), ("chunk", 200, 30, 8, 0))
    run["mappings main"] = f"ram {BASE:x} {BASE + 8 * 4096:x}\n"
    found = scan_times.chunk_times(run, "ram")
    assert found == [pytest.approx((0, 10e3)), pytest.approx((0.2, 30e3))]
    assert scan_times.chunk_times(run, "other") == []


SPEED = Speed(scan_call_ns=0, scan_page_ns=50, pte_update_ns=200, first_scan_ns=1e6)
SETUP = Setup(
    processes=(
        ProcessSetup(
            name="main",
            mappings=(Mapping(start=BASE // 4096, pages=8192, kind="anon", owner="a"),),
            pids=(91, 92),
            runtime_ms=(0.0, 0.0),
            reset_ms=-1.0,
        ),
    )
)


def _workload(cpu=1, thp=False, populated=1.0, subscriber="none"):
    vma = Vma(name="a", size_mb=32, thp=thp, populated=populated, subscriber=subscriber)
    access = (Access(vma="a"),)
    tasks = (Task(name="t", cpu=0, access=access), Task(name="u", cpu=cpu, access=access))
    return Workload(name="w", machine=Machine(speed=SPEED), vmas=(vma,), tasks=tasks)


def _scans(*lengths_ms, pages=8192):
    """Scans of thread 91 that look at the whole mapping and mark half of it."""
    return _run(
        *(
            ("scan", 500_000 * (i + 1), round(ms * 1000) + 2, 1, 0)
            for i, ms in enumerate(lengths_ms)
        ),
        *(
            ("chunk", 500_000 * (i + 1) + 1, round(ms * 1000), pages, pages // 2)
            for i, ms in enumerate(lengths_ms)
        ),
    )


def test_how_much_longer_scans_took_than_the_calibration_says():
    """8192 looks of 50 ns and 4096 marks of 200 ns are 1.2288 ms; the boot's first is left out."""
    found = scan_times.scan_factors(_scans(9, 2.4576, 12.288), SETUP, _workload())
    assert found == pytest.approx([2, 10], rel=0.01)
    absent = scan_times.scan_factors(_scans(9, 1.0240), SETUP, _workload(populated=0.5))
    assert absent == pytest.approx([1], rel=0.01), "half of the pages are there, all are marked"


@pytest.mark.parametrize("given", [{"cpu": 0}, {"cpu": -1}, {"thp": True}, {"subscriber": "gpu"}])
def test_scans_that_say_nothing_of_the_host_are_left_out(given):
    """Of tasks that share a CPU, of huge folios that take no time, of memory that notifies."""
    assert scan_times.scan_factors(_scans(2, 2), SETUP, _workload(**given)) == ()


def test_short_scans_say_nothing():
    assert scan_times.scan_factors(_scans(2, 2, pages=512), SETUP, _workload()) == ()
