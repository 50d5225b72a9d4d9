"""Axes, ranges and samples, and the points they make."""

import numpy as np
import pytest

from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.sweeps.design import Axis, Range, Sample, Sweep, lay_out

FIXED = {"vma_lifetime_ms": 100, "pin_fraction": 0.0}
DELAY = Axis(name="scan_delay_ms", values=(10, 20, 40))


def _sweep(**given):
    return Sweep(**{"base": lifetimes, "fixed": FIXED, "axes": (DELAY,), **given})


def test_the_last_axis_runs_fastest():
    axes = (Axis(name="policy", values=("linux-6.1", "linux-7.2")), DELAY)
    found = lay_out(_sweep(axes=axes))
    assert found.shape == (2, 3)
    assert [(p.values["policy"], p.values["scan_delay_ms"]) for p in found.points[2:4]] == [
        ("linux-6.1", 40),
        ("linux-7.2", 10),
    ]
    assert found.points[0].values["pin_fraction"] == 0.0


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("coarse", "fine"), [(3, 5), (4, 10), (8, 15), (7, 61)])
def test_a_finer_range_meets_the_coarser_one_exactly(log, coarse, fine):
    few, many = (
        Axis(name="pages", values=Range(lowest=0.3, highest=97.1, num=n, log=log)).spread(
            lambda **given: None
        )
        for n in (coarse, fine)
    )
    assert few[0] == 0.3
    assert few[-1] == 97.1
    assert set(few) <= set(many)


def test_a_log_range_has_equal_ratios_and_whole_numbers_where_the_field_wants_them():
    axis = Axis(name="scan_delay_ms", values=Range(lowest=125, highest=16000, num=8, log=True))
    found = axis.spread(lifetimes)
    assert found == (125, 250, 500, 1000, 2000, 4000, 8000, 16000)
    assert all(type(v) is int for v in found)


def test_a_step_rounds():
    found = Range(lowest=1, highest=100, num=5, log=True, step=2)
    assert [found.at(s) for s in (0.25, 0.5, 1)] == [4.0, 10.0, 100.0]


@pytest.mark.parametrize("method", ["sobol", "latin-hypercube"])
def test_a_sample_fills_every_stratum_of_every_axis(method):
    axes = (
        Axis(name="vma_lifetime_ms", values=Range(lowest=10, highest=1000, log=True)),
        Axis(name="pin_fraction", values=Range(lowest=0, highest=1)),
    )
    made = _sweep(fixed={}, sample=Sample(method=method, points=64, axes=axes))
    found = lay_out(made)
    assert found.shape == (3, 64)
    logs = np.log10(found.along_point["vma_lifetime_ms"]) - 1
    for shares in (logs / 2, np.array(found.along_point["pin_fraction"])):
        assert sorted(np.floor(shares * 64)) == list(range(64))
    assert lay_out(made) == found


def test_a_sample_chooses_from_a_list():
    axes = (Axis(name="policy", values=("linux-6.1", "linux-6.12", "linux-7.2", "rfc-v1")),)
    found = lay_out(_sweep(sample=Sample(points=64, axes=axes))).along_point["policy"]
    assert {found.count(name) for name in axes[0].values} == {16}


def test_more_sobol_points_begin_with_the_fewer():
    axes = (Axis(name="pin_fraction", values=Range(lowest=0, highest=1)),)
    fixed = {"vma_lifetime_ms": 100}
    few, many = (
        lay_out(_sweep(fixed=fixed, sample=Sample(points=n, seed=5, axes=axes))).along_point
        for n in (16, 64)
    )
    assert many["pin_fraction"][:16] == few["pin_fraction"]


def test_a_rule_drops_points_and_says_which():
    found = lay_out(_sweep(drop=("scan_delay_ms > 15", "policy == 'none'")))
    assert [p.dropped for p in found.points] == ["", "scan_delay_ms > 15", "scan_delay_ms > 15"]


def test_one_axis_sets_several_fields():
    axis = Axis(name="life", values=(5, 6), fields=("churn.young0.gap_ms", "churn.young1.gap_ms"))
    found = lay_out(_sweep(fixed={**FIXED, "scan_delay_ms": 1}, axes=(axis,), drop=("life > 5",)))
    assert found.points[0].values["churn.young1.gap_ms"] == 5
    assert found.points[1].dropped == "life > 5"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drop": ("scan_dely_ms > 1",)}, "did you mean 'scan_delay_ms'"),
        ({"axes": (DELAY, DELAY)}, "scan_delay_ms is given twice"),
        ({"fixed": {"scan_delay_ms": 1}}, "scan_delay_ms is given twice"),
        ({"fixed": {"scan_sze_mb": 1}}, "did you mean 'scan_size_mb'"),
        ({"replicates": 0}, "replicates = 0: must be at least 1"),
        ({"seed": -1}, "seed = -1: must be at least 0"),
        ({"axes": (Axis(name="pages", values=(1,)),)}, "unknown field of a sweep 'pages'"),
        ({"axes": (Axis(name="pages_per_s", values=(1, 1), fields=("hz",)),)}, "holds 1 twice"),
        ({"axes": (Axis(name="hz", values=Range(lowest=1, highest=2)),)}, "num = 0: at least 2"),
        ({"axes": (Axis(name="hz", values=Range(lowest=1, highest=2, num=9)),)}, "holds 1 twice"),
    ],
)
def test_a_bad_sweep_is_one_line(given, message):
    with pytest.raises(InputError) as caught:
        lay_out(_sweep(**given))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sobol_design_wants_a_power_of_two():
    with pytest.raises(InputError, match="such as 64 or 128"):
        Sample(points=100, axes=(DELAY,))
