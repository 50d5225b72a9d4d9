"""Tables of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pandas as pd
import xarray as xr

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
