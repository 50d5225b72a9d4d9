"""Results of sweeps on disk: a folder of NetCDF files that are written once and never changed.

A file holds the totals of a batch of points, because a file for each point would cost more
than its runs. Its name is the SHA-256 of its bytes; the points in it are found by their key
(:func:`numalab.sweeps.job.key_of`) and the number of their first replicate. So any number of sweeps
can use a folder at once, and a damaged file shows.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import xarray as xr

from numalab.fields import InputError
from numalab.sweeps.totals import NAMES

_FORGOTTEN_S = 86400
"""Age from which a half-written file is that of a sweep that was killed."""


class Record(NamedTuple):
    """Totals of consecutive replicates of one point."""

    key: bytes
    first: int
    totals: np.ndarray
    """int64[n_replicate, n_total]"""


def prepare(folder: Path) -> None:
    """Make the folder, and clear what killed sweeps left half-written long ago.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob("*.part"):
            if time.time() - part.stat().st_mtime > _FORGOTTEN_S:
                part.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part"):
            pass
    except OSError as error:
        raise InputError(f"store {folder}: cannot be written: {error.strerror}") from None


def write(folder: Path, records: Sequence[Record], model: str) -> Path:
    """Write a batch; the file appears complete or not at all.

    Returns
    -------
    Path
        The file.
    """
    counts = [len(record.totals) for record in records]
    key = np.array([np.frombuffer(record.key, np.uint8) for record in records])
    ds = xr.Dataset(
        {
            "key": (("record", "byte"), key),
            "first": ("record", np.array([record.first for record in records])),
            "count": ("record", np.array(counts)),
            "totals": (("run", "total"), np.concatenate([r.totals for r in records])),
        },
        coords={"total": list(NAMES)},
        attrs={"title": "numalab sweep totals", "model": model},
    )
    buffer = io.BytesIO()
    ds.to_netcdf(buffer, engine="h5netcdf")  # type: ignore[call-overload]
    data = buffer.getvalue()
    path = folder / f"{hashlib.sha256(data).hexdigest()}.nc"
    handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
    return path


def read(
    folder: Path, wanted: Collection[bytes], say: Callable[[str], None]
) -> dict[bytes, list[Record]]:
    """Read what the store holds of some points.

    A file that is not what it was when written is set aside (``.damaged``), and said.

    Parameters
    ----------
    folder : Path
    wanted : collection of bytes
        Keys of the points.
    say : callable
        Takes a line of text.
    """
    found: dict[bytes, list[Record]] = {}
    for path in sorted(folder.glob("*.nc")):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # another sweep set it aside
        if hashlib.sha256(data).hexdigest() != path.stem:
            path.replace(path.with_suffix(".damaged"))
            say(f"store: {path.name} is damaged (checksum): its points are computed again")
            continue
        for record in _records(data, wanted):
            found.setdefault(record.key, []).append(record)
    return found


def _records(data: bytes, wanted: Collection[bytes]) -> list[Record]:
    with h5py.File(io.BytesIO(data)) as file:
        keys, firsts, counts = file["key"][:], file["first"][:], file["count"][:]
        ends = np.cumsum(counts)
        rows = [i for i, key in enumerate(keys) if key.tobytes() in wanted]
        totals = file["totals"][:] if rows else np.empty((0, 0))
    return [
        Record(keys[i].tobytes(), int(firsts[i]), totals[ends[i] - counts[i] : ends[i]])
        for i in rows
    ]


def gaps(records: Sequence[Record], replicates: int) -> list[tuple[int, int]]:
    """Return (first, count) of the replicates that no record holds."""
    held = np.zeros(replicates, bool)
    for record in records:
        held[record.first : record.first + len(record.totals)] = True
    edges = np.flatnonzero(np.diff(np.r_[True, held, True]))
    return [(int(a), int(b - a)) for a, b in edges.reshape(-1, 2)]
