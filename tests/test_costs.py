"""Counts to time: by hand, with ranges, and nothing counted that is missing."""

from __future__ import annotations

import re

import pytest
import xarray as xr

from numalab.costs import BOUNDS, NEEDED, SIDES, Cost, Costs, table, time_of, with_costs
from numalab.fields import InputError
from numalab.report import frames


def _totals(**counts: float) -> xr.Dataset:
    values = {name: ("replicate", [0.0, 0.0]) for name in NEEDED}
    return xr.Dataset(values | {k: ("replicate", [v, 2 * v]) for k, v in counts.items()})


def _given(**values: float) -> Costs:
    zero = dict.fromkeys(table(Costs()).index, 0.0)
    given = {f"{name}_ns": ns for name, ns in (zero | values).items()}
    return with_costs(Costs(), **given)


@pytest.mark.parametrize(
    ("counts", "costs", "side", "ns"),
    [
        ({"numa_pte_updates": 1024, "numa_huge_pte_updates": 2}, {"pte_update": 10}, "scan", 20),
        ({"numa_pte_updates": 7}, {"pte_update": 10}, "scan", 70),
        ({"scan_pages": 100, "zapped": 5}, {"scan_page": 1, "zap": 2}, "scan", 110),
        ({"remote_flushes": 3}, {"remote_flush": 5, "vcpu_interrupt": 7}, "scan", 15),
        ({"remote_flushes": 3}, {"remote_flush": 5, "vcpu_interrupt": 7}, "guest", 4 * 21),
        ({"zapped": 5, "refaults": 50}, {"refault": 100}, "guest", 500),
        ({"zapped": 50, "refaults": 5}, {"refault": 100}, "guest", 500),
        ({"cache_flushes": 2}, {"cache_flush": 9}, "caches", 18),
        ({"evictions": 2}, {"eviction": 9}, "gpu", 18),
    ],
)
def test_each_count_is_paid_by_someone(counts, costs, side, ns) -> None:
    found = time_of(_totals(**counts), _given(**costs), vcpus=4)[side]
    assert found.isel(replicate=0).values == pytest.approx([ns / 1e6] * 3)
    assert found.isel(replicate=1).values == pytest.approx([2 * ns / 1e6] * 3)


def test_failed_migrations_are_told_from_those_that_moved() -> None:
    moved = {"numa_pages_migrated": 1024, "notifier_calls_migrate": 32}
    moved |= {"notifier_pages_migrate": 32 * 512}
    costs = _given(migrate_folio=1000, copy_page=1, failed_pass=10)
    found = time_of(_totals(**moved), costs, vcpus=0)["faults"]
    assert float(found[0, 0]) == pytest.approx((2 * 1000 + 1024 + 30 * 10) / 1e6)


def test_a_time_has_its_range_and_its_total() -> None:
    found = time_of(_totals(zapped=1000, refaults=1000, scan_pages=1e6), Costs(), vcpus=8)
    assert list(found["bound"].values) == list(BOUNDS)
    assert bool((found.sel(bound="low") < found.sel(bound="high"))["total"].all())
    assert float(found["total"].sum()) == pytest.approx(sum(float(found[s].sum()) for s in SIDES))
    assert found["total"].attrs["units"] == "ms"
    assert found["guest"].attrs["costs"] == "docs/costs.md"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="zapped: not in the Dataset"):
        time_of(_totals().drop_vars("zapped"), Costs(), vcpus=1)


def test_overriding_a_cost() -> None:
    mine = with_costs(Costs(), refault=Cost(low=1, typical=2, high=3, source="mine"), zap_ns=4)
    assert (mine.refault.source, mine.zap.low, mine.zap.high) == ("mine", 4, 4)
    assert mine.pte_update == Costs().pte_update
    with pytest.raises(InputError, match="unknown cost 'refalt'; did you mean 'refault'"):
        with_costs(Costs(), refalt=1)
    assert with_costs(Costs(), refault_us=2.5) == with_costs(Costs(), refault_ns=2500)
    assert with_costs(Costs(), cache_flush_ms=3).cache_flush.typical == 3e6
    with pytest.raises(InputError, match=r"refault = 2.5: of which unit\? Say refault_ns or"):
        with_costs(Costs(), refault=2.5)
    with pytest.raises(InputError, match="must be 0 <= low <= typical <= high"):
        Cost(low=2, typical=1, high=3, source="x")


def test_every_cost_says_where_it_is_from() -> None:
    for name, values, source in table(Costs()).itertuples():
        assert source, name
        kind, _, where = source.partition(":")
        assert kind in ("measured", "measured by proxy", "derived", "guess"), name
        assert kind == "guess" or re.search(r"\b20[12][0-9]\b", where), f"{name}: of which year"
        assert values.count("..") == 2
    assert frames.plain(table(Costs())).isascii()
