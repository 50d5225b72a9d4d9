"""The manifest, the workload and the calibration of a recording, each checked as it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from numalab import workload_file
from numalab.captures import sealed
from numalab.captures.manifest import CALIBRATION, MANIFEST, WORKLOAD, check
from numalab.fields import InputError, check_kind, shown
from numalab.machine import Speed, speed_of
from numalab.plain import build
from numalab.workload import Workload, with_speed


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a recording.

    Raises
    ------
    InputError
        If there is none, or it is damaged or says something impossible.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        raise InputError(f"{path}: missing; {folder} is not a recording")
    found = sealed.toml(path, sealed.read(path))
    try:
        check(found)
    except InputError as error:
        raise InputError(f"{path}: {error}; restore it or record again") from None
    except RecursionError:
        raise InputError(f"{path}: tables or lists are nested too deeply") from None
    return found


def read_workload(folder: Path, manifest: dict[str, Any]) -> Workload:
    """Read the workload, on the machine at the speed that was calibrated before the runs.

    Raises
    ------
    InputError
        If a file is missing, altered or damaged, or the workload is not the manifest's.
    """
    path, files = folder / WORKLOAD, manifest["files"]
    table = sealed.toml(path, sealed.read(path, sha256=files[WORKLOAD]))
    try:
        workload = workload_file.from_tables(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: tables or lists are nested too deeply") from None
    held = (workload.name, workload.identity(), workload.duration_ms)
    for key, value in zip(("workload", "identity", "duration_ms"), held, strict=True):
        if manifest[key] != value:
            raise InputError(
                f"{folder / MANIFEST}: {key} = {shown(manifest[key])}: {WORKLOAD} has {value!r}; "
                "restore it or record again"
            )
    if CALIBRATION not in files:
        return workload
    return with_speed(workload, _read_speed(folder / CALIBRATION, files[CALIBRATION]))


def read_repetitions(folder: Path, manifest: dict[str, Any]) -> dict[str, list[float]]:
    """Read every repetition of each measurement of the calibration; none without a calibration.

    Raises
    ------
    InputError
        If the file is missing, altered or damaged.
    """
    path, files = folder / CALIBRATION, manifest["files"]
    if CALIBRATION not in files:
        return {}
    raw = sealed.json_table(path, sealed.read(path, sha256=files[CALIBRATION])).get("raw", {})
    try:
        check_kind("raw", raw, dict)
        for name, values in raw.items():
            check_kind(f"raw.{name}", values, list)
            for value in values:
                check_kind(f"raw.{name}", value, float)
    except InputError as error:
        raise InputError(f"{path}: {error}; calibrate it again") from None
    return raw


def _read_speed(path: Path, sha256: str) -> Speed:
    found = sealed.json_table(path, sealed.read(path, sha256=sha256))
    try:
        if "speed" not in found:
            raise InputError("speed is missing")
        build(Speed, found["speed"], "speed")
        assumed = found.get("assumed", [])
        check_kind("assumed", assumed, list)
        for name in assumed:
            check_kind("assumed", name, str)
        return speed_of(found["speed"], assumed)
    except InputError as error:
        raise InputError(f"{path}: {error}; calibrate it again") from None
