"""From one run to named numbers: one definition of each.

A measure is a function of the Dataset of one run, simulated or recorded, without a dimension
``replicate``. It returns a dict of scalars and small DataArrays. What else it needs is given by
keyword, with ``functools.partial``.
"""

from numalab.measures.locality import moving, remote_s, remote_share
from numalab.measures.notifications import (
    evictions,
    largest_scan,
    longest_range,
    notified_halves,
    notified_per_minute,
    notified_per_scan,
    notified_ranges,
    standing,
)
from numalab.measures.run import each_run, workload_of
from numalab.measures.scans import each_scan, first_scan, scans, walked

__all__ = [
    "each_run",
    "each_scan",
    "evictions",
    "first_scan",
    "largest_scan",
    "longest_range",
    "moving",
    "notified_halves",
    "notified_per_minute",
    "notified_per_scan",
    "notified_ranges",
    "remote_s",
    "remote_share",
    "scans",
    "standing",
    "walked",
    "workload_of",
]
