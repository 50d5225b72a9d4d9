"""Tables of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pandas as pd
import xarray as xr

from numalab.compare import COUNTERS, EVENTS, at_end, describe
from numalab.dataset import provenance
from numalab.policy import POLICIES, Policy, changes
from numalab.remedies import REMEDIES
from numalab.report import frames
from numalab.stats import format_number


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


def final_values(ds: xr.Dataset) -> dict[str, list[int]]:
    """Return each counter at the end, a value a run; no scans where the table of chunks is full."""
    all_scans = "chunk_scan" in ds and not provenance(ds).get("chunks_dropped")
    names = [name for name in (*COUNTERS, *EVENTS) if name != "scans" or all_scans]
    return {name: at_end(ds, name).values.tolist() for name in names}


def final(ds: xr.Dataset) -> str:
    """Table of the counters at the end: what was run, then min, median, max."""
    values = final_values(ds).items()
    rows = {name: [min(v), sorted(v)[len(v) // 2], max(v)] for name, v in values}
    table = pd.DataFrame(rows, ["min", "median", "max"]).T.map(format_number)
    return f"{describe(ds)}\n{frames.plain(table.rename_axis('counter at the end'))}"


def policies() -> Iterator[str]:
    """Say in lines what each policy and each remedy is, and what a policy changed."""
    docs = {f.name: f.metadata["doc"] for f in dataclasses.fields(Policy)}
    for policy in POLICIES.values():
        yield f"{policy.name}  ({policy.source})\n  {policy.about}"
        if policy.before:
            yield f"  against {policy.before}:"
        for rule, value in changes(policy).items():
            yield f"    {rule} = {value}: {docs[rule]}"
    yield "\nremedies, on top of any policy (POLICY+REMEDY):"
    for remedy in REMEDIES.values():
        yield f"{remedy.name}  ({remedy.source})\n  {remedy.about}"
        today = "available" if remedy.available else "not available"
        yield f"    needs: {remedy.needs}\n    built: {remedy.built}; {today}"
