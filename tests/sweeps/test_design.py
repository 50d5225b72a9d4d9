"""Axes, ranges and samples, and the points they make."""

import numpy as np
import pytest

from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.sweeps.axes import Axis, Range
from numalab.sweeps.design import Sample, Sweep, lay_out

FIXED = {"vma_lifetime_ms": 100, "pin_fraction": 0.0}
DELAY = Axis(name="scan_delay_ms", values=(10, 20, 40))


def _sweep(**given):
    return Sweep(**{"base": lifetimes, "fixed": FIXED, "axes": (DELAY,), **given})


def _hz(**given):
    return Axis(name="hz", values=Range(**given))


def test_the_last_axis_runs_fastest():
    axes = (Axis(name="policy", values=("linux-6.1", "linux-7.2")), DELAY)
    found = lay_out(_sweep(axes=axes))
    assert found.shape == (2, 3)
    assert [(p.values["policy"], p.values["scan_delay_ms"]) for p in found.points[2:4]] == [
        ("linux-6.1", 40),
        ("linux-7.2", 10),
    ]
    assert found.points[0].values["pin_fraction"] == 0.0


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
    assert lay_out(made).points == found.points


def test_a_sample_chooses_from_a_list():
    axes = (Axis(name="policy", values=("linux-6.1", "linux-6.12", "linux-7.2", "rfc-v1")),)
    found = lay_out(_sweep(sample=Sample(points=64, axes=axes))).along_point["policy"].tolist()
    assert {found.count(name) for name in axes[0].values} == {16}


def test_more_sobol_points_begin_with_the_fewer():
    axes = (Axis(name="pin_fraction", values=Range(lowest=0, highest=1)),)
    fixed = {"vma_lifetime_ms": 100}
    few, many = (
        lay_out(_sweep(fixed=fixed, sample=Sample(points=n, seed=5, axes=axes))).along_point
        for n in (16, 64)
    )
    assert many["pin_fraction"][:16].tolist() == few["pin_fraction"].tolist()


def test_a_rule_drops_points_and_says_which():
    found = lay_out(_sweep(drop=("scan_delay_ms > 15", "policy == 'none'")))
    assert [p.dropped for p in found.points] == ["", "scan_delay_ms > 15", "scan_delay_ms > 15"]


def test_a_rule_may_name_a_field_with_a_number_in_its_place():
    axis = Axis(name="task.walker.access.0.lo", values=(0.0, 0.5))
    found = lay_out(_sweep(axes=(DELAY, axis), drop=("task.walker.access.0.lo > 0.2",)))
    assert [bool(p.dropped) for p in found.points] == [False, True] * 3


def test_one_axis_sets_several_fields():
    axis = Axis(name="life", values=(5, 6), fields=("churn.young0.gap_ms", "churn.young1.gap_ms"))
    fixed = {**FIXED, "scan_delay_ms": 1}
    rules = ("life > 5 and remedy == 'none' and churn.young1.gap_ms == 6",)
    found = lay_out(_sweep(fixed=fixed, axes=(axis,), drop=rules))
    assert found.points[0].values["churn.young1.gap_ms"] == 5
    assert found.points[1].dropped == rules[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drop": ("scan_dely_ms > 1",)}, "did you mean 'scan_delay_ms'"),
        ({"axes": (DELAY, DELAY)}, "scan_delay_ms is given twice"),
        ({"fixed": {"scan_delay_ms": 1}}, "scan_delay_ms is given twice"),
        ({"fixed": {"scan_sze_mb": 1}}, "did you mean 'scan_size_mb'"),
        ({"fixed": {"pin_fraction": 0.0}}, "vma_lifetime_ms is missing"),
        ({"replicates": 0}, "replicates = 0: must be at least 1"),
        ({"seed": -1}, "seed = -1: must be at least 0"),
        ({"axes": (Axis(name="pages", values=(1,)),)}, "unknown field of a sweep 'pages'"),
        ({"axes": (DELAY, Axis(name="ticks", values=(1, 1), fields=("hz",)))}, "holds 1 twice"),
        ({"axes": (DELAY, _hz(lowest=1, highest=2))}, "num = 0: at least 2"),
        ({"axes": (DELAY, _hz(lowest=1, highest=2, num=9))}, "holds 1 twice"),
    ],
)
def test_a_bad_sweep_is_one_line(given, message):
    with pytest.raises(InputError) as caught:
        lay_out(_sweep(**given))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"policy": "linux-9"}, "policy: unknown policy 'linux-9'; did you mean"),
        ({"fixed": {**FIXED, "policy": "linux-9"}}, "policy: unknown policy 'linux-9'"),
        ({"fixed": {**FIXED, "remedy": "mbnd"}}, "unknown remedy 'mbnd'; did you mean 'mbind'"),
        ({"fixed": {**FIXED, "hz": 250.0}}, "hz = 250.0: must be a whole number"),
        ({"fixed": {**FIXED, "pin_fraction": True}}, "pin_fraction = True: must be a number"),
        ({"fixed": {**FIXED, "vma.old.kind": "annon"}}, "must be one of anon, shmem"),
        ({"fixed": {**FIXED, "policy.name": "x"}}, "unknown rule 'name'"),
    ],
)
def test_a_fixed_value_that_its_field_cannot_take_is_refused(given, message):
    with pytest.raises(InputError) as caught:
        _sweep(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("policy", ("linux-7.2", "linux-9"), "unknown policy 'linux-9'"),
        ("policy", ("linux-7.2", "linux-7.2+mbnd"), "unknown remedy 'mbnd'"),
        ("remedy", ("none", "mbnd"), "unknown remedy 'mbnd'"),
        ("policy.pid_filter", (0, 1), "= 0: must be true or false"),
        ("policy.pid_memory", ("two-windows", "one-windw"), "must be one of two-windows"),
        ("hz", (250, 300.0), "= 300.0: must be a whole number"),
        ("lifetime", (1, 2), "= 1: must be text"),
        ("lifetime", Range(lowest=1, highest=2, num=2), "a range is of numbers, lifetime is not"),
        ("vma.old.thp", Range(lowest=0, highest=1, num=2), "a range is of numbers, vma.old.thp"),
    ],
)
def test_a_value_that_the_field_of_an_axis_cannot_take_is_refused(name, values, message):
    axis = Axis(name=name, values=values)
    ways = [{"axes": (DELAY, axis)}]
    ways += [] if isinstance(values, Range) else [{"sample": Sample(points=4, axes=(axis,))}]
    for given in ways:
        with pytest.raises(InputError) as caught:
            _sweep(**given)
        assert str(caught.value).startswith(f'axis "{name}"')
        assert message in str(caught.value)


def test_bounds_fail_a_point_and_not_the_sweep():
    axis = Axis(name="hz", values=(250, 251))
    assert len(lay_out(_sweep(axes=(DELAY, axis))).points) == 6


@pytest.mark.parametrize(("name", "fields"), [("hz", ("scan_size_mb",)), ("policy", ("hz",))])
def test_an_axis_does_not_bear_the_name_of_another_field(name, fields):
    with pytest.raises(InputError, match=f'axis "{name}": is the name of a field that it does not'):
        _sweep(axes=(DELAY, Axis(name=name, values=(250, 300), fields=fields)))
    _sweep(axes=(DELAY, Axis(name="lifetime_ms", values=(5, 6), fields=("churn.*.lifetime_ms",))))


def test_a_sample_says_points_and_not_num():
    axes = (Axis(name="pin_fraction", values=Range(lowest=0, highest=1, num=4)),)
    with pytest.raises(InputError, match=r'axis "pin_fraction": num = 4: a sample says points'):
        Sample(points=4, axes=axes)


def test_labels_of_a_sample_are_checked_before_it_runs():
    axes = (Axis(name="memory_mb", values=Range(lowest=0, highest=1e99)),)
    with pytest.raises(InputError, match="no finite number of 64 bits"):
        lay_out(_sweep(sample=Sample(points=4, axes=axes)))


def test_too_many_points_are_refused_before_they_are_laid_out():
    axes = (DELAY, Axis(name="pin_fraction", values=Range(lowest=0, highest=1, num=100_000)))
    axes += (Axis(name="scan_size_mb", values=tuple(range(1, 11))),)
    fixed = {"vma_lifetime_ms": 100}
    with pytest.raises(InputError, match="sweep: 3000000 points: at most 1000000"):
        lay_out(_sweep(fixed=fixed, axes=axes))
    with pytest.raises(InputError, match="12 points x 1000000 replicates: at most 10000000 runs"):
        lay_out(_sweep(replicates=1_000_000, axes=(DELAY, _hz(lowest=1, highest=4, num=4))))


def test_a_sobol_design_wants_a_power_of_two():
    with pytest.raises(InputError, match="such as 64 or 128"):
        Sample(points=100, axes=(DELAY,))
