"""Sweep files edited at random: each is planned, or refused in one line."""

from __future__ import annotations

import random

from numalab.fields import InputError
from numalab.sweep import sweep_file
from numalab.sweep.points import points_of
from tests.command import ROOT
from tests.fuzz import _loop

FOLDER = ROOT / "data/sweeps"
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml"))]
TEXTS.append((ROOT / "docs/sweeps.md").read_text().split("```toml\n")[1].split("```")[0])
MOST_POINTS = 2000
"""Points of a sweep that are built; a sweep may have a million of them."""


def one(rng: random.Random) -> str:
    """Read an edited file, and build its points if they are few."""
    try:
        found = sweep_file.parse(_loop.edited(rng, rng.choice(TEXTS)), folder=FOLDER)
        count = 1
        for size in found.shape:
            count *= size
        if count > MOST_POINTS:
            return "read"
        points = points_of(found)
    except InputError as error:
        return _loop.refusal(error)
    for point in points:
        assert point.start or point.reason.isprintable()
    return "planned"


if __name__ == "__main__":
    _loop.main(one)
