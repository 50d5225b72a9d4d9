"""Recordings of real kernels: a folder of run logs in, the Dataset of the schema out.

A recording lies in ``<root>/<workload>/<kernel generation>/``: ``manifest.toml``,
``workload.toml``, ``calibration.json`` and ``run0.log.gz``, ``run1.log.gz``, ... as
``numalab record`` writes them. Every file is checked against the manifest.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import re
import tomllib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from numalab import dataset, workload_file
from numalab.fields import InputError, as_plain
from numalab.machine import Speed
from numalab.recorded import runlog, trace_tables
from numalab.workload import Workload, with_speed

log = logging.getLogger(__name__)

MANIFEST = "manifest.toml"
LATE_MS = 60.0
"""A sample later than this means that the guest stood still: the host was busy."""


def parse_run(text: str, workload: Workload) -> xr.Dataset:
    """Build the Dataset of one run from its log.

    Parameters
    ----------
    text : str
        The log, as the guest wrote it.
    workload : Workload
        What was run.

    Returns
    -------
    xarray.Dataset
        Every variable of the schema that this kernel gives; times in ms from the start.

    Raises
    ------
    InputError
        If the log is cut, damaged or of another workload.
    """
    facts = runlog.sections(text)
    if facts.get("run") != workload.name:
        raise InputError(f"the run log is of workload {facts.get('run')!r}, not {workload.name!r}")
    try:
        return _dataset(facts, workload)
    except (KeyError, ValueError, IndexError, StopIteration) as error:
        raise InputError(f"the run log is damaged ({type(error).__name__}: {error})") from None


def _dataset(facts: dict[str, str], workload: Workload) -> xr.Dataset:
    churns = [c.name for c in workload.churns]
    threads = [t.name for t in workload.tasks] + churns
    vmas = [v.name for v in workload.vmas] + churns + list(dataset.IMAGE_VMAS)
    processes = list(workload.process_names)
    setup = runlog.setup(facts, workload)
    rows = [[int(word) for word in line.split()] for line in facts["samples"].splitlines()[1:]]
    table = np.array(rows, dtype=np.int64)
    if table[0, 0] > workload.sample_ms * 1e6 / 2:  # a log without the sample at the start
        table = np.vstack([np.zeros_like(table[:1]), table])
    counters = facts["samples"].splitlines()[0].split()[1:]
    variables: dict[str, Any] = {c: table[:, 1 + i] for i, c in enumerate(counters)}
    variables["numa_scan_seq"] = table[:, 1 + len(counters) :][:, : len(processes)]
    variables |= _threads(facts, threads)
    variables["pages_on_node"] = _pages_on_node(facts, workload, vmas)
    if "change_prot_numa" not in facts.get("missing", ""):
        variables |= trace_tables.scans(facts, workload, setup, vmas, threads)
    variables |= trace_tables.guests(facts, vmas)
    release = facts["uname"].split()[0]
    time = np.arange(len(table)) * workload.sample_ms
    coords = {
        "time": time,
        "process": processes,
        "vma": vmas,
        "task": threads,
        "node": np.arange(workload.machine.nodes),
    }
    lost = runlog.lost_events(facts)
    if lost:
        log.warning("%s on %s: %d trace events were lost", workload.name, release, lost)
    late = float((table[:, 0] / 1e6 - time).max())
    if late > LATE_MS:
        log.info(
            "%s on %s: a sample is %.0f ms late: was the host busy?", workload.name, release, late
        )
    attrs = {
        "source": "recorded",
        "kernel": release,
        "version": facts["uname"],
        "workload": as_plain(workload),
        "identity": workload.identity(),
        "lost_events": lost,
        "latest_sample_ms": round(late, 3),
    }
    return dataset.make(variables, coords, attrs)


def _threads(facts: dict[str, str], threads: list[str]) -> dict[str, Any]:
    ends = runlog.thread_ends(facts)
    variables: dict[str, Any] = {
        "touches": [ends[name][0] for name in threads],
        "sum_exec_runtime": [ends[name][1] / 1e6 for name in threads],
    }
    for field in ("total_numa_faults", "numa_preferred_nid"):
        found = [re.search(rf"^{field}\s*:\s*(-?\d+)", facts[f"sched {n}"], re.M) for n in threads]
        if all(found):
            variables[field] = [int(m[1]) for m in found if m]
    return variables


def _pages_on_node(facts: dict[str, str], workload: Workload, vmas: list[str]) -> np.ndarray:
    pages = np.zeros((len(vmas), workload.machine.nodes), dtype=np.int64)
    for process in workload.process_names:
        for region in runlog.regions(facts, process, "end", workload):
            pages[vmas.index(region.label)] += region.pages_on_node
    return pages


def manifest(folder: str | Path) -> dict[str, Any]:
    """Return the manifest of a recording.

    Raises
    ------
    InputError
        If it is missing or not TOML.
    """
    path = Path(folder) / MANIFEST
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; {folder} is not a recording") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__})") from None


def generation_of(folder: str | Path) -> str:
    """Return the generation of the kernel that a recording was made on, such as ``6.12``.

    Raises
    ------
    InputError
        If the manifest is missing, or names no kernel.
    """
    release = str(manifest(folder).get("kernel", ""))
    if not (found := re.match(r"[0-9]+\.[0-9]+", release)):
        raise InputError(f"{folder}/{MANIFEST}: kernel = {release!r}: must begin with a version")
    return found[0]


def checked(folder: str | Path, name: str, sha256: str) -> bytes:
    """Return the content of a file of a recording, compared with its SHA-256.

    Raises
    ------
    InputError
        If it is missing or altered.
    """
    path = Path(folder) / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; restore it or record again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            f"{path}: altered or truncated (SHA-256 is not that of {MANIFEST}); restore it or "
            "record again"
        )
    return data


def workload_of(folder: str | Path) -> Workload:
    """Return the workload of a recording, on the machine at the speed that was measured."""
    facts = manifest(folder)
    text = checked(folder, "workload.toml", facts["files"]["workload.toml"]).decode()
    workload = workload_file.parse(text, f"{folder}/workload.toml")
    return (
        with_speed(workload, speed_of(folder)) if "calibration.json" in facts["files"] else workload
    )


def speed_of(folder: str | Path) -> Speed:
    """Return the speed of the recording machine, as calibrated in the guest.

    Raises
    ------
    InputError
        If the recording has no calibration.
    """
    files = manifest(folder)["files"]
    if "calibration.json" not in files:
        raise InputError(f"{folder}: has no calibration.json; record it with a calibration")
    data = json.loads(checked(folder, "calibration.json", files["calibration.json"]))
    return Speed(**data["speed"])


def log_of(folder: str | Path, run: int = 0) -> str:
    """Return the log of one run of a recording.

    Raises
    ------
    InputError
        If there is no such run, or its file is missing or altered.
    """
    entries = manifest(folder).get("run", [])
    if not 0 <= run < len(entries):
        raise InputError(f"{folder}: run {run}: the recording has {len(entries)} runs")
    data = checked(folder, entries[run]["file"], entries[run]["sha256"])
    try:
        return gzip.decompress(data).decode("latin-1")
    except (OSError, EOFError, zlib.error):
        raise InputError(f"{folder}/{entries[run]['file']}: not gzip; record it again") from None


def setup_of(folder: str | Path, run: int = 0) -> runlog.Setup:
    """Return where a run stood when its tasks started: times, CPU time used, address space."""
    return runlog.setup(runlog.sections(log_of(folder, run)), workload_of(folder))


def open_capture(folder: str | Path) -> xr.Dataset:
    """Return all runs of a recording along ``replicate``.

    Raises
    ------
    InputError
        One line that names the file that is missing, cut or altered, and the remedy.
    """
    facts = manifest(folder)
    workload = workload_of(folder)
    found = []
    for number, entry in enumerate(facts.get("run", [])):
        try:
            found.append(parse_run(log_of(folder, number), workload))
        except InputError as error:
            if str(folder) in str(error):
                raise
            raise InputError(f"{folder}/{entry['file']}: {error}; record it again") from None
    if not found:
        raise InputError(f"{folder}: no run was recorded yet")
    return dataset.concat(found)


def captures(root: str | Path) -> list[tuple[str, str, Path]]:
    """Return (workload name, kernel generation, folder) of every recording under ``root``."""
    folders = sorted(path.parent for path in Path(root).glob(f"*/*/{MANIFEST}"))
    return [(folder.parent.name, folder.name, folder) for folder in folders]
