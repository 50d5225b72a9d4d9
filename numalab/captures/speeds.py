"""How fast a machine may be, as far as the repetitions of its calibration tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from numalab.machine import Speed

_OF_THE_QUICKEST = "scan_call_ns"
"""The calibration takes the least of its repetitions, not the median."""


def resampled(
    speed: Speed, raw: Mapping[str, Sequence[float]], count: int, seed: int
) -> list[Speed]:
    """Draw speeds of a machine anew: a bootstrap over the repetitions of each measurement.

    Parameters
    ----------
    speed : Speed
        What the calibration came to, from the median of each measurement.
    raw : mapping of str to sequence of float [ns]
        Every repetition, by field of Speed; other names are not looked at.
    count : int
        How many to draw.
    seed : int

    Returns
    -------
    list of Speed, length count
        In each, every field with several repetitions is multiplied by the median of as many
        repetitions, drawn with replacement, over the median of all.
    """
    known = {field.name for field in dataclasses.fields(Speed)} - {_OF_THE_QUICKEST}
    several = {n: np.array(raw[n]) for n in sorted(raw) if n in known and len(raw[n]) > 1}
    rng = np.random.default_rng(seed)
    speeds = []
    for _ in range(count):
        factors = {
            name: np.median(rng.choice(found, len(found))) / np.median(found)
            for name, found in several.items()
            if np.median(found) > 0
        }
        changed = {name: getattr(speed, name) * float(by) for name, by in factors.items()}
        speeds.append(dataclasses.replace(speed, **changed))
    return speeds
