"""A batch of results as the bytes of a NetCDF file, and back; see :mod:`numalab.sweep.store`.

Files may come from strangers, so nothing is read that a batch does not have: links to other
files, compressed or virtual arrays, a header that does not fit its rows.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import h5netcdf
import h5py
import numpy as np

from numalab.sweep.results import Record, check_header


def packed(records: Sequence[Record], model: str) -> bytes:
    """Return the bytes of a file with records.

    Not by way of xarray, whose locks an interrupt leaves taken.
    """
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


def records_of(data: bytes, wanted: Collection[bytes]) -> Iterator[Record]:
    """Yield the records of a file that are wanted.

    Raises
    ------
    Exception
        Of any kind, if it is no such file; also after some records.
    """
    with h5py.File(io.BytesIO(data)) as file:
        if "model" not in file.attrs:
            raise KeyError("model")
        left = len(data)
        for name in file:
            group = _own(file, name, h5py.Group)
            header, rows = _own(group, "header"), _own(group, "rows")
            keys, firsts, counts = (_own(group, one) for one in ("key", "first", "count"))
            plain = keys.dtype == np.uint8 and firsts.dtype == counts.dtype == np.int64
            plain = plain and header.shape == (1,) and rows.dtype in (np.int64, np.float64)
            left -= sum(one.nbytes for one in (keys, firsts, counts, rows))
            if not plain or left < 0:  # what links to one array twice, or holds no bytes of it
                raise ValueError(name)
            starts, ends = firsts[:], np.cumsum(counts[:])
            if starts.min() < 0 or counts[:].min() < 0 or ends[-1] != len(rows):
                raise ValueError(name)
            text = str(header.asstr()[0])
            check_header(text, rows.shape[1])
            found = [i for i, key in enumerate(keys[:]) if key.tobytes() in wanted]
            values = rows[:] if found else np.empty(0)
            for i in found:
                part = values[ends[i] - counts[i] : ends[i]]
                yield Record(keys[i].tobytes(), int(starts[i]), text, part)


def _own(group: h5py.Group, name: str, kind: type = h5py.Dataset) -> Any:
    """Return what lies in a group itself, and not in another file, virtually, or compressed."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(name)
    one = group[name]
    if not isinstance(one, kind):
        raise ValueError(name)
    if isinstance(one, h5py.Dataset):
        pieces = one.chunks and one.size  # h5netcdf gives an array of no runs chunks too
        if one.is_virtual or one.external or pieces:
            raise ValueError(name)
    return one
