"""The agreement of the model with every recording in a folder."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import xarray as xr

from numalab import capture
from numalab.compare import COUNTERS, compare
from numalab.dataset import concat
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.policy import get
from numalab.recorded_setup import from_run


def simulate_capture(folder: Path, generation: str, *, replicates: int, seed: int) -> xr.Dataset:
    """Simulate what a recording recorded, from each run's own start.

    The model gets the workload, the machine's measured speed, and for each recorded run
    the address space and clocks at its start; nothing of what happened afterwards.

    Returns
    -------
    xarray.Dataset
        With about ``replicates`` replicates, the same number for every recorded run.
    """
    workload = capture.workload_of(folder)
    runs = len(capture.manifest(folder).get("run", []))
    each = -(-replicates // runs)
    policy = get(f"linux-{generation}")
    found: list[xr.Dataset] = []
    for run in range(runs):
        setup = from_run(capture.setup_of(folder, run), workload)
        several = simulate(workload, policy, seed=seed * 1000 + run, replicates=each, setup=setup)
        found += [several.isel(replicate=i) for i in range(each)]
    return concat(found)


def over_captures(root: str | Path, *, replicates: int = 200, seed: int = 1) -> xr.Dataset:
    """Compare the model with all recordings under ``root``.

    Returns
    -------
    xarray.Dataset
        The variables of :func:`numalab.compare.compare` over ``cell`` (workload,
        generation) and ``counter``.

    Raises
    ------
    InputError
        If there is no recording.
    """
    found = capture.captures(root)
    if not found:
        raise InputError(f"{root}: holds no recordings")
    cells = []
    for _, generation, folder in found:
        simulated = simulate_capture(folder, generation, replicates=replicates, seed=seed)
        cells.append(compare(simulated, capture.open_capture(folder)))
    table = xr.concat(cells, dim="cell", join="outer", data_vars="all")
    return table.assign_coords(
        workload=("cell", [name for name, _, _ in found]),
        generation=("cell", [generation for _, generation, _ in found]),
    )


def share_inside(table: xr.Dataset) -> float:
    """Share of (workload, kernel, counter) cells inside the model's interval."""
    return float(table["inside"].sel(counter=list(COUNTERS)).mean())


def misses(table: xr.Dataset, explanations: str | Path | None = None) -> list[dict[str, str]]:
    """List the cells outside the interval, each with the explanation on file.

    Parameters
    ----------
    table : xarray.Dataset
        From :func:`over_captures`.
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
