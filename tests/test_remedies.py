"""What each remedy does to a guest whose memory is pinned, on two bases."""

from __future__ import annotations

import dataclasses

import pytest
import xarray as xr

from numalab import measures, remedies, stats, sweep
from numalab.catalog.guests import gpu_process, guest
from numalab.costs import read, time_of
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.machine import Machine
from numalab.policy import get
from numalab.vma import Vma
from numalab.workload import Access, Task, Workload

GUEST = Workload(
    name="guest",
    duration_ms=8000,
    machine=Machine(memory_mb=1024),
    vmas=(Vma(name="ram", size_mb=64, pinned_fraction=0.5, subscriber="kvm"),),
    tasks=tuple(Task(name=f"v{i}", cpu=i, access=(Access(vma="ram"),)) for i in range(2)),
)
PAGES = 64 * 256


def _ram(name: str, workload: Workload = GUEST):
    return simulate(workload, remedies.get(name), seed=1).isel(replicate=0).sel(vma="ram")


def _with(**changed: object) -> Workload:
    vma = dataclasses.replace(GUEST.vmas[0], **changed)
    return dataclasses.replace(GUEST, vmas=(vma,))


PINNED = _with(pinned_fraction=1.0)


@pytest.fixture(scope="module")
def base():
    return {name: _ram(name, PINNED) for name in ("linux-6.12", "linux-7.2")}


@pytest.mark.parametrize("policy", ["linux-6.12", "linux-7.2"])
def test_a_pinned_guest_is_zapped_for_nothing_by_every_kernel(base, policy) -> None:
    ds = base[policy]
    calls, pages = ds.notifier_calls.sel(why="scan"), ds.notifier_pages.sel(why="scan")
    assert int(calls) >= 1
    assert int(pages) == int(calls) * PAGES == int(ds.notifier_wasted_pages)
    assert int(ds.zapped) == int(pages)
    assert int(ds.refaults) == PAGES + int(ds.zapped)


@pytest.mark.parametrize("policy", ["linux-6.12", "linux-7.2"])
@pytest.mark.parametrize(
    "remedy", ["pinned-per-page-notifier", "late-notifier", "process-opt-out", "mbind"]
)
def test_these_leave_a_pinned_guest_in_peace(policy, remedy) -> None:
    ds = _ram(f"{policy}+{remedy}", PINNED)
    assert int(ds.notifier_calls.sum()) == int(ds.zapped) == 0
    assert int(ds.refaults) == PAGES


def test_the_flag_keeps_pinned_pages_mapped_but_notifies() -> None:
    ds = _ram("linux-7.2+numa-range-flag", PINNED)
    assert int(ds.notifier_calls.sum()) >= 1
    assert int(ds.zapped) == 0
    half = _ram("linux-7.2+numa-range-flag")
    calls = int(half.notifier_calls.sel(why="scan"))
    assert 0 < int(half.zapped) <= calls * PAGES // 2


def test_a_marked_vma_is_scanned_once_in_a_minute(base) -> None:
    six = _ram("linux-6.1+pinned-vma-mark", PINNED)
    assert int(six.scan_calls) == 1
    assert int(_ram("linux-6.1", PINNED).scan_calls) > 2
    half = _ram("linux-6.1+pinned-vma-mark")
    assert int(half.scan_calls) > 2, "half of it can migrate: it is no pinned VMA"


def test_a_one_node_cpuset_needs_a_kernel_that_looks(base) -> None:
    assert int(_ram("linux-7.2+one-node-cpuset", PINNED).scan_calls) == 0
    assert int(_ram("linux-6.12+one-node-cpuset", PINNED).scan_calls) == int(
        base["linux-6.12"].scan_calls
    )


def test_each_page_is_notified_where_it_changes() -> None:
    ds = _ram("linux-7.2+pinned-per-page-notifier")
    calls = int(ds.notifier_calls.sel(why="scan"))
    assert calls == int(ds.notifier_pages.sel(why="scan")) > PAGES // 2
    assert int(ds.zapped) <= calls
    assert int(ds.remote_flushes) == int(ds.zapped)


def test_late_spares_what_lies_before_the_first_change() -> None:
    ds = _ram("linux-7.2+late-notifier")
    calls = int(ds.notifier_calls.sel(why="scan"))
    assert 0 < int(ds.notifier_pages.sel(why="scan")) <= calls * PAGES // 2
    assert int(ds.notifier_wasted_pages) == 0


def test_the_filter_is_what_7_2_has(base) -> None:
    huge = _with(pinned_fraction=1.0, thp=True)
    assert int(_ram("linux-6.12", huge).refaults) > 0
    marks = simulate(huge, remedies.get("linux-6.12+pinned-pte-filter"), seed=1)
    assert int(marks.numa_huge_pte_updates[0, -1]) == 0
    assert int(simulate(huge, get("linux-6.12"), seed=1).numa_huge_pte_updates[0, -1]) > 0


@pytest.mark.parametrize(("subscriber", "count"), [("sev", "cache_flushes"), ("gpu", "evictions")])
def test_what_others_do_at_each_notification(subscriber, count) -> None:
    ds = _ram("linux-7.2", _with(pinned_fraction=1.0, subscriber=subscriber))
    assert int(ds[count]) == int(ds.notifier_calls.sum()) > 0
    other = "evictions" if count == "cache_flushes" else "cache_flushes"
    assert int(ds[other]) == 0
    assert (int(ds.zapped) > 0) == (subscriber == "sev")


def test_without_a_subscriber_nobody_pays() -> None:
    ds = _ram("linux-7.2", _with(subscriber="none"))
    assert int(ds.notifier_calls.sum()) > 0
    assert int(ds.zapped + ds.remote_flushes + ds.refaults + ds.evictions) == 0


def test_names() -> None:
    assert remedies.get("linux-7.2") == get("linux-7.2")
    assert remedies.get("linux-6.1+mbind").name == "linux-6.1+mbind"
    with pytest.raises(InputError, match=r"remedy 'mbnd'.*mbind") as caught:
        remedies.get("linux-6.1+mbnd")
    assert "\n" not in str(caught.value)


def test_every_remedy_says_everything() -> None:
    for remedy in remedies.REMEDIES.values():
        fields = dataclasses.asdict(remedy)
        assert remedy.available != remedy.built.startswith("no"), remedy.name
        assert [n for n, value in fields.items() if not value] in ([], ["available"]), remedy.name
        assert remedies.with_remedy(get("linux-6.1"), remedy.name).before == "linux-6.1"


def test_a_gpu_process_that_opts_out_keeps_its_remote_touches_and_its_queues() -> None:
    """Bound memory stays remote too, and only that."""
    ds = sweep.grid(
        gpu_process,
        {"remedy": ["none", "process-opt-out", "mbind"], "registered": [0.25, 0.75]},
        fixed={"memory_mb": 64, "threads": 2, "duration_ms": 8000},
        measure=[sweep.totals, measures.remote_share],
        replicates=3,
    ).transpose("remedy", "registered", ...)
    (few, many), out, bound = ds["evictions"].values
    assert (few > 0).all()
    assert (few < many).all()
    assert out.max() == bound.max() == 0
    balanced, out, bound = ds["remote_share"].mean("replicate").values
    assert balanced.max() < 0.1
    assert out == pytest.approx([0.5, 0.5])
    assert bound == pytest.approx([0.125, 0.375], abs=0.03)


def test_a_dear_call_moves_where_notifying_each_page_costs_less() -> None:
    each_page = "pinned-per-page-notifier"
    ds = sweep.grid(
        guest,
        {"remedy": ["none", each_page], "pin_fraction": [0.0, 0.5, 1.0]},
        fixed={"memory_mb": 64, "vcpus": 2, "thp": False, "duration_ms": 8000},
        replicates=20,
    )

    typical = xr.Dataset({name: cost.typical for name, cost in read().items()})

    def extra(call_ns: float) -> xr.DataArray:
        given = {"remote_flush": 0.0, "vcpu_interrupt": 0.0, "notifier_call": call_ns}
        each = typical.assign(given | {"range_wait": 0.0})
        total = time_of(ds, each, vcpus=2)[["cpu", "vcpu"]].to_array().sum("variable")
        return total.sel(remedy=each_page, drop=True) - total.sel(remedy="none", drop=True)

    assert (extra(0.0).mean("replicate") < 0).all(), "calls that cost nothing: always less"
    at = [stats.crossing(extra(call_ns), "pin_fraction").at for call_ns in (1e4, 1e6)]
    assert 0 < at[0] < at[1] < 1


def test_a_base_of_remedies_has_none():
    assert remedies.bare("linux-6.4", "base") is get("linux-6.4")
    with pytest.raises(InputError, match=r"^base = linux-6\.4\+mbind: must be .* as linux-6\.4$"):
        remedies.bare("linux-6.4+mbind", "base")
    with pytest.raises(InputError, match="did you mean"):
        remedies.bare("linux6.4", "base")
