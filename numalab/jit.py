"""How every function of the engine is compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

_OPTIONS: Any = {"cache": True, "nogil": True, "_nrt": False}
jitted: Any = njit(**_OPTIONS)
"""Compile, keep the result on disk, release the GIL, and count no references.

The engine allocates nothing, so the arrays it is handed outlive every call; counting
references to them costs more than the work (measured: a factor of 20 on small runs).
"""

drawing: Any = njit(cache=True, nogil=True)
"""The same for functions that draw from a Generator, which numba counts references to."""
