"""The calibration of guests: a made-up boot gives back its costs, a real one gives all fields."""

from __future__ import annotations

import dataclasses

import pytest

from numalab.machine import Machine, Speed
from numalab.record.calibrate_guest import evaluate, experiments, merged
from numalab.record.initramfs import RecordError
from tests.record.kernels import calibrated, section

FIELDS = {
    "vcpu_touch_walk_ns",
    "vcpu_touch_rand_ns",
    "refault_ns",
    "refault_huge_ns",
    "zap_page_ns",
    "zap_huge_ns",
    "notify_ns",
}
AT = 0x7F0000000000
PAGE, HUGE, NOTIFY = 200, 300, 50_000


def _chunk(us: int, took_us: int, pages: int = 4, changed: int = 0) -> str:
    where = f"start=0x{AT:x} end=0x{AT + 4096 * pages:x} vm_start=0x{AT:x} vm_end=0x{AT + 16384:x}"
    begin, end = (f"{t // 10**6}.{t % 10**6:06d}" for t in (us, us + took_us))
    return (
        f"  v0-9 [000] d.... {begin}: chunk: (change_prot_numa+0x0/0x90) {where}\n"
        f"  v0-9 [000] d.... {end}: chunk_end: (task_numa_work+0x1/0x9) "
        f"n=0x{changed:x}\n"
    )


def _run(
    name: str,
    *,
    touch_ns: float = 100,
    vcpus: int = 1,
    zaps: str = "",
    faults: int = 0,
    refault_ns: float = 0,
    trace: str = "",
    pages: int = 4,
) -> str:
    """A run of 3 s; its guest is steady until 1.5 s, then the faults take their share."""
    helper = ["0"] if zaps else []
    rows = ["ns a b"]
    stalled = sum(int(x) for line in zaps.splitlines() for x in line.split()[1:])
    total = int((3e9 - stalled - faults * refault_ns) / touch_ns)
    for k in range(13):
        done = total if k == 12 else int(min(k * 250e6 / touch_ns, total))
        rows.append(" ".join([str(k * 250_000_000), "0 0", *[str(done)] * vcpus, *helper]))
    threads = {
        when: "".join(
            f"v{i} 9 1 {touches if when == 'end' else 0} {ns} 0 1\n"
            for i, touches in enumerate([total] * vcpus)
        )
        + "zapper 10 1 0 5 0 1\n" * bool(zaps)
        for when, ns in (("start", 7_000_000), ("end", 3_007_000_000))
    }
    parts = [
        section("run", name),
        section("setup", "process main 9 1\nbalancing 1000000000\nstart 1000000000\n"),
        section("mappings main", f"ram {AT:x} {AT + 4096 * pages:x}\n"),
        section("samples", "\n".join(rows) + "\n"),
        section("threads start", threads["start"]),
        section("threads end", threads["end"]),
        section("guests", f"ram {faults} {faults} 0 {faults}\n"),
        section("trace", trace),
    ]
    return "".join(parts) + (section("zaps", zaps) if zaps else "")


def _scans(name: str, pages: int, took_ns: int, changed: int = 0) -> str:
    """Three chunks; the guest had no time to map all again before the third."""
    took = took_ns // 1000
    other = _chunk(2_300_000, 7, pages=pages + 1)
    chunks = [
        _chunk(us, us_took, pages, changed)
        for us, us_took in ((1_650_000, took), (2_280_000, took), (2_310_000, 9))
    ]
    return _run(name, pages=pages, trace="".join([*chunks[:2], other, chunks[2]]))


def _boot(notified: str | None = None) -> str:
    return "".join(
        [
            "numalab-guest 1\n",
            _run("walk", touch_ns=250, vcpus=2),
            _run("rand", touch_ns=300, vcpus=2),
            notified or _scans("notified", 4, 8000 + NOTIFY + 4 * PAGE),
            _scans("alone", 4, 8000),
            _scans("notified_page", 8192, 900_000 + NOTIFY + 8192 * PAGE),
            _scans("alone_page", 8192, 900_000),
            _scans("notified_huge", 32768, 40_000 + NOTIFY + 64 * HUGE, changed=32768),
            _scans("alone_huge", 32768, 40_000, changed=32768),
            _run("refault", zaps="1 9000000\n", faults=20_000, refault_ns=55_000),
            _run("refault_huge", zaps="1 300000\n", faults=2000, refault_ns=70_000),
            "@done\n",
        ]
    )


def test_the_costs_behind_a_made_up_boot_come_back() -> None:
    speed = evaluate(_boot())["speed"]
    assert set(speed) == FIELDS
    assert speed["vcpu_touch_walk_ns"] == pytest.approx(250)
    assert speed["vcpu_touch_rand_ns"] == pytest.approx(300)
    assert speed["refault_ns"] == pytest.approx(55_000, rel=1e-3)
    assert speed["refault_huge_ns"] == pytest.approx(70_000, rel=1e-3)
    assert speed["zap_page_ns"] == pytest.approx(PAGE, rel=0.01)
    assert speed["zap_huge_ns"] == pytest.approx(HUGE, rel=0.05)
    assert speed["notify_ns"] == pytest.approx(NOTIFY, rel=0.02)


def test_an_experiment_without_a_result_is_named() -> None:
    with pytest.raises(RecordError, match="gave no notified; record it again"):
        evaluate(_boot(notified=_scans("notified", 4, 58_000, changed=2)))


def test_a_guest_that_stands_still_is_refused() -> None:
    with pytest.raises(RecordError, match="gave no vcpu_touch_walk_ns; record it again"):
        evaluate("numalab-guest 1\n" + _run("walk", touch_ns=1e18) + "@done\n")


def test_merged_keeps_what_was_measured_without_a_guest() -> None:
    names = sorted(field.name for field in dataclasses.fields(Speed))
    before = {
        "speed": {"touch_walk_ns": 33.0},
        "raw": {"touch_walk_ns": [33.0]},
        "assumed": [n for n in names if n != "touch_walk_ns"],
        "clocksource": "tsc",
    }
    after = merged(before, evaluate(_boot()))
    assert Speed(**after["speed"]).touch_walk_ns == 33
    assert Speed(**after["speed"]).vcpu_touch_walk_ns == 250
    assert not FIELDS & set(after["assumed"])
    assert "hint_fault_ns" in after["assumed"]
    assert after["raw"]["touch_walk_ns"] == [33.0]
    assert after["raw"]["guest vcpu_touch_walk_ns"] == [250.0]
    assert after["clocksource"] == "tsc"


def test_the_helper_belongs_to_the_process_of_the_guest() -> None:
    lines = "".join(text for text, _ in experiments(Machine())).splitlines()
    zaps = [i for i, line in enumerate(lines) if line.startswith("zap ")]
    assert len(zaps) == 2
    for i in zaps:
        assert lines[i - 1] == "thread zapper 1"
        assert lines[i + 1] == "go"


@pytest.mark.kernel
@pytest.mark.timeout(500)
def test_a_real_boot_gives_every_field() -> None:
    found = calibrated("6.12", evaluate)
    assert set(found["speed"]) == FIELDS
    speed = Speed(**found["speed"])
    assert speed.refault_ns > speed.vcpu_touch_walk_ns > 0
    assert all(found["raw"].values())
