"""What holds and what does not, of headlines whose changes are known."""

import numpy as np
import pytest
import xarray as xr

from numalab import stats
from numalab.fields import InputError

NUMBERS = ["mean", "low", "high"]


def _headline(value, half_width):
    """A headline whose value is a function of duration, replicates and seed."""

    def headline(*given):
        mean = value(*given)
        return xr.DataArray([mean, mean - half_width, mean + half_width], {"statistic": NUMBERS})

    return headline


def test_what_a_headline_is_asked_for():
    given = []

    def headline(*one):
        given.append(one)
        return xr.DataArray([1.0, 1.0, 1.0], {"statistic": NUMBERS})

    found = stats.again(headline, 60, 21, 4)
    assert given == [(60, 21, 4), (120, 21, 4), (60, 21, 5), (60, 10, 4)]
    assert found["variation"].values.tolist() == ["as asked", *stats.VARIATIONS]
    assert stats.changes(found) == []


@pytest.mark.parametrize(
    ("value", "failed"),
    [
        (lambda duration, replicates, seed: 5.0, []),
        (
            lambda duration, replicates, seed: duration,
            ["at twice the duration 20.0 s [19.0, 21.0]"],
        ),
        (lambda duration, replicates, seed: 3 * seed, ["with another seed 6.0 s [5.0, 7.0]"]),
        (
            lambda duration, replicates, seed: replicates,
            ["at half the replicates 3.0 s [2.0, 4.0]"],
        ),
    ],
)
def test_only_what_changes_is_named(value, failed):
    assert stats.changes(stats.again(_headline(value, 1.0), 10, 6, 1), "s") == failed


def test_the_half_widths_that_face_each_other_count():
    """From 10 [9, 14] to 15: chance is 4 upwards, and of the other what is below it."""

    def found(low):
        rows = [[10.0, 9.0, 14.0], [15.0, low, 99.0]]
        labels = {"variation": ["as asked", stats.VARIATIONS[0]], "statistic": NUMBERS}
        return xr.DataArray(rows, labels)

    assert bool(stats.holds(found(12.0)).all())  # 5 <= hypot(4, 3)
    assert not bool(stats.holds(found(12.1)).any())
    assert bool(stats.holds(found(12.1), least=5.0).all())


def test_what_is_the_same_holds_and_what_is_missing_does_not():
    rows = [[[x] * 3, [y] * 3] for x, y in [(np.inf, np.inf), (0.0, 0.0), (np.nan, 1.0), (0, 0.1)]]
    coords = {"statistic": NUMBERS, "variation": ["as asked", stats.VARIATIONS[0]]}
    found = xr.DataArray(rows, coords, ["cell", "variation", "statistic"])
    assert stats.holds(found).sel(variation=stats.VARIATIONS[0]).values.tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_verdicts_must_be_equal():
    def verdicts(duration, replicates, seed):
        late = "late" if duration < 20 else "never"
        return xr.DataArray([late, "late"], {"policy": ["new", "old"]})

    found = stats.again(verdicts, 10, 6, 1)
    assert stats.changes(found.sel(policy="new")) == ["at twice the duration never"]
    assert stats.changes(found.sel(policy="old")) == []


def test_a_steady_headline_is_refused_by_chance_in_one_case_of_twenty():
    rng = np.random.default_rng(0)

    def headline(duration, replicates, seed):
        runs = xr.DataArray(rng.normal(size=(400, replicates)), dims=("cell", "replicate"))
        return stats.summary(runs)

    kept = stats.holds(stats.again(headline, 1, 30, 0)).mean("cell")
    assert 0.92 < float(kept.sel(variation="with another seed")) < 0.97


def test_too_few_replicates_to_halve_are_refused():
    with pytest.raises(InputError, match="replicates = 5: must be at least 6"):
        stats.again(_headline(lambda *given: 1.0, 1.0), 10, 5, 1)


def test_a_clear_difference_is_beyond_chance_large_enough_and_the_same_in_all_variations():
    """Of four cells one is clear; the others grow with the run, are small, or are chance."""

    def differences(duration, replicates, seed):
        noise = np.random.default_rng(seed).normal(size=(4, replicates))
        base = np.array([-5.0, 5.0 * duration, 0.5, 0.0])
        spread = np.array([0.1, 0.1, 0.01, 1.0])
        cells = base[:, None] + spread[:, None] * noise
        return xr.DataArray(
            cells, {"cell": ["clear", "grows", "small", "chance"]}, ["cell", "replicate"]
        )

    found = stats.clear(differences, 1, 12, 3, least=1.0)
    assert found["sign"].values.tolist() == [-1, 0, 0, 0]
    assert found["steady"].sel(cell=["clear", "grows", "small"]).values.tolist() == [
        True,
        False,
        True,
    ]
    assert float(found["summary"].sel(cell="clear", statistic="mean")) == pytest.approx(-5, abs=0.2)
