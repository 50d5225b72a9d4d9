"""What the manifest of a recording may say; :mod:`numalab.record.manifest` writes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numalab.fields import InputError, check_kind, field, shown, unknown_name, validate
from numalab.plain import build

MANIFEST = "manifest.toml"
FORMAT = 1
"""Of the folder: what the manifest and the logs hold."""
WORKLOAD = "workload.toml"
CALIBRATION = "calibration.json"
OWN_PROGRAM = "recorder"
"""The program of a recording that names none."""
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RELEASE = re.compile(r"[A-Za-z0-9.+~_-]{0,64}")
_MAX_TEXT = 200
"""Characters of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTable:
    """A ``[[run]]`` table: the log of a run, and what was seen when it was recorded."""

    file: str = field(doc="name of the run log in the folder")
    sha256: str = field(doc="SHA-256 of that file")
    seed: int = field(doc="of the guest's random draws")
    lost_events: int = field(at_least=0, doc="trace events that were lost")
    latest_sample_ms: float = field(unit="ms", doc="how late the latest sample was")
    failed_boots: int = field(0, at_least=0, doc="boots that failed before it")
    model: str = field("", doc="hash of the model that it was made beside")
    date: str = field("", doc="day")
    qemu: str = field("", doc="version of QEMU")
    accel: str = field("", doc="QEMU's accelerator")
    host_cpu: str = field("", doc="CPU of the host")

    def __post_init__(self) -> None:
        validate(self)
        _check_text(self)
        _check("run: file", self.file, _FILE, "the name of a file in the folder of the manifest")
        _check("run: sha256", self.sha256, _SHA256, "64 hexadecimal digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestTable:
    """The whole manifest."""

    workload: str = field(doc="name of the workload")
    kernel: str = field(doc="release of the kernel; empty before the first run")
    files: Mapping[str, str] = field(doc="SHA-256 of workload.toml and calibration.json")
    format: int = field(doc="of the folder")
    identity: str = field(doc="hash of the workload")
    duration_ms: float = field(unit="ms", at_least=1, doc="length of a run")
    package: str = field("", doc="package and version of the kernel, as it was packaged")
    image: str = field("", doc="file name of the kernel image")
    image_sha256: str = field(doc="SHA-256 of the kernel image")
    program: str = field(OWN_PROGRAM, doc="what ran the workload")
    run: tuple[RunTable, ...] = field((), doc="the runs")

    def __post_init__(self) -> None:
        validate(self)
        _check_text(self)
        _check("kernel", self.kernel, _RELEASE, "a release: at most 64 letters, digits, .+~_-")
        _check("image_sha256", self.image_sha256, _SHA256, "64 hexadecimal digits")
        if WORKLOAD not in self.files:
            raise InputError(f"[files]: {WORKLOAD} is missing")
        for name, sha256 in self.files.items():
            if name not in (WORKLOAD, CALIBRATION):
                raise unknown_name("file", name, (WORKLOAD, CALIBRATION))
            check_kind(f"[files]: {name}", sha256, str)
            _check(f"[files]: {name}", sha256, _SHA256, "64 hexadecimal digits")
        for key in ("file", "sha256"):
            times = Counter(getattr(run, key) for run in self.run)
            for value in (value for value, n in times.items() if n > 1):
                raise InputError(f"[[run]]: {key} {shown(value)} is listed twice: list a run once")


def check(found: Mapping[str, Any]) -> None:
    """Refuse a manifest that says too little, too much or something impossible.

    Raises
    ------
    InputError
        One line: the key, the value, and the bound.
    """
    if type(found.get("format")) is not int or found["format"] != FORMAT:
        raise InputError(f"format = {shown(found.get('format'))}: numalab reads {FORMAT}")
    runs = found.get("run", [])
    check_kind("run", tuple(runs) if isinstance(runs, list) else runs, tuple)
    tables = [build(RunTable, run, "[[run]]") for run in runs]
    build(ManifestTable, {**found, "run": tables}, "the manifest")


def _check(where: str, value: str, allowed: re.Pattern[str], what: str) -> None:
    if not allowed.fullmatch(value):
        raise InputError(f"{where} = {shown(value)}: must be {what}")


def _check_text(table: RunTable | ManifestTable) -> None:
    for key in table.__slots__:
        value = getattr(table, key)
        if isinstance(value, str) and not (len(value) <= _MAX_TEXT and value.isprintable()):
            raise InputError(
                f"{key} = {shown(value)}: must be at most {_MAX_TEXT} printable characters"
            )
