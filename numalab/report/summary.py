"""What commands print: of runs, as text or as JSON, and of a comparison."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from numalab.compare import describe
from numalab.dataset import provenance
from numalab.report import frames
from numalab.report.answers import answers, of_tasks, skips
from numalab.stats import format_number

_SKIPS = 5
"""Lines of skips, the largest."""
_TASKS = 8
"""Tasks of the table; of more, those with most CPU time."""
_LINE = 79
_WIDTH = 100
"""Room of a table: half of it, less the gaps, for the labels of rows."""
_LABELS = {
    "sum_exec_runtime": "CPU time [ms]",
    "touches": "touches [pages]",
    "scans": "scans",
}


def lines(ds: xr.Dataset, notes: list[str]) -> str:
    """Return what is asked of runs first: median, least and most over the runs."""
    found = answers(ds)
    rows = {_label(da): _spread(da.values) for da in found.values()}
    parts = [_head(ds), _table(rows, "at the end of a run")]
    if left_out := provenance(ds).get("chunks_dropped"):
        parts.append(f"scans are not counted: the table of chunks is full, up to {left_out} lost")
    if skipped := skips(ds):
        named = {f"{vma}: {reason}": _spread(times) for vma, reason, times in skipped[:_SKIPS]}
        parts.append(_table(named, _of("skipped", len(skipped), _SKIPS)))
    parts.append(_tasks(of_tasks(ds)))
    return "\n".join([*parts, *(_note(one) for one in notes)])


def _note(line: str) -> str:
    return textwrap.fill(f"note: {line}", _LINE, subsequent_indent="  ", break_on_hyphens=False)


def _head(ds: xr.Dataset) -> str:
    given = provenance(ds).get("workload", "")
    if not isinstance(given, dict):
        return f"{describe(ds)}: {given}"
    return f"{describe(ds)}: {given['name']}, {given['duration_ms'] / 1000:g} s"


def _label(da: xr.DataArray) -> str:
    units, text = da.attrs["units"], str(da.attrs["long_name"])
    return text if units == "1" else f"{text} [{units}]"


def _spread(values: np.ndarray) -> list[float]:
    return [float(np.median(values)), float(np.min(values)), float(np.max(values))]


def _of(what: str, count: int, most: int) -> str:
    return what if count <= most else f"{what} (largest {most} of {count})"


def _table(rows: Mapping[str, list[float]], title: str) -> str:
    table = pd.DataFrame(rows, ["median", "min", "max"]).T
    return frames.plain(table.rename_axis(title), _WIDTH)


def _tasks(tasks: xr.Dataset) -> str:
    """Table of tasks: medians over the runs."""
    median = tasks.median("replicate").to_pandas().rename(columns=_LABELS)
    title = _of("task (medians)", len(median), _TASKS)
    if len(median) > _TASKS:
        top = median.sort_values(_LABELS["sum_exec_runtime"], ascending=False, kind="stable")
        median = top.head(_TASKS)
    return frames.plain(median.rename_axis(title), _WIDTH)


def as_json(ds: xr.Dataset, notes: list[str]) -> str:
    """Return all of it as JSON, values by run with units, and what the runs follow from."""
    origin = provenance(ds)
    known = {key: origin[key] for key in _ORIGIN if key in origin}
    each = [{"vma": v, "reason": r, "values": n.tolist()} for v, r, n in skips(ds)]
    return json.dumps(
        {
            **known,
            "runs": ds.sizes["replicate"],
            "quantities": {name: _plain(da) for name, da in answers(ds).items()},
            "counters": {
                n: _plain(da.isel(time=-1)) for n, da in ds.items() if da.dims[1:] == ("time",)
            },
            "skips": {"units": "1", "each": each},
            "tasks": {
                str(task): {name: _plain(da.sel(task=task)) for name, da in of_tasks(ds).items()}
                for task in ds["task"].values
            },
            "notes": notes,
        },
        indent=1,
        allow_nan=False,
    )


_ORIGIN = ("source", "kernel", "numalab", "policy", "workload", "seed", "chunks_dropped")


def _plain(da: xr.DataArray) -> dict[str, object]:
    values = [None if isinstance(v, float) and np.isnan(v) else v for v in da.values.tolist()]
    return {"units": da.attrs["units"], "about": da.attrs["long_name"], "values": values}


def agreement(table: xr.Dataset) -> str:
    """Table of one comparison: recorded min, median, max; model median, low, high; in or out."""
    runs = table["recorded"]
    columns = {
        "min": runs.min("run"),
        "med": table["recorded_median"],
        "max": runs.max("run"),
        "model med": table["model_median"],
        "low": table["low"],
        "high": table["high"],
    }
    texts = {name: [format_number(float(v)) for v in da] for name, da in columns.items()}
    texts[""] = ["in" if inside else "OUT" for inside in table["inside"].values]
    return frames.plain(pd.DataFrame(texts, pd.Index(table["counter"].values, name="counter")))
