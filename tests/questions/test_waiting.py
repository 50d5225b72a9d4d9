"""q04: far pages from samples, best delays, and the workload that they come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from numalab.costs import Costs
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.questions import waiting, waiting_words
from numalab.remedies import get
from numalab.report import tables


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
    assert waiting_words.words(split).item() == "< [<,>]"
    with pytest.raises(InputError, match="replicates = 2"):
        waiting.best_delay(_times([[1.0, 2.0, 3.0]] * 2))


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return waiting.runs(
        ["linux-6.1", "linux-7.2"], [1000, 125], [100.0, 8000.0], ["exponential", "fixed"],
        misses_per_s=1e7, seconds=20, replicates=5, seed=2,
    )  # fmt: skip


def test_short_lives_are_spared_and_long_ones_come_home(found) -> None:
    mean = found.mean("replicate")
    short, long = (mean.sel(vma_lifetime_ms=x, scan_delay_ms=1000) for x in (100, 8000))
    for shape in ("fixed", "exponential"):
        one = short.sel(shape=shape)
        assert one["wasted"].sel(policy="linux-7.2") < 0.5 * one["wasted"].sel(policy="linux-6.1")
    assert (short["far"] > 58).all()
    assert (long["far"].sel(policy="linux-6.1") < 40).all()


def test_far_is_what_the_page_counts_of_shorter_runs_say() -> None:
    """A run cut at T ends with the share of pages on the wrong node that ``far`` averages."""
    w, ends = waiting._workload(125, 1600.0, "fixed", 4.0), np.arange(100.0, 4000.0, 150.0)

    def last(duration_ms: float) -> xr.Dataset:
        return simulate(replace(w, duration_ms=duration_ms), get("linux-6.1"), seed=3)

    far = [
        float(last(t)["pages_on_node"].sel(vma=waiting.FAR, node=0).squeeze()) / 4096 for t in ends
    ]
    assert min(far) == 0 and max(far) == 1
    ds = last(4000.0)
    moved = ds["numa_pages_migrated"].values[0]
    born = waiting._births(w, 3, 0, waiting.FAR)
    assert born.tolist() == [0, 1600, 3200]
    share = waiting.far_share(moved, ds["time"].values, born, 4096)
    assert share == pytest.approx(np.mean(far), abs=0.06)


def test_over_best_is_a_paired_ratio() -> None:
    time = _times(
        [[2.0, 3.0, 4.0], [4.0, 6.0, 9.0], [1.0, 1.5, 4.0], [2.0, 3.0, 3.0], [6.0, 9.0, 9]]
    )
    over = waiting.over_best(time, waiting.best_delay(time))
    assert over.values == pytest.approx([0.5, 0.5, 0.5])


def test_words(found) -> None:
    assert found["scan_delay_ms"].values.tolist() == [125, 1000]
    paid = waiting.paid(found, Costs())
    best = waiting.best_delay(paid)
    over = waiting.over_best(paid, best)
    text = waiting_words.answer(found, over)
    assert "linux-7.2" in text and text.isascii()
    lines = (
        waiting_words.at_default(found).splitlines()
        + waiting_words.best_table(best, "exponential").splitlines()
        + waiting_words.over_table(over).splitlines()
    )
    assert max(map(len, lines)) <= tables.WIDTH


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"policies": []}, r"kernels = \[\]"),
        ({"policies": ["linux-6.1"] * 2}, "kernels: .*linux-6.1.* twice"),
        ({"shapes": ["weibull"]}, "shape = 'weibull'"),
        ({"delays_ms": [125]}, r"delays_ms = \[125\]: .* hold 1000"),
        ({"delays_ms": [0, 1000]}, "must be above 0"),
        ({"replicates": 4}, "replicates = 4"),
        ({"misses_per_s": float("nan")}, "misses_per_s = nan"),
        ({"misses_per_s": -1.0}, "misses_per_s = -1"),
    ],
)
def test_parameters_are_refused_before_anything_runs(what, message) -> None:
    asked = {
        "policies": ["linux-6.1"], "delays_ms": [1000], "lifetimes_ms": [1.0],
        "shapes": ["fixed"], "misses_per_s": 1e7, "replicates": 5,
    } | what  # fmt: skip
    lists = [asked.pop(x) for x in ("policies", "delays_ms", "lifetimes_ms", "shapes")]
    with pytest.raises(InputError, match=message):
        waiting.runs(*lists, seconds=1, seed=0, **asked)
