"""q04: far pages from samples, best delays, and the workload that they come from."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from numalab import tables, waiting
from numalab.costs import Costs
from numalab.fields import InputError


def test_far_share_counts_each_life_from_its_birth() -> None:
    time = np.arange(0.0, 1001.0, 100.0)
    # two lives of 500 ms and 4 pages: the first comes home at 200 ms, half of the second at 900
    moved = np.array([0, 0, 4, 4, 4, 4, 4, 4, 4, 6, 6])
    share = waiting.far_share(moved, time, np.array([0.0, 500.0]), 4)
    assert share == pytest.approx((0.2 + 0.0 * 0.3 + 0.4 + 0.1 * 0.5) / 1.0)


def _times(rows: list[list[float]]) -> xr.DataArray:
    coords = {"scan_delay_ms": [250, 1000, 4000]}
    return xr.DataArray(np.array(rows).T, dims=("scan_delay_ms", "replicate"), coords=coords)


def test_best_delay_is_certain_only_where_runs_agree() -> None:
    sure = waiting.best_delay(_times([[3.0, 1.0, 2.0 + i / 10] for i in range(6)]))
    assert sure.values.tolist() == [1000, 1000, 1000]
    split = waiting.best_delay(_times([[1.0, 9.0, 3.0], [3.0, 9.0, 1.1]] * 3))
    assert split.sel(at=["low", "high"]).values.tolist() == [250, 4000]
    assert waiting.words(split).item() == ".25 [.25,4]"
    with pytest.raises(InputError, match="replicates = 2"):
        waiting.best_delay(_times([[1.0, 2.0, 3.0]] * 2))


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return waiting.runs(
        ["linux-6.1", "linux-7.2"], [125, 1000], [100.0, 8000.0], ["fixed", "exponential"],
        seconds=20, replicates=5, seed=2,
    )  # fmt: skip


def test_short_lives_are_spared_and_long_ones_come_home(found) -> None:
    mean = found.mean("replicate")
    short, long = (mean.sel(vma_lifetime_ms=x, scan_delay_ms=1000) for x in (100, 8000))
    for shape in ("fixed", "exponential"):
        one = short.sel(shape=shape)
        assert one["wasted"].sel(policy="linux-7.2") < 0.5 * one["wasted"].sel(policy="linux-6.1")
    assert (short["far"] > 58).all()
    assert (long["far"].sel(policy="linux-6.1") < 40).all()
    assert (found["far"] >= 0).all() and (found["far"] <= 60).all()


def test_far_equals_what_the_run_ends_with_when_a_mapping_lives_through_it() -> None:
    one = waiting.runs(["linux-6.1"], [125], [60_000.0], ["fixed"], seconds=5, replicates=1, seed=0)
    moved = float(one["numa_pages_migrated"].squeeze()) / 12  # twelve times five seconds a minute
    assert moved >= 4096, "the mapping did not come home"
    assert 0 < float(one["far"].squeeze()) < 30


def test_words(found) -> None:
    best = waiting.best_delay(waiting.paid(found, Costs(), misses_per_s=1e7))
    text = waiting.answer(found, best, "exponential")
    assert "linux-7.2" in text and text.isascii()
    lines = (
        waiting.at_default(found, "fixed").splitlines()
        + waiting.best_table(best, "exponential").splitlines()
    )
    assert max(map(len, lines)) <= tables.WIDTH
    with pytest.raises(InputError, match="1000 is not among"):
        waiting.at_default(found.sel(scan_delay_ms=[125]), "fixed")
    with pytest.raises(InputError, match="shape = 'weibull'"):
        waiting.runs(["linux-6.1"], [1], [1.0], ["weibull"], seconds=1, replicates=1, seed=0)
