"""What was published of the scan-rule patches, for a comparison of directions and sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from numalab import stats
from numalab.policy import get, with_rules
from numalab.report.tables import factor, plain

WITHOUT_START_SCAN_SEQ = with_rules(
    get("linux-6.7"), "6.7 without start_scan_seq", start_scan_seq=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """PTE updates of a benchmark before and after a change, and what stands for it here."""

    change: str
    benchmark: str
    before: float
    after: float
    source: str
    then: str
    """Policy of the model that stands for the state before."""
    now: str
    case: str
    """Workload of the model that comes nearest to the benchmark."""

    def log2(self) -> float:
        """Return the published change."""
        return float(np.log2(self.after / self.before))


SMALLEST = np.log2(1.05)
"""A smaller mean move than 5 % is not a direction."""
ALIKE = 1.0
"""Sizes are alike within a factor of 2."""
WAYS = ("alike", "same", "other", "none")
"""As published in direction and size, in direction only, the other way, no clear move."""

_V1 = "67bf778d592c39d02444825c416c2ed11d2ef4b2.1673610485.git.raghavendra.kt@amd.com"
_START = "84db47ca7146, cover of V1, 20 Oct 2023"

TABLE = (
    Published(
        change="rfc-v1", benchmark="autonuma", before=97494921, after=1239, source=_V1,
        then="linux-6.1", now="rfc-v1", case="shared",
    ),
    Published(
        change="rfc-v1", benchmark="kernbench", before=401910, after=322972, source=_V1,
        then="linux-6.1", now="rfc-v1", case="short",
    ),
    Published(
        change="rfc-v2", benchmark="autonuma", before=90670863, after=10952,
        source="cover.1675159422", then="linux-6.1", now="rfc-v2", case="shared",
    ),
    Published(
        change="6.4", benchmark="autonuma", before=152259275, after=50075,
        source="cover.1677672277", then="linux-6.1", now="linux-6.4", case="shared",
    ),
    Published(
        change="6.4", benchmark="kernbench", before=477310, after=392566,
        source="cover.1677672277", then="linux-6.1", now="linux-6.4", case="short",
    ),
    Published(
        change="fc137c0ddab2", benchmark="LKP numa01", before=52587827, after=2850465,
        source="202305101547.20f4c32a-oliver.sang@intel.com", then="gorman-prototype",
        now="linux-6.4", case="moved",
    ),
    Published(
        change="6.7 series", benchmark="NUMA01_TL", before=64272, after=26374386,
        source="f169c62ff7cd", then="linux-6.4", now="linux-6.7", case="moved",
    ),
    Published(
        change="84db47ca7146", benchmark="NUMA01_TL", before=394429, after=11121044,
        source=_START, then=WITHOUT_START_SCAN_SEQ.name, now="linux-6.7", case="moved",
    ),
    Published(
        change="84db47ca7146", benchmark="NUMA01", before=33929508, after=50116313,
        source=_START, then=WITHOUT_START_SCAN_SEQ.name, now="linux-6.7", case="shared",
    ),
    Published(
        change="84db47ca7146", benchmark="kernbench", before=1041416, after=831536,
        source=_START, then=WITHOUT_START_SCAN_SEQ.name, now="linux-6.7", case="short",
    ),
)  # fmt: skip
"""Counts of PTE updates, or of base-page range updates where those were printed.

``autonuma`` is all of autonumabench, most of it NUMA01, where all threads use all memory;
``NUMA01_TL`` is NUMA01_THREADLOCAL, ``LKP numa01`` the robot's numa01_THREAD_ALLOC, numa02 and
numa02_SMT, most of it the first: each thread has memory of its own.
"""


def _step(history: xr.DataArray, row: Published) -> xr.DataArray:
    """log2 of the model's PTE updates after a published change over those before."""
    at = history.sel(response="numa_pte_updates", case=row.case)
    return at.sel(policy=row.now) - at.sel(policy=row.then)


def _said(step: xr.DataArray) -> str:
    return f"x{stats.format_summary(2 ** stats.summary(step)).item()}"


def comparable(history: xr.DataArray) -> list[Published]:
    """Return the published changes whose workload was run."""
    return [row for row in TABLE if row.case in history["case"].values]


def way(history: xr.DataArray, row: Published) -> str:
    """Say whether the model moves as published; one of :data:`WAYS`.

    ``none`` is no clear move: the 95 % interval holds 1, or the mean is under 5 %.
    """
    step = _step(history, row)
    low, high = (float(x) for x in stats.mean_interval(step))
    mean = float(step.mean())
    if low <= 0 <= high or abs(mean) < SMALLEST:
        return "none"
    if (mean > 0) != (row.after > row.before):
        return "other"
    return "alike" if abs(mean - row.log2()) <= ALIKE else "same"


def agreement(history: xr.DataArray) -> str:
    """Say with how many published changes the model agrees, and list the others."""
    by_way: dict[str, list[str]] = {name: [] for name in WAYS}
    for row in comparable(history):
        found = way(history, row)
        here = f", here {_said(_step(history, row))}" if found == "other" else ""
        by_way[found].append(f"{row.change} {row.benchmark} ({factor(row.log2())}{here})")
    alike, same, other, none = by_way.values()
    total = len(alike + same + other + none)
    parts = [
        f"Of {total} published changes of the PTE updates the model agrees in direction with "
        f"{len(alike + same)}, in size (within a factor of {2**ALIKE:g}) with {len(alike)}"
    ]
    parts += [f"the other way: {', '.join(other)}"] if other else []
    parts += [f"not clear: {', '.join(none)}"] if none else []
    return "; ".join(parts) + "."


def against(history: xr.DataArray) -> str:
    """Table of published changes of the PTE updates and of the model's nearest workload.

    Parameters
    ----------
    history : xarray.DataArray
        log2 of counts, over (policy, case, replicate, response).
    """
    rows = [
        [
            row.change,
            row.benchmark,
            factor(row.log2()),
            row.case,
            _said(_step(history, row)),
            way(history, row),
        ]
        for row in comparable(history)
    ]
    header = ["change", "published", "by", "model", "by [95 %]", "way"]
    return plain(header, rows, left=2)
