"""Axes, ranges and designs: what a dimension, its labels and its values can be."""

import math

import numpy as np
import pandas as pd
import pytest

from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.sweep.axes import Range, fitted, read_axis
from numalab.sweep.design import FEWEST_SAMPLES, latin_hypercube, saltelli, sobol


def anything(**given):
    return None


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("coarse", "fine"), [(3, 5), (4, 10), (8, 15), (7, 61)])
def test_a_finer_range_meets_the_coarser_one_exactly(log, coarse, fine):
    few, many = (Range(lowest=0.3, highest=97.1, num=n, log=log).values() for n in (coarse, fine))
    assert few[0] == 0.3
    assert few[-1] == 97.1
    assert set(few) <= set(many)


def test_a_log_range_has_equal_ratios_and_whole_numbers_where_the_field_wants_them():
    given = Range(lowest=125, highest=16000, num=8, log=True)
    found = read_axis(lifetimes, "scan_delay_ms", given).labels
    assert found == (125, 250, 500, 1000, 2000, 4000, 8000, 16000)
    assert all(type(v) is int for v in found)


def test_whole_numbers_stay_between_the_bounds():
    assert Range(lowest=0.5, highest=9.5, num=4, whole=True).values() == (1, 4, 6, 9)
    with pytest.raises(InputError, match=r"no whole number lies from 1\.2 to 1\.8"):
        fitted(lifetimes, Range(lowest=1.2, highest=1.8), ["scan_size_mb"])


def test_a_range_is_whole_where_one_of_its_fields_wants_it():
    fields = ("scan_size_mb", "churn.*.gap_ms")
    found = read_axis(lifetimes, "both", Range(lowest=1, highest=4, num=2), fields)
    assert [type(v) for v in found.settings["churn.*.gap_ms"]] == [int, int]
    assert found.labels == (1, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lowest": -1e308, "highest": 1e308}, "lowest = -1e+308: must be at least -1e+100"),
        ({"lowest": 1e-320, "highest": 1, "log": True}, "must be above 0 with log"),
        ({"lowest": 3, "highest": 1}, "lowest = 3: must be below highest = 1"),
        ({"lowest": math.nan, "highest": 2}, "must be finite"),
        ({"lowest": 1, "highest": 2, "num": 100_001}, "num = 100001: must be at most 100000"),
    ],
)
def test_a_range_that_cannot_be_computed_is_refused(given, message):
    with pytest.raises(InputError) as caught:
        Range(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize("log", [False, True])
def test_the_widest_ranges_are_computed(log):
    found = Range(lowest=1e-100 if log else -1e100, highest=1e100, log=log)
    assert all(math.isfinite(found.at(share)) for share in (0.0, 0.3, 0.5, 1.0))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\0b", "a\nb", "a ", " a", "a`b", "a" * 101, "\ud800"]
)
def test_a_name_that_no_dimension_can_have_is_refused(name):
    with pytest.raises(InputError, match="not a name that a dimension can have") as caught:
        read_axis(anything, name, [1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["replicate", "status", "reason"])
def test_a_name_that_the_result_has_already_is_refused(name):
    with pytest.raises(InputError, match=f'axis "{name}": the result holds something else'):
        read_axis(anything, name, [1])


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
        ((1, 2, 1), "holds 1 twice"),
        ((16, 16.0), " twice"),
        (((1, 2), (1, 2)), " twice"),
        ((0.0, -0.0), " twice"),
        (Range(lowest=1, highest=2), "num = 0: at least 2"),
    ],
)
def test_values_that_cannot_be_labels_are_refused(values, message):
    with pytest.raises(InputError) as caught:
        read_axis(anything, "x", values)
    assert str(caught.value).startswith('axis "x": ')
    assert message in str(caught.value)


def test_labels_are_values_and_lists_their_text_or_what_they_are_called():
    assert read_axis(anything, "x", [(0,), (0, 1)]).labels == ("[0]", "[0, 1]")
    found = read_axis(anything, "x", {"none": None, "some": {1, 2}})
    assert found.labels == ("none", "some")
    assert found.settings == {"x": (None, {1, 2})}
    assert [type(v) for v in read_axis(anything, "x", np.linspace(0, 1, 3)).labels] == [float] * 3


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("policy", ("linux-7.2", "linux-9"), "unknown policy 'linux-9'"),
        ("policy", ("linux-7.2", "linux-7.2+mbnd"), "unknown remedy 'mbnd'"),
        ("remedy", ("none", "mbnd"), "unknown remedy 'mbnd'"),
        ("policy.pid_filter", (0, 1), "= 0: must be true or false"),
        ("policy.pid_memory", ("two-windows", "one-windw"), "must be one of two-windows"),
        ("hz", (250, 300.5), "= 300.5: must be a whole number"),
        ("lifetime", (1, 2), "= 1: must be text"),
        ("lifetime", Range(lowest=1, highest=2, num=2), "a range is of numbers, lifetime is not"),
        ("vma.old.thp", Range(lowest=0, highest=1, num=2), "a range is of numbers, vma.old.thp"),
        ("point", pd.DataFrame({"hz": [250, 300.5]}), "= 300.5: must be a whole number"),
        ("point", pd.DataFrame({"point": [1]}), "unknown field of a sweep 'point'"),
        ("hz", pd.DataFrame({"scan_size_mb": [16]}), "is the name of a field that it does not"),
    ],
)
def test_a_value_that_its_field_cannot_take_is_refused(name, values, message):
    with pytest.raises(InputError) as caught:
        read_axis(lifetimes, name, values)
    assert str(caught.value).startswith(f'axis "{name}"')
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "fields"), [("hz", ("scan_size_mb",)), ("policy", ("hz",))])
def test_an_axis_does_not_bear_the_name_of_another_field(name, fields):
    with pytest.raises(InputError, match=f'axis "{name}": is the name of a field that it does not'):
        read_axis(lifetimes, name, [250, 300], fields)
    read_axis(lifetimes, "lifetime_ms", [5, 6], ("churn.*.lifetime_ms",))


@pytest.mark.parametrize("method", [sobol, latin_hypercube])
def test_a_design_fills_every_stratum_of_every_axis(method):
    ranges = {"life": Range(lowest=10, highest=1000, log=True), "pin": (0, 1)}
    found = method(ranges, 64)
    assert found.shape == (64, 2)
    for shares in ((np.log10(found["life"]) - 1) / 2, found["pin"]):
        assert sorted(np.floor(shares * 64)) == list(range(64))
    pd.testing.assert_frame_equal(method(ranges, 64), found)
    assert not method(ranges, 64, seed=1).equals(found)


def test_a_design_chooses_from_a_list():
    names = ["linux-6.1", "linux-6.12", "linux-7.2", "rfc-v1"]
    assert set(sobol({"policy": names}, 64)["policy"].value_counts()) == {16}


def test_more_sobol_points_begin_with_the_fewer():
    few, many = (sobol({"x": (0, 1)}, n, seed=5) for n in (16, 64))
    pd.testing.assert_frame_equal(many[:16], few)


@pytest.mark.parametrize(
    ("ranges", "points", "message"),
    [
        ({"x": (0, 1)}, 100, "a Sobol design needs a power of 2, such as 64 or 128"),
        ({"x": Range(lowest=0, highest=1, num=4)}, 4, "x: num = 4: a design says points, not num"),
        ({}, 4, "design: no parameters: give at least one range"),
    ],
)
def test_a_design_that_makes_no_sense_is_refused(ranges, points, message):
    with pytest.raises(InputError, match=message):
        sobol(ranges, points)


def test_a_seed_below_zero_is_refused():
    for design in (sobol, latin_hypercube, saltelli):
        with pytest.raises(InputError, match="seed = -1: must be at least 0"):
            design({"x": (0, 1)}, 16, seed=-1)


def test_saltellis_points_move_one_parameter_at_a_time_from_the_first_to_the_second():
    ranges = {"a": (-1.0, 5.0), "b": Range(lowest=1, highest=64, log=True), "c": (0, 1)}
    found = saltelli(ranges, 32, seed=3)
    assert found.index.name == "point"
    blocks = found.to_numpy().reshape(32, 5, 3)
    first, last = blocks[:, 0], blocks[:, -1]
    for i in range(3):
        moved = first.copy()
        moved[:, i] = last[:, i]
        np.testing.assert_array_equal(blocks[:, 1 + i], moved)
    for column, low, high in zip(blocks.transpose(2, 0, 1), (-1, 1, 0), (5, 64, 1), strict=True):
        assert low <= column.min() < column.max() <= high
    assert np.median(blocks[:, [0, -1], 1]) == pytest.approx(8, rel=0.1), "even in the logarithm"
    pd.testing.assert_frame_equal(saltelli(ranges, 32, seed=3), found)
    assert not saltelli(ranges, 32, seed=4).equals(found)


def test_rows_of_saltellis_design_set_fields_together():
    knobs = {"scan_size_mb": Range(lowest=64, highest=1024, log=True, whole=True)}
    design = saltelli(knobs | {"pin_fraction": (0, 1)}, 16)
    axis = read_axis(lifetimes, "point", design)
    assert axis.settings["pin_fraction"] == tuple(design["pin_fraction"])
    assert {type(v) for v in axis.settings["scan_size_mb"]} == {int}
    assert axis.labels == tuple(range(64))


@pytest.mark.parametrize(
    ("bounds", "n", "message"),
    [
        ({"a": (0, 1)}, 100, "n = 100: must be a power of 2, and at least 16"),
        ({"a": (0, 1)}, 8, "n = 8: must be a power of 2, and at least 16"),
        ({"a": (1, 1)}, 16, "lowest = 1: must be below highest = 1"),
        ({"a": (0, math.inf)}, 16, "highest = inf: must be finite"),
        ({"a": ["x", "y"]}, 16, r"a = \['x', 'y'\]: must be a range, or \(lowest, highest\)"),
        ({}, 16, "no parameters"),
    ],
)
def test_a_design_of_saltelli_that_makes_no_sense_is_refused(bounds, n, message):
    assert FEWEST_SAMPLES == 16
    with pytest.raises(InputError, match=message):
        saltelli(bounds, n)
