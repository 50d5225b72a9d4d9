"""Named records: arrays of structs whose fields read as attributes, jitted or not."""

from __future__ import annotations

from typing import Any

import numpy as np


def record(integers: str, floats: str = "") -> np.dtype:
    """Return a record of int64 fields, then of float64 fields; names are separated by blanks."""
    kinds = (("i8", integers), ("f8", floats))
    return np.dtype([(name, kind) for kind, names in kinds for name in names.split()])


def records(dtype: np.dtype, count: int) -> Any:
    """Return ``count`` zeroed records.

    Returns
    -------
    numpy.recarray, shape (count,)
    """
    return np.zeros(count, dtype=dtype).view(np.recarray)
