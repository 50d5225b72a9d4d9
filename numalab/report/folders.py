"""The folders of a report: what a notebook left, and how a run takes the place of another.

A folder is ours if its ``run.json`` says so, which is written last; a half-made one holds a
marker. Files that ``run.json`` does not list are not ours: they are moved along, never deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numalab import files
from numalab.fields import InputError

STATUS = "run.json"
FINDING = "finding.json"
FAILED = "failed"
_MARKER = ".numalab-report"
"""In the folder of a report, where it is locked too; and in a run that is not done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer of one question."""

    question: str
    answer: str
    figure: str
    """File name of the main figure, in the folder of the report; empty: none."""
    alt: str = ""
    """What the main figure shows, for those who cannot see it."""
    envelope: str = ""
    """What the answer was validated for."""
    quick: bool
    source: str
    """``simulated``, ``recorded on KERNEL`` or ``simulated and recorded``."""
    provenance: dict[str, Any] = field(default_factory=dict)


def write_finding(folder: Path, finding: Finding, mail: str) -> None:
    """Write ``finding.json`` and ``mail.txt`` into a report's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mail.txt").write_text(mail, encoding="ascii")
    (folder / FINDING).write_text(json.dumps(asdict(finding), indent=1) + "\n", encoding="utf-8")


def read_finding(folder: Path) -> Finding | None:
    """Return the finding of a folder, or None if its notebook left none."""
    try:
        return Finding(**json.loads((folder / FINDING).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def status(folder: Path) -> dict[str, Any] | None:
    """Return the status of a run; None: the folder holds none."""
    try:
        found = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        good = isinstance(found["notebook"], str) and isinstance(found["sha256"], dict)
        return dict(found) if good else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, by name."""
    found = sorted(path for path in folder.iterdir() if path.is_file() and path.name != _MARKER)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def is_whole(folder: Path, known: dict[str, Any]) -> bool:
    """Say whether all files of a run are there, as it left them."""
    try:
        return known["sha256"].items() <= digests(folder).items()
    except OSError:
        return False


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make the folder of a report, and keep every other report out of it meanwhile.

    Raises
    ------
    InputError
        If another report is at work there, or the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        marker = (out / _MARKER).open("a+", encoding="ascii")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    with marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            marker.seek(0)
            raise InputError(
                f"{out}: another report (process {marker.read(20).strip()}) is at work in it: "
                "wait for its end, or give --out"
            ) from None
        with suppress(OSError):  # on a full disk the lock holds, and nobody is told whose it is
            marker.truncate(0)
            marker.write(f"{os.getpid()}\n")
            marker.flush()
        yield


def begin(folder: Path) -> Path:
    """Return an empty folder beside one of a run, for the run that is to take its place.

    Raises
    ------
    InputError
        If one of the two cannot be written, or is there and not ours.
    """
    beside, before = _beside(folder, "part"), _beside(folder, "before")
    try:
        if beside.exists():
            if not (beside / _MARKER).is_file():
                raise InputError(f"{beside}: is in the way, and not ours: move it")
            shutil.rmtree(beside)
        if before.exists():
            _restore(before, folder)
        if folder.exists() and status(folder) is None and status(folder / FAILED) is None:
            if not folder.is_dir() or any(folder.iterdir()):
                raise InputError(f"{folder}: is in the way, and no run of a report: move it")
            folder.rmdir()
        beside.mkdir(parents=True)
        (beside / _MARKER).touch()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    return beside


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")


def _restore(before: Path, folder: Path) -> None:
    """End what a killed report had begun: the run before is back, or the one after is whole."""
    if status(before) is None and status(before / FAILED) is None:
        raise InputError(f"{before}: is in the way, and no run of a report: move it")
    if folder.exists():
        _move_others(before, folder)
        _remove_ours(before)
    else:
        before.rename(folder)


def put(beside: Path, home: Path, known: dict[str, Any]) -> None:
    """Move a run to its place, with its status, which is written last.

    Raises
    ------
    InputError
        If a file that is not ours has the name of one of this run.
    OSError
        If the disk is full.
    """
    ours = digests(beside)
    for path in _others(home):
        if path.name in ours:
            raise InputError(f"{path}: is in the way, and not ours: move it")
    files.write(beside / STATUS, json.dumps(known | {"sha256": ours}, indent=1) + "\n")
    home.parent.mkdir(parents=True, exist_ok=True)
    before = _beside(home, "before")
    if home.exists():
        home.rename(before)
    beside.rename(home)
    (home / _MARKER).unlink()
    if before.exists():
        _move_others(before, home)
        _remove_ours(before)


def discard(beside: Path) -> None:
    """Remove a run that is not to be kept."""
    shutil.rmtree(beside, ignore_errors=True)


def _ours(folder: Path) -> set[str]:
    known = status(folder)
    return {STATUS, *known["sha256"]} if known else set()


def _others(folder: Path) -> list[Path]:
    """Return what is in a folder and not ours; a failed run is ours, but for what is in it."""
    if not folder.is_dir():
        return []
    failed = folder / FAILED
    return [
        path
        for path in folder.iterdir()
        if path.name not in _ours(folder) and not (path == failed and not _others(failed))
    ]


def _move_others(before: Path, folder: Path) -> None:
    for path in _others(before):
        if not (folder / path.name).exists():
            path.rename(folder / path.name)


def _remove_ours(folder: Path) -> None:
    """Remove our files, the status last, and the folder if nothing else is in it."""
    if (folder / FAILED).is_dir():
        _remove_ours(folder / FAILED)
    for name in sorted(_ours(folder), key=STATUS.__eq__):
        (folder / Path(name).name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
