"""Axes: ranges, and what a dimension and its labels can be."""

import math

import numpy as np
import pytest

from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.sweeps.axes import Axis, Range


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


def test_a_step_stays_between_the_bounds():
    found = Range(lowest=10, highest=1000, log=True, step=16)
    assert [found.at(s) for s in (0, 0.1, 0.9, 1)] == [16, 16, 624, 992]
    down = Range(lowest=-9, highest=9, step=4)
    assert [down.at(s) for s in (0, 0.5, 1)] == [-8, 0, 8]
    assert Range(lowest=0.3, highest=0.7, step=0.1).at(0) == 0.3
    assert Range(lowest=0.3, highest=0.7, step=0.1).at(1) == 0.7


def test_whole_numbers_stay_between_the_bounds():
    axis = Axis(name="scan_size_mb", values=Range(lowest=0.5, highest=9.5, num=4))
    assert axis.spread(lifetimes) == (1, 4, 6, 9)
    narrow = Axis(name="scan_size_mb", values=Range(lowest=1.2, highest=1.8, num=2))
    with pytest.raises(InputError, match="no multiple of 1 lies between"):
        narrow.spread(lifetimes)


def test_a_range_is_whole_where_one_of_its_fields_wants_it():
    axis = Axis(
        name="both",
        values=Range(lowest=1, highest=4, num=2),
        fields=("scan_size_mb", "churn.*.gap_ms"),
    )
    assert [type(v) for v in axis.spread(lifetimes)] == [int, int]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lowest": -1e308, "highest": 1e308}, "lowest = -1e+308: must be at least -1e+100"),
        ({"lowest": 1e-320, "highest": 1, "log": True}, "must be above 0 with log"),
        ({"lowest": 1, "highest": 1e308, "log": True}, "must be at most 1e+100"),
        ({"lowest": 1, "highest": 2, "step": 1e-300}, "step = 1e-300: finer than the 12 digits"),
        ({"lowest": 6, "highest": 9, "step": 5}, "no multiple of 5 lies between from = 6 and"),
        ({"lowest": math.nan, "highest": 2}, "must be finite"),
        ({"lowest": 1, "highest": 2, "num": 100_001}, "num = 100001: must be at most 100000"),
    ],
)
def test_a_range_that_cannot_be_computed_is_refused(given, message):
    with pytest.raises(InputError) as caught:
        Range(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("step", [0.0, 1e88])
def test_the_widest_ranges_are_computed(log, step):
    lowest = 1e-100 if log else -1e100
    found = Range(lowest=lowest, highest=1e100, log=log, step=step)
    assert all(math.isfinite(found.at(share)) for share in (0.0, 0.3, 0.5, 1.0))


def test_a_step_of_no_whole_number_is_refused_for_whole_fields():
    axis = Axis(name="scan_size_mb", values=Range(lowest=1, highest=9, num=3, step=2.5))
    with pytest.raises(InputError, match=r'axis "scan_size_mb": step = 2\.5: holds whole numbers'):
        axis.spread(lifetimes)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\0b", "a\nb", "a ", " a", "a" * 101, "\ud800"]
)
def test_a_name_that_no_dimension_can_have_is_refused(name):
    with pytest.raises(InputError, match="not a name that a dimension can have") as caught:
        Axis(name=name, values=(1,))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["replicate", "point", "status", "reason", "touches", "skips_unsuitable"]
)
def test_a_name_that_the_result_has_already_is_refused(name):
    with pytest.raises(InputError, match=f'axis "{name}": the result holds something else'):
        Axis(name=name, values=(1,))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1, 1 << 63), "9223372036854775808: no finite number of 64 bits"),
        ((1.0, math.nan), "nan: no finite number"),
        ((1.0, math.inf), "inf: no finite number"),
        (({"a": 1},), "no finite number of 64 bits, printable text"),
        ((None,), "None: no finite"),
        (("a", "b\0"), "printable text"),
        (((1, (None,)),), "or list of them"),
        ((1, "x"), "holds 1 and 'x': must be all numbers"),
        ((True, 1), "holds True and 1: must be all numbers"),
        ((), "holds no value"),
        ("abc", "values = 'abc': must be a list"),
    ],
)
def test_values_that_cannot_be_labels_are_refused(values, message):
    with pytest.raises(InputError) as caught:
        Axis(name="x", values=values)
    assert str(caught.value).startswith('axis "x": ')
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "values", [(1, 2, 1), (16, 16.0), ("a", "a"), ((1, 2), (1, 2)), (0.0, -0.0)]
)
def test_equal_labels_are_refused(values):
    with pytest.raises(InputError, match=r" twice$"):
        Axis(name="x", values=values).spread(lambda **given: None)


def test_many_values_are_no_matter():
    values = tuple(range(200_000))
    assert Axis(name="x", values=values).spread(lambda **given: None) == values


def test_values_of_numpy_are_values():
    axis = Axis(name="x", values=np.linspace(0, 1, 3))
    assert [type(v) for v in axis.values] == [float] * 3
    assert Axis(name="x", values=list(np.arange(3))).values == (0, 1, 2)


def test_labels_are_values_and_lists_their_text():
    axis = Axis(name="x", values=((0,), (0, 1)))
    assert axis.labels(axis.values).tolist() == ["[0]", "[0, 1]"]
    assert Axis(name="x", values=(True, False)).labels((True,)).dtype == bool
