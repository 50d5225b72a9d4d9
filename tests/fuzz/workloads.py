"""Workload files edited at random: each is read, or refused in one line."""

from __future__ import annotations

import random

from numalab import workload_file
from numalab.fields import InputError
from tests.command import ROOT
from tests.fuzz import _loop

TEXTS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "data/workloads").glob("*"))]


def one(rng: random.Random) -> str:
    """Read an edited file; one that can be read is written and read as itself."""
    try:
        found = workload_file.parse(_loop.edited(rng, rng.choice(TEXTS)))
    except InputError as error:
        return _loop.refusal(error)
    assert workload_file.parse(workload_file.text(found)) == found
    return "read"


if __name__ == "__main__":
    _loop.main(one)
