"""Speeds of a machine, drawn from the repetitions of its calibration."""

import dataclasses

import numpy as np

from numalab.captures.speeds import resampled
from numalab.machine import Speed

SPEED = Speed(hint_fault_ns=100.0, scan_call_ns=50.0, touch_walk_ns=3.0)


def test_only_what_was_measured_several_times_is_drawn():
    raw = {
        "hint_fault_ns": [90.0, 100.0, 120.0],
        "scan_call_ns": [50.0, 80.0],
        "touch_walk_ns": [3.0],
        "guest refault_ns": [1.0, 2.0],
    }
    drawn = resampled(SPEED, raw, 200, 1)
    assert {s.hint_fault_ns for s in drawn} == {90.0, 100.0, 120.0}
    assert {dataclasses.replace(s, hint_fault_ns=100.0) for s in drawn} == {SPEED}


def test_a_cost_that_follows_from_a_measurement_changes_with_it():
    """A migration is measured with its fault, which is taken off."""
    speed = dataclasses.replace(SPEED, migrate_page_ns=30.0)
    raw = {"migrate_page_ns": [100.0, 130.0, 260.0]}
    found = np.array([s.migrate_page_ns for s in resampled(speed, raw, 200, 1)])
    assert np.allclose(np.unique(found), np.array([100, 130, 260]) * 30 / 130)


def test_the_same_seed_draws_the_same():
    raw = {"hint_fault_ns": [90.0, 100.0, 120.0]}
    assert resampled(SPEED, raw, 8, 3) == resampled(SPEED, raw, 8, 3)
    assert resampled(SPEED, raw, 8, 3) != resampled(SPEED, raw, 8, 4)


def test_without_repetitions_the_speed_is_the_calibrated_one():
    assert resampled(SPEED, {}, 2, 0) == [SPEED, SPEED]
