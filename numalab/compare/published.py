"""The model beside published counts of PTE updates, before and after a change of the scan rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from numalab import policy, stats
from numalab.policy import Policy

SMALLEST = float(np.log2(1.05))
"""A smaller mean move than 5 % is not a direction."""
SAME_SIZE = 1.0
"""Sizes agree within a factor of 2."""


def read(path: str | Path, workloads: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a file such as ``data/published/pte_updates.csv``; its head says what the columns are.

    Parameters
    ----------
    path : path
    workloads : sequence of str, optional
        Only rows that these stand for.

    Returns
    -------
    pandas.DataFrame
        The rows of the given workloads; ``then`` and ``now`` name policies of :func:`policies`.
    """
    rows = pd.read_csv(path, comment="#", keep_default_na=False)
    rows["base"] = rows["then"]
    rows["then"] = rows["then"].where(rows["without"] == "", rows["then"] + " - " + rows["without"])
    return rows if workloads is None else rows[rows["workload"].isin(workloads)]


def policies(rows: pd.DataFrame) -> dict[str, Policy]:
    """Return the policies that stand for what was published, by name."""
    found = {name: policy.get(name) for name in rows["now"]}
    for row in rows.to_dict("records"):
        base, rules = policy.get(row["base"]), {row["without"]: False} if row["without"] else {}
        found[row["then"]] = policy.with_rules(base, row["then"], **rules) if rules else base
    return found


def compared(updates: xr.DataArray, rows: pd.DataFrame) -> pd.DataFrame:
    """Set changes of the model beside published ones.

    Parameters
    ----------
    updates : xarray.DataArray
        log2 of the PTE updates over ``policy``, ``workload`` and ``replicate``.
    rows : pandas.DataFrame
        Of :func:`read`.

    Returns
    -------
    pandas.DataFrame
        A row for each change and benchmark: published factor, workload, factor of the model with
        its 95 % interval, and in what the two agree: ``size`` (and direction), ``direction``,
        ``other way``, or ``not clear``: the interval holds 1, or the mean moves by under 5 %.
    """
    found = []
    for row in rows.to_dict("records"):
        at = updates.sel(workload=row["workload"], drop=True)
        here = stats.summary(at.sel(policy=row["now"]) - at.sel(policy=row["then"]))
        change, ratio = float(np.log2(row["after"] / row["before"])), stats.format_summary(2**here)
        cells = [f"x{stats.format_number(2**change)}", row["workload"], f"x{ratio.item()}"]
        found.append([row["change"], row["benchmark"], *cells, _agreement(here, change)])
    heads = ["change", "published", "by", "workload", "model [95 %]", "agrees in"]
    return pd.DataFrame(found, columns=heads).set_index(heads[:2])


def over_settings(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Set what the model finds in several settings beside what was published.

    Parameters
    ----------
    tables : mapping
        Name of a setting to its table from :func:`compared`, all of the same rows.

    Returns
    -------
    pandas.DataFrame
        ``by``: the published factor; a column for each setting: the model's mean factor, with
        ``?`` where it is not clear and ``!`` where it goes the other way; ``says``: ``agrees`` (in
        direction and size in every setting), ``direction only`` (in every setting), or ``differs``.
    """
    marks = {"not clear": "?", "other way": "!"}
    everywhere = {"agrees": {"size"}, "direction only": {"size", "direction"}}
    found = {"by": next(iter(tables.values()))["by"]}
    for name, table in tables.items():
        numbers = table["model [95 %]"].str[1:].str.partition(" ")[0].astype(float)
        factor = "x" + numbers.map(stats.format_number)
        found[name] = factor + table["agrees in"].map(lambda text: marks.get(text, ""))
    each = pd.DataFrame({name: table["agrees in"] for name, table in tables.items()})
    rows = [{*row} for row in each.to_numpy()]
    said = [next((w for w, of in everywhere.items() if one <= of), "differs") for one in rows]
    return pd.DataFrame(found).assign(says=said)


def _agreement(here: xr.DataArray, change: float) -> str:
    mean, low, high = here.values
    if low <= 0 <= high or abs(mean) < SMALLEST:
        return "not clear"
    if mean * change < 0:
        return "other way"
    return "size" if abs(mean - change) <= SAME_SIZE else "direction"
