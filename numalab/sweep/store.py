"""Results of runs on disk: a folder of NetCDF files that are written once and never changed.

A file holds a batch of results, because a file for each would cost more than its run. Its
name is the SHA-256 of its bytes; the results in it are found by the key of point and measure,
and the number of their first replicate. So any number of sweeps can use a folder at once, and a
damaged file shows. Files of other names in the folder are none of the store's business.
"""

from __future__ import annotations

import hashlib
import re
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from numalab import files
from numalab.fields import InputError
from numalab.sweep import batch
from numalab.sweep.results import Record
from numalab.versions import model_version

_FILE = re.compile(r"[0-9a-f]{64}\.nc")
_PART = re.compile(rf"\.[0-9a-f]{{64}}\.nc{files.PART}")
"""Names of the store's files, whole and half-written: no other file is looked at or touched."""
_WRITE_S = (0.1, 2.0)
"""Between two files, at first and at most; a tenth of the time so far between. What is lost
when a sweep is killed is the work of that time."""
_FORGOTTEN_S = 86400
"""Age from which a half-written file is that of a sweep that was killed."""
_WRITE_BYTES = 1 << 26
"""Rows from which a file is written, however long ago the last one was."""
MOST_BYTES = 1 << 27
"""Size of a file; a larger one is neither written nor read."""


@contextmanager
def _refusing(place: Path, what: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"store {error}") from None
    except OSError as error:
        raise InputError(f"store {place}: cannot be {what}: {error.strerror or error}") from None


def _named(folder: Path, name: re.Pattern[str]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name))


def is_own(path: Path, folder: Path) -> bool:
    """Say whether a path is that of a file of a store."""
    return path.resolve().parent == folder.resolve() and bool(_FILE.fullmatch(path.name))


def prepare(folder: Path) -> None:
    """Make the folder, and clear what killed sweeps left half-written long ago.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    with _refusing(folder, "written"):
        files.check_writable(folder / f"{0:064x}.nc")
        for part in _named(folder, _PART):
            with suppress(FileNotFoundError):  # another sweep renamed it, or cleared it
                if time.time() - part.stat().st_mtime > _FORGOTTEN_S:
                    part.unlink()


def write(folder: Path, records: Sequence[Record], model: str) -> Path:
    """Write a file with a batch of results; it appears complete or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    data = batch.packed(records, model)
    if len(data) > MOST_BYTES:
        raise InputError(f"store {folder}: a result has {len(data)} bytes: {MOST_BYTES} at most")
    path = folder / f"{hashlib.sha256(data).hexdigest()}.nc"
    with _refusing(folder, "written"):
        files.write(path, data)
    return path


def read(
    folder: Path, wanted: Collection[bytes], log: Callable[[str], None], *, set_aside: bool = True
) -> dict[bytes, list[Record]]:
    """Read what the store holds of some results; a folder that is not there holds nothing.

    A file that is not what it was when written, or no file of a store whatever its checksum, is
    logged, and set aside (``.damaged``) if it may.

    Raises
    ------
    InputError
        If the folder, or a file of the store, cannot be read.
    """
    found: dict[bytes, list[Record]] = {}
    with _refusing(folder, "read"):
        paths = _named(folder, _FILE) if folder.exists() else []
    for path in paths:
        with _refusing(path, "read"), suppress(FileNotFoundError):  # another sweep set it aside
            try:
                for record in _read_file(path, wanted):
                    found.setdefault(record.key, []).append(record)
                continue
            except _DamagedError as damaged:
                reason = damaged
            aside = path.with_suffix(".damaged")
            if set_aside:
                path.replace(aside)
            where = f", and set aside as {aside}" * set_aside
            log(f"store: {path} is damaged ({reason}){where}: its points are computed again")
    return found


class _DamagedError(Exception):
    """Why a file has no results."""


def _read_file(path: Path, wanted: Collection[bytes]) -> list[Record]:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe would not end
        raise _DamagedError("not a regular file")
    if about.st_size > MOST_BYTES:
        raise _DamagedError(f"{about.st_size} bytes: {MOST_BYTES} at most")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise _DamagedError("checksum")
    try:
        return [*batch.records_of(data, wanted)]
    except Exception:  # of any kind: HDF5 holds what its writer likes
        raise _DamagedError("not a file of a store") from None


class Keeper:
    """Puts results into a store every few seconds; without a folder nowhere."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.fresh: list[Record] = []
        self.size = self.runs = self.kept = 0
        self.begin = self.last = time.monotonic()

    def take(self, records: Sequence[Record], runs: int) -> None:
        """Take the results of so many runs; write them if the last file was long ago."""
        self.fresh += records
        self.size += sum(record.rows.nbytes for record in records)
        self.runs += runs
        now = time.monotonic()
        long_ago = now - self.last >= min(max(_WRITE_S[0], (now - self.begin) / 10), _WRITE_S[1])
        if long_ago or self.size >= _WRITE_BYTES:
            self.keep()
            self.last = now

    def keep(self) -> None:
        """Write what is not written yet."""
        if self.folder is not None and self.runs:
            for records in _batches(self.fresh):
                write(self.folder, records, model_version())
            self.kept += self.runs
        self.fresh, self.size, self.runs = [], 0, 0


def _batches(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield records in lists that fit into a file."""
    held: list[Record] = []
    size = 0
    for record in records:
        held.append(record)
        size += record.rows.nbytes
        if size >= _WRITE_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held
