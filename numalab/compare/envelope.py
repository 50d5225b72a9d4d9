"""How far an answer lies outside the recordings, and how far the model was from these.

Chance is what an interval over replicates shows. The model's own error is not in it: that is how
far the model was from recorded runs of the same counter on the same kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from numalab.captures import Recording, find
from numalab.compare.by_counter import COUNTERS, EVENTS
from numalab.fields import InputError
from numalab.stats.formatting import format_number
from numalab.vma import Vma
from numalab.workload import Churn, Workload

FOLDERS = ("data/captures", "data/drawn/blind", "data/drawn/foreign", "data/guests")
"""Recordings that the model was held against."""
ERRORS = "data/model_error.csv"
"""What ``python data/model_error.py`` writes: see there."""
_UNITS = {"threads": "threads", "mappings": "mappings", "MB": "MB", "s": "s", "pinned": "% pinned"}


def reach(workload: Workload) -> dict[str, float]:
    """Return what a workload is measured by: threads, mappings, MB, seconds, per cent pinned.

    Mappings that come and go count once, with their thread.
    """
    mappings: tuple[Vma | Churn, ...] = (*workload.vmas, *workload.churns)
    return {
        "threads": len(workload.tasks) + len(workload.churns),
        "mappings": sum(getattr(one, "count", 1) for one in mappings),
        "MB": sum(one.size_mb * getattr(one, "count", 1) for one in mappings),
        "s": workload.duration_ms / 1000,
        "pinned": 100 * max((one.pinned_fraction for one in mappings), default=0.0),
    }


def recordings(folders: Iterable[str | Path] = FOLDERS) -> list[Recording]:
    """Return the recordings of all folders; their runs are not read."""
    return [one for folder in folders for one in find(folder)]


def line(
    asked: Sequence[Workload], policies: Sequence[str], made: Sequence[Recording] | None = None
) -> str:
    """Say in one line what was recorded, and by what an answer lies outside.

    Parameters
    ----------
    asked : sequence of Workload
        The largest of those that the answer is about.
    policies : sequence of str
        Their names; a kernel generation, such as ``linux-6.12``, may be recorded.
    made : sequence of Recording, optional
        Else all :func:`recordings`.

    Returns
    -------
    str
    """
    made = recordings() if made is None else made
    held = [reach(one.calibrated_workload) for one in made]
    kernels = [*dict.fromkeys(sorted((one.generation for one in made), key=_version))]
    most, here = (
        {name: max(one[name] for one in rows) for name in _UNITS}
        for rows in (held, [reach(one) for one in asked])
    )
    times = {name: f" ({here[name] / most[name]:.2g} times)" for name in _UNITS if most[name]}
    outside = [_of(here, n) + times.get(n, "") for n in _UNITS if here[n] > most[n] * (1 + 1e-9)]
    unseen = [p for p in policies if p.removeprefix("linux-") not in kernels]
    outside += [f"kernels not recorded ({', '.join(unseen)})"] if unseen else []
    return (
        f"Validated by recordings on {', '.join(kernels)} up to "
        f"{', '.join(_of(most, name) for name in _UNITS)}; "
        f"this is {'outside by ' + ', '.join(outside) if outside else 'not outside'}."
    )


def _of(measured: dict[str, float], name: str) -> str:
    return f"{format_number(measured[name])} {_UNITS[name]}"


def _version(generation: str) -> tuple[int, ...]:
    return tuple(int(part) for part in generation.split("."))


def errors(table: xr.Dataset, name: str) -> pd.DataFrame:
    """Return how far the model was from each recording: rows of :data:`ERRORS`.

    Parameters
    ----------
    table : xarray.Dataset
        From :func:`numalab.compare.over`, of counters.
    name : str
        Of the set of recordings.

    Returns
    -------
    pandas.DataFrame
        ``set``, ``workload``, ``generation``, ``counter``, ``log2_ratio``: of the simulated median
        over the recorded mean; missing where only one of them is 0.
    """
    rows = table["log2_ratio"].to_dataframe().reset_index().round({"log2_ratio": 4})
    return rows.assign(set=name)[["set", "workload", "generation", "counter", "log2_ratio"]]


def model_error(counter: str, policy: str, path: str | Path = ERRORS) -> xr.DataArray:
    """Return the model's error of a counter on a kernel, as factors on what was recorded.

    Parameters
    ----------
    counter : str
        One of :data:`numalab.compare.COUNTERS` or :data:`numalab.compare.EVENTS`.
    policy : str
        A kernel generation; of any other policy the recordings of all kernels count.
    path : path
        Of :data:`ERRORS`.

    Returns
    -------
    xarray.DataArray
        Over ``statistic``: the median of simulated over recorded (value), and between what it
        lies in 95 % of the recordings (low, high): quantiles of type 6, as of
        :func:`numalab.stats.prediction_interval`; with fewer than 39 the lowest and the highest.
        ``attrs``: ``recordings``, and of these ``only_one_zero``, which have no ratio.

    Raises
    ------
    InputError
        For a counter that was not compared.
    """
    rows = pd.read_csv(path, comment="#", dtype={"generation": str})
    mine = rows[rows["counter"] == counter]
    if mine.empty:
        raise InputError(f"counter = {counter!r}: must be one of {[*COUNTERS, *EVENTS]}")
    here = mine[mine["generation"] == policy.removeprefix("linux-")]["log2_ratio"]
    here = here if len(here) else mine["log2_ratio"]
    found = 2 ** np.quantile(here.dropna(), [0.5, 0.025, 0.975], method="weibull")
    attrs = {"recordings": len(here), "only_one_zero": int(here.isna().sum())}
    return xr.DataArray(found, {"statistic": ["value", "low", "high"]}, attrs=attrs)


def with_model_error(found: xr.DataArray, error: xr.DataArray) -> xr.DataArray:
    """Widen the interval of a number above 0 by the model's error, as of independent factors.

    Parameters
    ----------
    found : xarray.DataArray
        Over ``statistic`` (mean or value, low, high), all above 0: chance alone.
    error : xarray.DataArray
        From :func:`model_error`. What the model finds is its value times what a kernel would do,
        so the interval goes up where the model was too low.

    Returns
    -------
    xarray.DataArray
        Like ``found``; the first of ``statistic`` stays.
    """
    if not bool((found > 0).all()):
        raise InputError("a number that is not above 0 has no interval of factors")
    (value, low, high), (_, least, most) = (
        [np.log2(da.isel(statistic=i, drop=True)) for i in range(3)] for da in (found, error)
    )
    down, up = (
        np.hypot(value - low, np.maximum(most, 0)),
        np.hypot(high - value, np.minimum(least, 0)),
    )
    ends = xr.concat([value, value - down, value + up], found["statistic"])
    return (2**ends).transpose(*found.dims)


def error_line(counter: str, policy: str, path: str | Path = ERRORS) -> str:
    """Say the model's error of a counter on a kernel, in a sentence to stand beside chance."""
    error = model_error(counter, policy, path)
    value, low, high = (f"{x:.2f}" for x in error.values)
    text = f"Model error of {counter} ({policy}, {error.attrs['recordings']} recordings): model / "
    text += f"recorded is {value} in the median, {low} to {high} in 95 %"
    zero = error.attrs["only_one_zero"]
    return f"{text}; in {zero} only one was 0." if zero else f"{text}."
