"""Results of runs on disk: a folder of NetCDF files that are written once and never changed.

A file holds a batch of results, because a file for each would cost more than its run. Its
name is the SHA-256 of its bytes; the results in it are found by the key of point and measure,
and the number of their first replicate. So any number of sweeps can use a folder at once, and a
damaged file shows. Files of other names in the folder are none of the store's business.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import h5netcdf
import h5py
import numpy as np

from numalab.fields import InputError
from numalab.sweep.results import Record
from numalab.versions import model_version

_FILE = re.compile(r"[0-9a-f]{64}\.nc")
_PART = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{32}\.part")
"""Names of the store's files, whole and half-written: no other file is looked at or touched."""
_WRITE_S = (0.1, 2.0)
"""Between two files, at first and at most; a tenth of the time so far between. What is lost
when a sweep is killed is the work of that time."""
_FORGOTTEN_S = 86400
"""Age from which a half-written file is that of a sweep that was killed."""


@contextmanager
def _refusing(place: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError) as error:
        reason = getattr(error, "strerror", None) or "not a file of a store"
        raise InputError(f"store {place}: cannot be {what}: {reason}") from None


def _named(folder: Path, name: re.Pattern[str]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name))


def _part(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.{uuid.uuid4().hex}.part"


def prepare(folder: Path) -> None:
    """Make the folder, and clear what killed sweeps left half-written long ago.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    with _refusing(folder, "written"):
        folder.mkdir(parents=True, exist_ok=True)
        for part in _named(folder, _PART):
            with suppress(FileNotFoundError):  # another sweep renamed it, or cleared it
                if time.time() - part.stat().st_mtime > _FORGOTTEN_S:
                    part.unlink()
        probe = _part(folder, "0" * 64)
        probe.touch()
        probe.unlink(missing_ok=True)


def write(folder: Path, records: Sequence[Record], model: str) -> Path:
    """Write a file with a batch of results; it appears complete or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    data = _packed(records, model)
    digest = hashlib.sha256(data).hexdigest()
    path, part = folder / f"{digest}.nc", _part(folder, digest)
    with _refusing(folder, "written"):
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def _packed(records: Sequence[Record], model: str) -> bytes:
    """Return the bytes of a file: not by way of xarray, whose locks an interrupt leaves taken."""
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record.header, []).append(record)
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        file.attrs.update(title="numalab results of runs", model=model)
        for number, (header, same) in enumerate(kinds.items()):
            rows = np.concatenate([record.rows for record in same])
            keys = np.array([np.frombuffer(record.key, np.uint8) for record in same])
            group = file.create_group(f"kind{number}")
            sizes = {"record": len(same), "byte": keys.shape[1], "run": len(rows)}
            group.dimensions = {**sizes, "cell": rows.shape[1], "text": 1}
            put = group.create_variable
            put("header", ("text",), h5py.string_dtype(), np.array([header], dtype=object))
            put("key", ("record", "byte"), data=keys)
            put("first", ("record",), data=np.array([record.first for record in same]))
            put("count", ("record",), data=np.array([len(record.rows) for record in same]))
            put("rows", ("run", "cell"), data=rows)
    return buffer.getvalue()


def read(
    folder: Path, wanted: Collection[bytes], log: Callable[[str], None], *, set_aside: bool = True
) -> dict[bytes, list[Record]]:
    """Read what the store holds of some results; a folder that is not there holds nothing.

    A file that is not what it was when written is logged, and set aside (``.damaged``) if it may.

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
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == path.stem:
                for record in _records(data, wanted):
                    found.setdefault(record.key, []).append(record)
                continue
            aside = path.with_suffix(".damaged")
            if set_aside:
                path.replace(aside)
            where = f", and set aside as {aside}" * set_aside
            log(f"store: {path} is damaged (checksum){where}: its points are computed again")
    return found


def _records(data: bytes, wanted: Collection[bytes]) -> Iterator[Record]:
    with h5py.File(io.BytesIO(data)) as file:
        if "model" not in file.attrs:
            raise KeyError("model")
        for group in (one for one in file.values() if isinstance(one, h5py.Group)):
            keys, firsts, counts = group["key"][:], group["first"][:], group["count"][:]
            found = [i for i, key in enumerate(keys) if key.tobytes() in wanted]
            if not found:
                continue
            header, rows = group["header"].asstr()[0], group["rows"][:]
            ends = np.cumsum(counts)
            for i in found:
                part = rows[ends[i] - counts[i] : ends[i]]
                yield Record(keys[i].tobytes(), int(firsts[i]), header, part)


class Keeper:
    """Puts results into a store every few seconds; without a folder nowhere."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.fresh: list[Record] = []
        self.runs = self.kept = 0
        self.begin = self.last = time.monotonic()

    def take(self, records: Sequence[Record], runs: int) -> None:
        """Take the results of so many runs; write them if the last file was long ago."""
        self.fresh += records
        self.runs += runs
        now = time.monotonic()
        if now - self.last >= min(max(_WRITE_S[0], (now - self.begin) / 10), _WRITE_S[1]):
            self.keep()
            self.last = now

    def keep(self) -> None:
        """Write what is not written yet."""
        if self.folder is not None and self.runs:
            write(self.folder, self.fresh, model_version())
            self.kept += self.runs
        self.fresh, self.runs = [], 0
