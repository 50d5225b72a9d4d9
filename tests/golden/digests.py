"""Digests of everything that the model, the sweeps and the comparisons return.

A change of the code that means to change no number changes no digest. ``make golden`` computes
them anew; a commit that changes one says why.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from numalab import compare, policy, remedies, workload_file
from numalab.captures import Recording, find
from numalab.engine import simulate
from numalab.sweep import Execution, sweep_file
from numalab.sweep.grid import run as run_sweep
from numalab.sweep.plan import Plan

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("digests.json")
SEEDS = (0, 7)
POLICIES = (*policy.NAMES, *(f"linux-7.2+{name}" for name in remedies.REMEDIES))
REPLICATES = 39
LOGARITHMS = ("log2_ratio",)
"""Digested to 12 decimals: the last bit of numpy's log2 differs between CPUs with and without
AVX-512 (seen on two machines)."""


def of_array(da: xr.DataArray) -> bytes:
    """SHA-256 of a variable: its values as float64 or text, dimensions in alphabetical order."""
    values = da.transpose(*sorted(map(str, da.dims))).values
    kind = values.astype("U64") if values.dtype.kind in "USO" else values.astype(np.float64)
    shape = f"{sorted(map(str, da.dims))} {kind.shape}".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(kind).tobytes()).digest()


def joined(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def of_dataset(ds: xr.Dataset) -> dict[str, str]:
    ds = ds.assign({name: ds[name].round(12) for name in LOGARITHMS if name in ds})
    return {str(name): joined([of_array(ds[name])]) for name in sorted(map(str, ds.data_vars))}


def of_simulate(path: Path) -> dict[str, dict[str, str]]:
    """Digests of a workload: of each variable over all policies and seeds, and of each policy."""
    workload = workload_file.load(path)
    runs = {
        (name, seed): simulate(workload, remedies.get(name), seed=seed)
        for name in POLICIES
        for seed in SEEDS
    }
    found = {key: {str(n): of_array(ds[n]) for n in ds.data_vars} for key, ds in runs.items()}
    names = sorted(found[POLICIES[0], SEEDS[0]])
    return {
        "by_variable": {n: joined(one[n] for one in found.values()) for n in names},
        "by_policy": {p: joined(found[p, s][n] for s in SEEDS for n in names) for p in POLICIES},
    }


def of_sweep(path: Path) -> dict[str, str]:
    return of_dataset(run_sweep(Plan(replace(sweep_file.load(path), replicates=2)), Execution()))


def of_recording(recording: Recording) -> dict[str, dict[str, str]]:
    """Digests of a recording as it is read, and of the comparison of the model with it."""
    recorded, simulated = recording.dataset(), recording.simulate(REPLICATES, seed=1)
    found = {"recorded": recorded, "compared": compare.counters(simulated, recorded)}
    if recording.name.startswith("guest-"):
        found["calls"] = compare.notifications(simulated, recorded)
    else:
        found["events"] = compare.events(simulated, recorded)
    return {name: of_dataset(ds) for name, ds in found.items()}


def recordings() -> dict[str, Recording]:
    return {
        recording.label: recording
        for root in ("captures", "guests")
        for recording in find(ROOT / "data" / root)
    }


def workloads() -> dict[str, Path]:
    return {path.stem: path for path in sorted((ROOT / "data" / "workloads").glob("*.toml"))}


def sweeps() -> dict[str, Path]:
    return {path.stem: path for path in sorted((ROOT / "data" / "sweeps").glob("*.toml"))}


def main() -> None:
    """Compute all digests and write them down."""
    found = {}
    for name, function, of in (
        ("simulate", of_simulate, workloads()),
        ("sweep", of_sweep, sweeps()),
        ("recording", of_recording, recordings()),
    ):
        with ThreadPoolExecutor(1 if name == "sweep" else 2) as pool:
            found[name] = dict(zip(of, pool.map(function, of.values()), strict=True))
        print(f"{name}: {len(of)} digested", file=sys.stderr)
    FILE.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
