"""The store finds what it holds, and notices what is damaged."""

import hashlib

import numpy as np
import pytest
import xarray as xr

from numalab.fields import InputError
from numalab.sweeps import store
from numalab.sweeps.store import Record
from numalab.sweeps.totals import NAMES


def _record(word, first, count):
    rng = np.random.default_rng(first)
    totals = rng.integers(0, 1 << 62, (count, len(NAMES)))
    return Record(hashlib.sha256(word.encode()).digest(), first, totals)


def test_what_was_written_is_read(tmp_path):
    records = [_record("a", 0, 3), _record("b", 0, 1), _record("a", 3, 2)]
    store.write(tmp_path, records, "m")
    said = []
    found = store.read(tmp_path, {records[0].key}, said.append)
    assert list(found) == [records[0].key]
    assert [r.first for r in found[records[0].key]] == [0, 3]
    for one, other in zip(found[records[0].key], (records[0], records[2]), strict=True):
        np.testing.assert_array_equal(one.totals, other.totals)
    assert said == []
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_is_netcdf_with_names(tmp_path):
    path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        assert list(ds["total"].values) == list(NAMES)
        assert ds["totals"].shape == (3, len(NAMES))


@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 0.999])
def test_any_changed_byte_sets_a_file_aside(tmp_path, where):
    good, bad = _record("a", 0, 3), _record("b", 0, 3)
    store.write(tmp_path, [good], "m")
    path = store.write(tmp_path, [bad], "m")
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1
    path.write_bytes(data)
    said = []
    assert list(store.read(tmp_path, {good.key, bad.key}, said.append)) == [good.key]
    assert len(said) == 1
    assert path.name in said[0]
    assert "computed again" in said[0]
    assert path.with_suffix(".damaged").exists()
    assert list(store.read(tmp_path, {good.key}, said.append)) == [good.key]
    assert len(said) == 1


def test_a_truncated_file_is_set_aside(tmp_path):
    path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    path.write_bytes(path.read_bytes()[:100])
    said = []
    assert store.read(tmp_path, {_record("a", 0, 3).key}, said.append) == {}
    assert len(said) == 1


def test_gaps_are_what_no_record_holds():
    assert store.gaps([], 4) == [(0, 4)]
    assert store.gaps([_record("a", 0, 4)], 4) == []
    assert store.gaps([_record("a", 0, 40)], 4) == []
    assert store.gaps([_record("a", 1, 2), _record("a", 5, 1)], 8) == [(0, 1), (3, 2), (6, 2)]


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        store.prepare(tmp_path / "file" / "store")
