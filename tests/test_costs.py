"""Counts to time: by hand, drawn within bounds, and nothing counted that is missing."""

from __future__ import annotations

import pytest
import xarray as xr

from numalab import costs
from numalab.fields import InputError
from numalab.report import frames

PUBLISHED = costs.read()


def _totals(**counts: float) -> xr.Dataset:
    values = {name: ("replicate", [0.0, 0.0]) for name in costs.NEEDED}
    return xr.Dataset(values | {k: ("replicate", [v, 2 * v]) for k, v in counts.items()})


def _each(**values: float) -> xr.Dataset:
    return xr.Dataset(dict.fromkeys(PUBLISHED, 0.0) | values)


@pytest.mark.parametrize(
    ("counts", "each", "resource", "ns"),
    [
        ({"numa_pte_updates": 1024, "numa_huge_pte_updates": 2}, {"pte_update": 10}, "cpu", 20),
        ({"numa_pte_updates": 7}, {"pte_update": 10}, "cpu", 70),
        ({"scan_pages": 100, "zapped": 5}, {"scan_page": 1, "zap": 2}, "cpu", 110),
        ({"remote_flushes": 3}, {"remote_flush": 5, "vcpu_interrupt": 7}, "cpu", 15),
        ({"remote_flushes": 3}, {"remote_flush": 5, "vcpu_interrupt": 7}, "vcpu", 4 * 21),
        ({"numa_hint_faults": 3}, {"hint_fault": 5}, "cpu", 15),
        ({"zapped": 5, "refaults": 50}, {"refault": 100}, "vcpu", 500),
        ({"zapped": 50, "refaults": 5}, {"refault": 100}, "vcpu", 500),
        ({"cache_flushes": 2}, {"cache_flush": 9}, "caches", 18),
        ({"evictions": 2}, {"eviction": 9}, "gpu", 18),
    ],
)
def test_each_count_is_paid_by_someone(counts, each, resource, ns) -> None:
    found = costs.time_of(_totals(**counts), _each(**each), vcpus=4)[resource]
    assert found.values == pytest.approx([ns / 1e9, 2 * ns / 1e9])
    assert found.attrs["units"] == "s"


def test_resources_of_different_kinds_are_never_added() -> None:
    found = costs.time_of(_totals(zapped=5), costs.drawn(PUBLISHED, count=3), vcpus=4)
    assert [*found] == ["cpu", "vcpu", "caches", "gpu"]


def test_failed_migrations_are_told_from_those_that_moved() -> None:
    moved = {"numa_pages_migrated": 1024, "notifier_calls_migrate": 32}
    moved |= {"notifier_pages_migrate": 32 * 512}
    each = _each(migrate_folio=1000, copy_page=1, failed_pass=10)
    found = costs.time_of(_totals(**moved), each, vcpus=0)["cpu"]
    assert float(found[0]) == pytest.approx((2 * 1000 + 1024 + 30 * 10) / 1e9)


@pytest.mark.parametrize(
    ("calls", "pages", "vcpus", "waits"),
    [(8, 1000, 4, 4), (8, 500, 4, 2), (1000, 1000, 4, 1), (0, 0, 4, 0), (8, 1000, 0, 0)],
)
def test_a_vcpu_waits_once_a_range_for_the_rest_of_its_walk(calls, pages, vcpus, waits) -> None:
    """Not once a page; not at all where nothing is notified; no more vCPUs than pages."""
    counts = {"scan_pages": 1000, "notifier_calls": calls, "notifier_pages": pages}
    each = _each(scan_page=20, range_wait=0.5)
    found = costs.time_of(_totals(**counts), each, vcpus=vcpus)["vcpu"]
    assert float(found[0]) == pytest.approx(waits * 0.5 * 1000 * 20 / 1e9)


def test_a_refault_costs_more_where_more_vcpus_fault_at_once() -> None:
    each = _each(refault=1000, refault_crowded=9000)
    found = [float(costs.refault(each, n)) for n in (1, 8, 20, 32, 96)]
    assert found == pytest.approx([1000, 1000, 5000, 9000, 9000])


def test_costs_are_drawn_independently_and_half_of_them_below_typical() -> None:
    each = costs.drawn(PUBLISHED, count=4000, seed=1)
    for name, cost in PUBLISHED.items():
        assert cost.low <= float(each[name].min()) <= float(each[name].max()) <= cost.high
        assert float((each[name] < cost.typical).mean()) == pytest.approx(0.5, abs=0.03)
    together = each.to_dataframe().corr("spearman").abs()
    assert (together.sum() - 1 < 0.06 * len(together)).all()


def test_a_gpu_stands_still_at_the_drawn_length_of_an_eviction() -> None:
    known = xr.DataArray([0.1, 0.3], {"length_ms": [2.0, 4.0]}, "length_ms")
    each = xr.Dataset({"eviction": ("draw", [2e6, 3e6, 4e6])})
    assert costs.standing(known, each).values == pytest.approx([0.1, 0.2, 0.3])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="zapped: not in the Dataset"):
        costs.time_of(_totals().drop_vars("zapped"), _each(), vcpus=1)


MINE = """[refault]
low = 1
typical = 2
high = 3
kind = "measured"
source = "here"
host = "mine"
year = 2026
"""


def test_a_file_replaces_what_it_names(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    found = costs.read(path)
    assert (found["refault"].high, found["refault"].host) == (3, "mine")
    assert found["refault"].about == PUBLISHED["refault"].about
    assert {n: c for n, c in found.items() if n != "refault"} == {
        n: c for n, c in PUBLISHED.items() if n != "refault"
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINE.replace("[refault]", "[refalt]"), "unknown cost in .*; did you mean 'refault'"),
        (MINE.replace("low = 1", "low = 9"), r"\[refault\]: low = 9, typical = 2, high = 3: must"),
        (MINE.replace("typical = 2", ""), r"\[refault\]: typical is missing"),
        (MINE.replace('"measured"', '"known"'), r"kind = 'known'.*measured"),
        (MINE + 'unit = "share"', r"\[refault\]: unit = share: must be ns"),
        ("refault = 3", r"\[refault\] = 3: must be a table"),
        ("[refault", "not TOML"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, text, message) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        costs.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path) -> None:
    with pytest.raises(InputError, match=r"costs = .*none\.toml: cannot be read"):
        costs.read(tmp_path / "none.toml")


def test_the_table_fits_into_a_mail() -> None:
    found = costs.table(PUBLISHED)
    assert found.loc["refault", "us"] == "1 .. 1.3 .. 3"
    assert found.loc["range_wait", "us"] == "0 .. 0.5 .. 1"
    assert frames.plain(found).isascii()
