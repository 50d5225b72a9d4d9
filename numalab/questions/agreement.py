"""What q01 says about the agreement of the model with recordings."""

from __future__ import annotations

import textwrap
import tomllib
from pathlib import Path

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.captures import Recording
from numalab.compare import COUNTERS, pooled_skip_shares
from numalab.fields import unknown_name


def examples(
    recordings: list[Recording], chosen: list[str], *, replicates: int, seed: int
) -> list[tuple[str, xr.Dataset, xr.Dataset]]:
    """Return (label, recorded, simulated) of recordings chosen as ``workload/generation``.

    Raises
    ------
    InputError
        If one does not exist.
    """
    found = {recording.label: recording for recording in recordings}
    rows = []
    for label in chosen:
        if label not in found:
            raise unknown_name("recording", label, list(found))
        rows.append((label, found[label].dataset(), found[label].simulate(replicates, seed)))
    return rows


def share_inside(table: xr.Dataset) -> float:
    """Share of (workload, kernel, counter) cells inside the model's interval."""
    return float(table["inside"].sel(counter=list(COUNTERS)).mean())


def misses(table: xr.Dataset, explanations: str | Path | None = None) -> list[dict[str, str]]:
    """List the cells outside the interval, each with the explanation on file.

    Parameters
    ----------
    table : xarray.Dataset
        From :func:`numalab.compare.over`.
    explanations : path, optional
        TOML with ``[[difference]]`` tables: workload, generation and counter ("*" for any)
        and ``why``. The first that fits is taken.

    Returns
    -------
    list of dict
        workload, generation, counter, ratio, why (``unexplained`` if nothing fits).
    """
    known = []
    if explanations is not None:
        known = tomllib.loads(Path(explanations).read_text(encoding="utf-8"))["difference"]
    rows = []
    for cell in range(table.sizes["cell"]):
        for counter in COUNTERS:
            one = table.isel(cell=cell).sel(counter=counter)
            if bool(one["inside"]):
                continue
            names = {
                "workload": str(one["workload"].item()),
                "generation": str(one["generation"].item()),
                "counter": counter,
            }
            why = next(
                (k["why"] for k in known if all(k.get(n, "*") in ("*", names[n]) for n in names)),
                "unexplained",
            )
            ratio = float(one["log2_ratio"])
            text = "-" if np.isnan(ratio) else f"{2**ratio:.2f}"
            rows.append({**names, "ratio": text, "why": why})
    return rows


def explained(rows: list[dict[str, str]]) -> str:
    """List the explanations of misses, each once, with the number of cells it stands for."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["why"]] = counts.get(row["why"], 0) + 1
    lines = []
    for why, count in sorted(counts.items(), key=lambda item: -item[1]):
        lines.append(textwrap.fill(f"{count:3d} cells: {why}", 75, subsequent_indent=" " * 11))
    return "\n".join(lines)


def sentence(table: xr.Dataset) -> str:
    """Answer q01 in words, with the numbers from the table."""
    judged = table.sel(counter=list(COUNTERS))
    cells = judged["inside"].size
    runs = float(judged["runs_inside"].sum() / judged["recorded"].count())
    ratio = float(abs(table["log2_ratio"]).median())
    width = float(judged["width_ratio"].median())
    return (
        f"{share_inside(table):.0%} of {cells} cells (workload, kernel, counter) have their "
        f"recorded median inside the model's 95 % prediction interval, and {runs:.0%} of the "
        f"single runs lie in it. The median of |log2(model / recorded)| over counters, scans and "
        f"passes is {ratio:.2f}; the interval is {width:.1f} times as wide as the range of the "
        f"recorded runs (median). The shares of skip reasons differ by at most "
        f"{worst_share(table):.1f} percentage points."
    )


def worst_share(table: xr.Dataset) -> float:
    """Largest difference of a skip reason's share, model against recordings [points]."""
    shares = pooled_skip_shares(table)
    return float(abs(shares["simulated"] - shares["recorded"]).max())


def recorded_on(recordings: list[Recording]) -> str:
    """Say which kernels were recorded, as the first words of a mail."""
    kernels = {recording.kernel for recording in recordings}
    return f"recorded on {', '.join(sorted(kernels))}, and simulated"


def machine(recordings: list[Recording], replicates: int) -> str:
    """Describe the recordings and the simulation in one paragraph."""
    runs = [run for recording in recordings for run in recording.manifest["run"]]
    qemu = {run["qemu"].split("(")[0].strip() for run in runs}
    workloads = len({recording.name for recording in recordings})
    return (
        f"{workloads} workloads, {len(runs)} recorded runs of Debian kernels in a guest with 2 "
        f"nodes ({', '.join(sorted(qemu))}, software emulation); {replicates} simulated runs of "
        "each. Model median over recorded mean; ! marks a recorded median outside the model's "
        "95 % prediction interval."
    )


def birth(recordings: list[Recording]) -> dict[str, object]:
    """Return the provenance of an agreement run: code version and recordings used."""
    return {
        "numalab": __version__,
        "recordings": {
            recording.label: recording.manifest["image_sha256"][:12] for recording in recordings
        },
    }
