"""Whether the model notifies a guest of what a kernel notified it of, call by call."""

from __future__ import annotations

import numpy as np
import xarray as xr

from numalab import measures
from numalab.compare.by_counter import beside, runs_of
from numalab.stats import prediction_interval
from numalab.units import PAGES_PER_MB

Ranges = tuple[tuple[int, int], ...]


def counts(ds: xr.Dataset) -> xr.DataArray:
    """Notifications of the guest's memory in each run; int64[count, replicate].

    Over ``count``: notifications by scans (``scan_calls``) and the pages that they name
    (``scan_pages``), notifications by migrations (``migrate_calls``). A recorded guest has one
    VMA, the first.
    """
    guest = ds.isel(vma=0, drop=True)
    found = {
        "scan_calls": guest["notifier_calls"].sel(why="scan", drop=True),
        "scan_pages": guest["notifier_pages"].sel(why="scan", drop=True),
        "migrate_calls": guest["notifier_calls"].sel(why="migrate", drop=True),
    }
    return xr.concat(list(found.values()), "count", combine_attrs="drop").assign_coords(
        count=list(found)
    )


def notifications(simulated: xr.Dataset, recorded: xr.Dataset) -> xr.Dataset:
    """Set the model's notifications beside the recorded ones.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        Of the schema, with dimension ``replicate``; at least 39 simulated runs.

    Returns
    -------
    xarray.Dataset
        Over ``count``: ``recorded_median``, ``model_median``, ``low``, ``high``, ``inside``,
        ``recorded`` (count, run); ``same_ranges``: share of the recorded notifications by
        scans whose range the model sends too, NaN if none was recorded; ``same_order``: share
        of the recorded runs of which the ranges, one after the other, are those of a simulated
        run as far as the shorter of the two goes; ``same_calls``: of which all of them are;
        ``largest_scan`` recorded and ``model_largest_scan`` [pages].
    """
    model, real = _ranges(simulated), _ranges(recorded)
    known = {one for ranges in model for one in ranges}
    sent = [one for ranges in real for one in ranges]
    return beside(counts(simulated), counts(recorded)).assign(
        same_ranges=np.mean([one in known for one in sent]) if sent else np.nan,
        same_order=np.mean([any(_agree(x, y) for y in set(model)) for x in real]),
        same_calls=np.mean([x in model for x in real]),
        largest_scan=_largest_scan(recorded),
        model_largest_scan=_largest_scan(simulated),
    )


def large_scans(simulated: xr.Dataset, recorded: xr.Dataset) -> xr.Dataset:
    """Set scans of a guest that is larger than one may walk beside the model's.

    Parameters
    ----------
    simulated, recorded : xarray.Dataset
        As of :func:`notifications`.

    Returns
    -------
    xarray.Dataset
        Text: ``one scan`` recorded and ``model``, the largest of all runs [MB]; ``first half`` and
        ``last half`` of the run [MB], recorded median and the model's 95 % interval.
    """
    how = (measures.largest_scan, measures.notified_halves)
    mine, real = (measures.each_run(ds, *how) / PAGES_PER_MB for ds in (simulated, recorded))
    most = [ds["largest_scan"].max() for ds in (real, mine)]
    found = {"one scan": f"{most[0].item():.0f}", "model": f"{most[1].item():.0f}"}
    for name, half in {"first half": "first_half", "last half": "second_half"}.items():
        ends = prediction_interval(mine[half])
        found[name] = "{:.0f} [{:.0f}, {:.0f}]".format(real[half].median().item(), *ends.values)
    return xr.Dataset(found)


_TABLE = ("notify_ms", "notify_vma", "notify_why", "notify_pages", "notify_start", "notify_chunk")


def _ranges(ds: xr.Dataset) -> list[Ranges]:
    return [measures.notified_ranges(run) for run in runs_of(ds, *_TABLE)]


def _largest_scan(ds: xr.Dataset) -> int:
    runs = runs_of(ds, *_TABLE, "chunk_scan")
    return max(int(measures.largest_scan(run)["largest_scan"]) for run in runs)


def _agree(one: Ranges, other: Ranges) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter] and (shorter > 0 or len(one) == len(other))
