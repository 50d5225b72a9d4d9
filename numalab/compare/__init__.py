"""The model beside a recording: counters, events, notifications; over many recordings.

A comparison is a function of two Datasets of the schema over ``replicate``, of simulated and of
recorded runs of one workload, and returns a Dataset of small arrays.
"""

from numalab.compare.by_counter import COUNTERS, EVENTS, at_end, counters, describe
from numalab.compare.by_event import events, pooled_skip_shares
from numalab.compare.by_notification import large_scans, notifications
from numalab.compare.by_task import tasks
from numalab.compare.over_recordings import over
from numalab.compare.predictions import ALL, predictions

__all__ = [
    "ALL",
    "COUNTERS",
    "EVENTS",
    "at_end",
    "counters",
    "describe",
    "events",
    "large_scans",
    "notifications",
    "over",
    "pooled_skip_shares",
    "predictions",
    "tasks",
]
