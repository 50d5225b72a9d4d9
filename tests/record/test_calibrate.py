"""The calibration: a made-up boot gives back its costs, a real one gives all fields."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from numalab.machine import Machine, Speed
from numalab.record.calibrate import evaluate, pooled
from numalab.record.experiments import calibration_program
from numalab.record.initramfs import RecordError
from tests.record.kernels import calibrated, section

ROOT = Path(__file__).parents[2]


def _run(name: str, *, touch_ns: float = 50, busy: float = 1.0, **sections: str) -> str:
    """A run of 1.5 s with two threads that have a CPU for a share of the time."""
    rows = ["ns numa_hint_faults numa_pages_migrated"]
    for k in range(7):
        ns = k * 250_000_000
        done = int(ns / touch_ns)
        rows.append(f"{ns} {k * 100} {k * 100} 0 {done} {done}")
    threads = {
        when: "".join(f"t{cpu} {9 + cpu} 1 {touches} {ns} 0 1\n" for cpu in range(2))
        for when, touches, ns in (("start", 0, 5), ("end", done, 5 + int(1.5e9 * busy)))
    }
    parts = {
        "run": name,
        "setup": "process main 9 1\nbalancing 1000000000\nstart 1000000000\n",
        "samples": "\n".join(rows) + "\n",
        "threads start": threads["start"],
        "threads end": threads["end"],
        "trace": "",
        "clocksource": "tsc\n",
    }
    return "".join(section(key, text) for key, text in (parts | sections).items())


def _latency(slow: int, slow_ns: int, usual_ns: int = 100) -> str:
    """Ten thousand timed touches of which some took long."""
    rows = [f"{rank} {slow_ns if rank < slow else usual_ns}" for rank in range(0, 10_000, 50)]
    return "\n".join(["10000 10000", *rows]) + "\n"


def _boot(**walk: float) -> str:
    return "".join(
        [
            "numalab-guest 1\n",
            _run("walk", **walk),
            _run("rand", touch_ns=80),
            _run("scan"),
            _run("hint", latency=_latency(600, 3100)),
            _run("migrate", latency=_latency(600, 8100)),
            "@done\n",
        ]
    )


def test_the_costs_behind_a_made_up_boot_come_back() -> None:
    found = evaluate(_boot(busy=0.75))
    speed = found["speed"]
    assert speed["touch_walk_ns"] == pytest.approx(50)
    assert speed["touch_rand_ns"] == pytest.approx(80)
    assert speed["hint_fault_ns"] == 3000
    assert speed["migrate_page_ns"] == 8000 - 3000
    assert speed["lost_share"] == pytest.approx(0.125)
    assert found["raw"]["lost_share"] == [0.25, 0]
    assert found["clocksource"] == "tsc"


def test_what_was_not_measured_is_assumed() -> None:
    found = evaluate(_boot())
    defaults = dataclasses.asdict(Speed())
    assert {"pte_update_ns", "first_touch_ns"} <= set(found["assumed"])
    assert all(found["speed"][name] == defaults[name] for name in found["assumed"])
    assert not set(found["assumed"]) & set(found["raw"])


def test_calibrations_before_and_after_are_one() -> None:
    """Of each field the median of those that measured it; with two, the mean."""
    before, after = evaluate(_boot(touch_ns=50)), evaluate(_boot(touch_ns=70))
    after["assumed"].remove("pte_update_ns")
    after["speed"]["pte_update_ns"] = 222.0
    found = pooled([before, after])
    assert found["speed"]["touch_walk_ns"] == 60
    assert found["speed"]["pte_update_ns"] == 222.0
    assert "pte_update_ns" not in found["assumed"]
    assert "first_touch_ns" in found["assumed"]
    assert found["raw"]["touch_walk_ns"] == [50, 70]
    assert found["clocksource"] == "tsc"
    assert pooled([before])["speed"] == pytest.approx(before["speed"], rel=1e-3)


def test_an_experiment_without_a_result_is_named() -> None:
    with pytest.raises(RecordError, match="gave no touch_walk_ns; record it again"):
        evaluate(_boot(touch_ns=1e19))


def test_touches_are_timed_every_page_or_every_folio() -> None:
    lines = calibration_program(Machine(), repeats=1).splitlines()
    runs = [line.split()[1] for line in lines if line.startswith("run ")]
    accesses = [line.split() for line in lines if line.startswith("access ")]
    timed = ["first", "first_huge", "hint", "hint_huge", "migrate", "migrate_huge", "fail_huge"]
    assert runs[-7:] == timed
    assert [words[4] for words in accesses[-7:]] == ["3"] * 7
    assert [words[7] for words in accesses[-7:]] == [*["1", "512"] * 3, "512"]


def test_a_failed_migration_of_a_pinned_folio_is_ten_passes() -> None:
    """Of the slow touches 200 are failures (102 400 pages): the slowest."""
    slow, usual = _latency(200, 40_002_100).splitlines(), _latency(600, 2100).splitlines()
    latency = "\n".join([*slow[:5], *usual[5:]]) + "\n"
    samples = "ns numa_hint_faults pgmigrate_fail\n" + f"1000000000 600 {200 * 512} 0 9 9\n" * 2
    more = _run("hint_huge", latency=_latency(600, 2100))
    more += _run("fail_huge", latency=latency, samples=samples)
    found = evaluate(_boot().replace("@done\n", f"{more}@done\n"))
    assert found["speed"]["hint_fault_huge_ns"] == 2000
    assert found["raw"]["failed_pass_huge_ns"] == [40_000_000]
    assert found["speed"]["failed_pass_huge_ns"] == pytest.approx((40_000_000 - 2000) / 10)


def test_a_machine_of_one_node_has_no_migrations() -> None:
    program = calibration_program(Machine(nodes=1), repeats=1)
    assert "run hint " in program
    assert "run migrate " not in program


@pytest.mark.kernel
@pytest.mark.timeout(500)
def test_a_real_boot_gives_every_field() -> None:
    found = calibrated("7.2", evaluate)
    measured = {field.name for field in dataclasses.fields(Speed)} - set(found["assumed"])
    assert {"touch_walk_ns", "hint_fault_ns", "scan_page_ns"} <= measured  # on a busy host too
    speed = Speed(**found["speed"])
    assert speed.hint_fault_ns > speed.touch_walk_ns > 0


def test_migrations_were_measured_on_every_recorded_kernel() -> None:
    """A boot on a busy host may see too few of them, and says that the cost is assumed."""
    found = sorted((ROOT / "data" / "captures").glob("*/*/calibration.json"))
    assert found
    for path in found:
        calibration = json.loads(path.read_text(encoding="utf-8"))
        assert "migrate_page_ns" not in calibration["assumed"], path
        assert calibration["speed"]["migrate_page_ns"] > 0
