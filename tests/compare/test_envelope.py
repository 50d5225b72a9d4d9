"""What an answer lies outside of, and model errors that are known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from numalab.captures import open_recording
from numalab.catalog import threads
from numalab.catalog.lifetimes import lifetimes
from numalab.compare import COUNTERS, EVENTS, envelope
from numalab.fields import InputError

TWO = ["data/captures/cold/6.1", "data/captures/churn-long/7.2"]


@pytest.fixture(scope="module")
def made():
    return [open_recording(folder) for folder in TWO]


def test_what_a_workload_is_measured_by():
    w = lifetimes(scan_delay_ms=1000, vma_lifetime_ms=50, pin_fraction=0.25, churn_pin_fraction=0.5)
    assert envelope.reach(w) == {"threads": 3, "mappings": 3, "MB": 96, "s": 60, "pinned": 50}
    held = envelope.reach(threads.disjoint(4, 0, 9000))
    assert held == {"threads": 4, "mappings": 4, "MB": 96, "s": 9, "pinned": 0}


def test_each_measure_that_is_exceeded_is_named_with_how_far(made):
    held = [envelope.reach(one.calibrated_workload) for one in made]
    most = {name: max(one[name] for one in held) for name in held[0]}
    asked = threads.disjoint(64, 0, 1000 * 40 * most["s"])
    text = envelope.line([threads.disjoint(2, 0, 5000), asked], ["linux-6.1", "rfc-v1"], made)
    assert text.startswith("Validated by recordings on 6.1, 7.2 up to ")
    assert f"{64 / most['threads']:.2g} times" in text
    assert f"{40 * most['s']:.0f} s (40 times)" in text
    assert text.endswith("kernels not recorded (rfc-v1).")


def test_what_was_recorded_is_not_outside(made):
    text = envelope.line([one.workload for one in made], ["linux-6.1", "linux-7.2"], made)
    assert text.endswith("; this is not outside.")


def test_all_recordings_are_found_without_reading_their_runs():
    found = envelope.recordings()
    assert {one.generation for one in found} == {"6.1", "6.12", "7.2"}
    assert not any("_runs" in vars(one) for one in found)


@pytest.fixture
def errors(tmp_path):
    """39 recordings of 6.1 that the model is from 1/2 to 8 times too high of, and one of 7.2."""
    log2 = np.linspace(-1, 3, 39)
    cells = xr.Dataset(
        {"log2_ratio": (("cell", "counter"), [*([x, 0.0] for x in log2), [np.nan, 0.0]])},
        coords={
            "counter": ["numa_pte_updates", "scans"],
            "workload": ("cell", [f"w{i}" for i in range(40)]),
            "generation": ("cell", [*["6.1"] * 39, "7.2"]),
        },
    )
    rows = envelope.errors(cells, "seen")
    assert rows["set"].eq("seen").all() and len(rows) == 80
    path = tmp_path / "errors.csv"
    path.write_text("# model of a test\n" + rows.to_csv(index=False))
    return path


def test_the_error_of_a_counter_on_a_kernel(errors):
    found = envelope.model_error("numa_pte_updates", "linux-6.1", errors)
    assert found.values == pytest.approx([2.0, 0.5, 8.0])
    assert (found.attrs["recordings"], found.attrs["only_one_zero"]) == (39, 0)
    other = envelope.model_error("numa_pte_updates", "rfc-v1", errors)
    assert (other.attrs["recordings"], other.attrs["only_one_zero"]) == (40, 1)
    text = envelope.error_line("numa_pte_updates", "rfc-v1", errors)
    assert "(rfc-v1, 40 recordings): model / recorded is 2.00 in the median" in text
    assert text.endswith("in 1 only one was 0.")


def test_an_error_that_nobody_measured_is_refused(errors):
    with pytest.raises(InputError, match="counter = 'remote_s': must be one of"):
        envelope.model_error("remote_s", "linux-6.1", errors)


def test_where_the_model_was_too_high_the_kernel_may_be_lower(errors):
    """The model is up to 8 times too high and 2 times too low: 16 may be 2 to 32."""
    error = envelope.model_error("numa_pte_updates", "linux-6.1", errors)
    exact = xr.DataArray([16.0, 16.0, 16.0], {"statistic": ["mean", "low", "high"]})
    assert envelope.with_model_error(exact, error).values == pytest.approx([16, 2, 32])
    wide = exact.copy(data=[16.0, 1.0, 256.0])  # four powers of two on either side
    found = np.log2(envelope.with_model_error(wide, error).values)
    assert found == pytest.approx([4, 4 - 5, 4 + np.hypot(4, 1)])
    with pytest.raises(InputError, match="not above 0"):
        envelope.with_model_error(exact * 0, error)


def test_the_file_on_disk_names_every_counter_kernel_and_set():
    rows = pd.read_csv(envelope.ERRORS, comment="#", dtype={"generation": str})
    assert {*rows["set"]} == {"captures", "blind", "foreign"}
    assert {*rows["generation"]} == {"6.1", "6.12", "7.2"}
    assert {*rows["counter"]} == {*COUNTERS, *EVENTS}
