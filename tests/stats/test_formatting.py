"""How numbers with intervals are written."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from numalab import stats


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((12.345, 11.9, 12.8), "12.3 [11.9, 12.8]"),
        ((12.345, 11.1, 13.6), "12.3 [11.1, 13.6]"),
        ((12.345, 8.0, 16.4), "12 [8, 16]"),
        ((100.0, 83.2, 100.0), "100 [83, 100]"),
        ((0.00123, 0.00119, 0.00131), "0.00123 [0.00119, 0.00131]"),
        ((1234567, 1_100_000, 1_300_000), "1.23M [1.10M, 1.30M]"),
        ((531_246, 531_000, 531_400), "531246 [531000, 531400]"),
        ((-0.01, -2.0, 1.9), "0.0 [-2.0, 1.9]"),
        ((0.05, 0.0001, 2.0), "0.05 [0.00, 2.00]"),
        ((2.0, 1.0, np.inf), "2.0 [1.0, inf]"),
        ((7.0, 7.0, 7.0), "7 [identical]"),
        ((-0.141519, -0.141536, -0.141508), "-0.1415 [-0.1415, -0.1415]"),
        ((114536.0, 114534.6, 114538.3), "114536 [114535, 114538]"),
    ],
)
def test_the_interval_decides_the_digits(found, text):
    assert stats.format_interval(*found) == text


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_what_is_written_is_within_a_third_of_the_half_width(mean, half):
    half += 1e-6 * abs(mean)
    text = stats.format_interval(mean, mean - half, mean + half)
    written = float(text.split(" [")[0].replace("M", "e6").replace("G", "e9"))
    assert abs(written - mean) <= max(0.51, half / 3 + 1e-3 * abs(mean))


def test_a_summary_is_written_cell_by_cell():
    rng = np.random.default_rng(0)
    da = xr.DataArray(
        rng.normal([[5], [9]], 1, (2, 20)), {"policy": ["a", "b"]}, ("policy", "replicate")
    )
    found = stats.summary(da)
    texts = stats.format_summary(found, "ms").to_pandas()
    assert texts["b"] == stats.format_interval(*map(float, found.sel(policy="b")), "ms")
    assert stats.describe(da.sel(policy="b"), "ms") == texts["b"]


def test_identical_runs_are_said_to_be_identical():
    same = xr.DataArray([0.3, 0.1 * 3, 0.3], dims="trial")
    assert stats.describe(same, dim="trial") == "0.3 (identical in all 3 runs)"
