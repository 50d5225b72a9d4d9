"""Files of a store edited at random, checksums made right: results come back, or are set aside."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
from pathlib import Path

import h5py
import numpy as np

from numalab.sweep import batch, store
from numalab.sweep.results import TOTALS_HEADER, Record, joined, pack
from numalab.totals import NAMES
from tests.fuzz import _loop

KEYS = [hashlib.sha256(word).digest() for word in (b"a", b"b")]
HEADER, ROW = pack({"x": 0.5, "y": float("nan")})
RECORDS = [
    Record(KEYS[0], 0, TOTALS_HEADER, np.arange(3 * len(NAMES)).reshape(3, -1)),
    Record(KEYS[1], 2, HEADER, ROW[None]),
]
WHOLE = batch.packed(RECORDS, "m")
NUMBERS = (-1, 0, 1, 2, 3, 1 << 31, 1 << 62, -(1 << 63))


def _byte(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 255, rng.randrange(256)))


def _inside(rng: random.Random, data: bytearray) -> None:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        group = file[rng.choice(("kind0", "kind1"))]
        name = rng.choice(("header", "key", "first", "count", "rows"))
        old = group[name]
        shape = tuple(rng.choice((0, 1, 2, 3, 28, size)) for size in old.shape)
        dtype = old.dtype if rng.random() < 0.7 else rng.choice(("u1", "i4", "f8", "S3", "c16"))
        if name != "header":
            del group[name]
            values = np.array([rng.choice(NUMBERS) for _ in range(int(np.prod(shape)))], np.int64)
            group[name] = values.reshape(shape).astype(dtype)
        else:
            text = str(old.asstr()[0])
            text = text.replace(
                *rng.choice((('"i"', '"f"'), ("[]", "[1]"), ('"', ""), ("{", "[{")))
            )
            text = rng.choice((text, json.dumps(rng.choice(NUMBERS)), "{" * 5000, "", "null"))
            old[0] = text
    data[:] = buffer.getvalue()


def one(rng: random.Random) -> str:
    """Read an edited file beside a good one."""
    data = bytearray(WHOLE)
    rng.choice((_byte, _inside))(rng, data)
    if rng.random() < 0.1:
        del data[rng.randrange(len(data)) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{hashlib.sha256(data).hexdigest()}.nc"
        path.write_bytes(data)
        logged: list[str] = []
        found = store.read(Path(folder), KEYS, logged.append)
        assert path.exists() == (not logged)
    for records in found.values():
        joined([records], 8)
    assert all(line.isprintable() for line in logged)
    return "set aside" if logged else "read"


if __name__ == "__main__":
    _loop.main(one)
