"""The store finds what it holds, and notices what is damaged."""

import hashlib
import io
import os
import stat
import threading
import time

import h5py
import numpy as np
import pytest
import xarray as xr

from numalab.fields import InputError
from numalab.sweep import store
from numalab.sweep.results import TOTALS_HEADER, Record, unpack
from numalab.totals import NAMES


def _record(word, first, count):
    rng = np.random.default_rng(first)
    rows = rng.integers(0, 1 << 62, (count, len(NAMES)))
    return Record(hashlib.sha256(word.encode()).digest(), first, TOTALS_HEADER, rows)


def test_what_was_written_is_read(tmp_path):
    records = [_record("a", 0, 3), _record("b", 0, 1), _record("a", 3, 2)]
    store.write(tmp_path, records, "m")
    logged = []
    found = store.read(tmp_path, {records[0].key}, logged.append)
    assert list(found) == [records[0].key]
    assert [r.first for r in found[records[0].key]] == [0, 3]
    for one, other in zip(found[records[0].key], (records[0], records[2]), strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
    assert logged == []
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_is_netcdf_with_names(tmp_path):
    path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    with xr.open_dataset(path, engine="h5netcdf", group="kind0") as ds:
        assert list(unpack(str(ds["header"].values[0]), ds["rows"].values)) == list(NAMES)
        assert ds["rows"].shape == (3, len(NAMES))


def test_results_of_several_kinds_share_a_file(tmp_path):
    other = Record(_record("a", 0, 1).key, 7, "{}", np.array([[0.5, np.nan]]))
    store.write(tmp_path, [_record("a", 0, 3), other, _record("a", 3, 2)], "m")
    found = store.read(tmp_path, {other.key}, print)[other.key]
    assert [(r.first, len(r.rows), r.header == "{}") for r in found] == [
        (0, 3, False), (3, 2, False), (7, 1, True),
    ]  # fmt: skip
    np.testing.assert_array_equal(found[2].rows, other.rows)


@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 0.999])
def test_any_changed_byte_sets_a_file_aside(tmp_path, where):
    good, bad = _record("a", 0, 3), _record("b", 0, 3)
    store.write(tmp_path, [good], "m")
    path = store.write(tmp_path, [bad], "m")
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1
    path.write_bytes(data)
    logged = []
    assert list(store.read(tmp_path, {good.key, bad.key}, logged.append)) == [good.key]
    assert len(logged) == 1
    aside = path.with_suffix(".damaged")
    assert logged[0] == (
        f"store: {path} is damaged (checksum), and set aside as {aside}: its points are computed "
        "again"
    )
    assert aside.exists()
    assert list(store.read(tmp_path, {good.key}, logged.append)) == [good.key]
    assert len(logged) == 1


def test_a_truncated_file_is_set_aside(tmp_path):
    path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    path.write_bytes(path.read_bytes()[:100])
    logged = []
    assert store.read(tmp_path, {_record("a", 0, 3).key}, logged.append) == {}
    assert len(logged) == 1


def test_without_leave_a_damaged_file_is_logged_and_stays(tmp_path):
    path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    path.write_bytes(b"damaged")
    logged = []
    assert store.read(tmp_path, {_record("a", 0, 3).key}, logged.append, set_aside=False) == {}
    assert logged == [f"store: {path} is damaged (checksum): its points are computed again"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


NAMES_OF_OTHERS = ("mine.nc", "f" * 63 + ".nc", "f" * 64 + ".nc.part", "x.part", "F" * 64 + ".nc")


def test_files_of_other_names_are_left_alone(tmp_path):
    for name in NAMES_OF_OTHERS:
        (tmp_path / name).write_text("kept")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / "folder.nc").mkdir()
    store.prepare(tmp_path)
    path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    logged = []
    assert len(store.read(tmp_path, {_record("a", 0, 3).key}, logged.append)) == 1
    assert logged == []
    assert all((tmp_path / name).read_text() == "kept" for name in NAMES_OF_OTHERS)
    assert {p.name for p in tmp_path.iterdir()} == {*NAMES_OF_OTHERS, "folder.nc", path.name}


def test_what_a_killed_sweep_left_long_ago_is_cleared(tmp_path):
    parts = [tmp_path / f"{'a' * 64}.{digit * 32}.part" for digit in "01"]
    for part in parts:
        part.write_text("half")
    os.utime(parts[0], (time.time() - 2 * 86400,) * 2)
    store.prepare(tmp_path)
    assert list(tmp_path.iterdir()) == [parts[1]]


def test_a_write_that_fails_is_one_line_and_leaves_nothing(tmp_path):
    path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"^store .*: cannot be written: Is a directory$"):
        store.write(tmp_path, [_record("a", 0, 3)], "m")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match=rf"^store .*{path.name}: cannot be read: Is a directory$"):
        store.read(tmp_path, set(), print)
    with pytest.raises(InputError, match=r"^store .*gone: cannot be written: No such file or"):
        store.write(tmp_path / "gone", [_record("a", 0, 3)], "m")


def test_files_have_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_of_another_kind_under_its_checksum_is_one_line(tmp_path):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["x"] = 1
    for data in (b"text", buffer.getvalue()):
        path = tmp_path / f"{hashlib.sha256(data).hexdigest()}.nc"
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"{path.name}: cannot be read: not a file of a"):
            store.read(tmp_path, set(), print)
        path.unlink()


def _at_once(*calls):
    """Call functions on threads; return what they raise."""
    raised, begin = [], threading.Barrier(len(calls))

    def each(call):
        begin.wait()
        try:
            call()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=each, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_two_that_find_the_same_damaged_file_set_it_aside_once(tmp_path):
    logged = []
    for i in range(100):
        (tmp_path / f"{i:064x}.nc").write_bytes(b"x" * 10_000)
    read = [lambda: store.read(tmp_path, set(), logged.append)] * 4
    assert _at_once(*read) == []
    assert len(logged) == 100
    assert len(list(tmp_path.glob("*.damaged"))) == 100


def test_sweeps_that_begin_while_others_write_disturb_nobody(tmp_path):
    def write():
        for i in range(20):
            store.write(tmp_path, [_record("a", i, 1)], "m")

    def prepare():
        for _ in range(400):
            store.prepare(tmp_path)

    def read():
        for _ in range(200):
            store.read(tmp_path, set(), logged.append)

    logged = []
    assert _at_once(write, prepare, prepare, prepare, read) == []
    assert logged == []
    assert len(list(tmp_path.iterdir())) == 20


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        store.prepare(tmp_path / "file" / "store")
    (tmp_path / "mine").write_text("")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        store.read(tmp_path / "mine", set(), print)
    assert store.read(tmp_path / "none", set(), print) == {}
