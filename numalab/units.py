"""Units as the kernel has them: pages, jiffies, ticks.

Jiffies never wrap here, so ``time_before(a, b)`` of the kernel is ``a < b``.
All functions are plain integers in, plain integers out, and jitted.
"""

from __future__ import annotations

from numalab.jit import jitted

PAGE_SHIFT = 12
PAGE_BYTES = 1 << PAGE_SHIFT
PAGES_PER_MB = 1 << (20 - PAGE_SHIFT)
HPAGE_PMD_NR = 512
"""4 KiB pages in a PMD-sized folio on x86-64."""
PMD_PAGES = HPAGE_PMD_NR
PUD_PAGES = HPAGE_PMD_NR * 512
"""Pages under one PUD entry: 1 GiB."""
NR_MAX_MIGRATE_PAGES_RETRY = 10
"""Passes of migrate_pages() over a folio that cannot be moved; v6.1 to v7.2."""
MSEC_PER_SEC = 1000
NSEC_PER_MSEC = 1_000_000
NSEC_PER_SEC = 1_000_000_000


@jitted
def msecs_to_jiffies(ms: int, hz: int) -> int:
    """Convert milliseconds to jiffies, rounding up as ``msecs_to_jiffies()`` does.

    Parameters
    ----------
    ms : int [ms]
    hz : int [1/s]

    Returns
    -------
    int [jiffies]

    Examples
    --------
    >>> msecs_to_jiffies(117, 250)
    30
    """
    return (ms * hz + MSEC_PER_SEC - 1) // MSEC_PER_SEC


@jitted
def tick_nsec(hz: int) -> int:
    """Length of a tick in ns: ``TICK_NSEC``, rounded to nearest.

    Examples
    --------
    >>> tick_nsec(250)
    4000000
    """
    return (NSEC_PER_SEC + hz // 2) // hz


@jitted
def align_up(value: int, step: int) -> int:
    """Round ``value`` up to a multiple of ``step`` (both in pages).

    Examples
    --------
    >>> align_up(513, 512)
    1024
    """
    return (value + step - 1) // step * step
