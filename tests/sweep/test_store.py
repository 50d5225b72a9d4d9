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
from numalab.sweep import batch, store
from numalab.sweep.results import TOTALS_HEADER, Record, pack, unpack
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
    header, row = pack({"x": 0.5, "y": float("nan")})
    other = Record(_record("a", 0, 1).key, 7, header, row[None])
    store.write(tmp_path, [_record("a", 0, 3), other, _record("a", 3, 2)], "m")
    found = store.read(tmp_path, {other.key}, print)[other.key]
    assert [(r.first, len(r.rows), r.header == header) for r in found] == [
        (0, 3, False), (3, 2, False), (7, 1, True),
    ]  # fmt: skip
    np.testing.assert_array_equal(found[2].rows, other.rows)


def test_results_of_no_run_or_no_number_are_read(tmp_path):
    header, row = pack({"x": xr.DataArray(np.empty(0), dims="i")})
    for records in ([_record("a", 0, 0)], [Record(_record("b", 0, 0).key, 0, header, row[None])]):
        store.write(tmp_path, records, "m")
        found = store.read(tmp_path, {records[0].key}, pytest.fail)[records[0].key]
        assert [one.rows.shape for one in found] == [records[0].rows.shape]


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
    parts = [tmp_path / f".{'a' * 64}.nc.{digit * 16}.part" for digit in "01"]
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
    with pytest.raises(InputError, match=r"^store .*gone.*: cannot be written: No such file or"):
        store.write(tmp_path / "gone", [_record("a", 0, 3)], "m")


def test_files_have_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        path = store.write(tmp_path, [_record("a", 0, 3)], "m")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def _put(folder, data):
    path = folder / f"{hashlib.sha256(data).hexdigest()}.nc"
    path.write_bytes(data)
    return path


def _edited(change):
    """A file of a store after a change by its open file; its checksum will be right."""
    buffer = io.BytesIO(batch.packed([_record("a", 0, 3)], "m"))
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def _columns(file):
    del file["kind0/rows"]
    file["kind0/rows"] = np.zeros((3, 28), np.int64)


def _other(name, value):
    def change(file):
        del file["kind0"][name]
        file["kind0"][name] = value

    return change


def _zeros(file):
    """An array of 8 TB that takes no room in a file."""
    del file["kind0/rows"]
    file["kind0"].create_dataset("rows", (1 << 33, 128), np.int64)


def _packed_zeros(file):
    del file["kind0/rows"]
    file["kind0"].create_dataset("rows", (1 << 22, len(NAMES)), np.int64, compression="gzip")


def _linked(file):
    for i in range(1, 99):
        file[f"kind{i}"] = file["kind0"]


FOREIGN = {
    "empty": lambda: b"",
    "text": lambda: b"text",
    "other": lambda: _edited(lambda file: file.create_dataset("x", data=1)),
    "no-model": lambda: _edited(lambda file: file.attrs.clear()),
    "28-columns": lambda: _edited(_columns),
    "header": lambda: _edited(_other("header", np.array(["{}"], object))),
    "nested": lambda: _edited(_other("header", np.array(["[" * 100_000], object))),
    "digits": lambda: _edited(_other("header", np.array(["9" * 5000], object))),
    "negative": lambda: _edited(_other("first", np.array([-1]))),
    "counts": lambda: _edited(_other("count", np.array([1 << 60]))),
    "no-count": lambda: _edited(_other("count", np.array([], np.int64))),
    "8-TB": lambda: _edited(_zeros),
    "compressed": lambda: _edited(_packed_zeros),
    "elsewhere": lambda: _edited(_other("rows", h5py.ExternalLink("/dev/stdin", "/x"))),
    "soft": lambda: _edited(_other("rows", h5py.SoftLink("/kind0/key"))),
    "linked-often": lambda: _edited(_linked),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_kind_under_its_checksum_is_set_aside(tmp_path, name):
    path = _put(tmp_path, FOREIGN[name]())
    good = store.write(tmp_path, [_record("b", 0, 3)], "m")
    wanted, logged = {_record(word, 0, 1).key for word in "ab"}, []
    assert list(store.read(tmp_path, wanted, logged.append)) == [_record("b", 0, 1).key]
    aside = path.with_suffix(".damaged")
    assert logged == [
        f"store: {path} is damaged (not a file of a store), and set aside as {aside}: its points "
        "are computed again"
    ]
    assert {p.name for p in tmp_path.iterdir()} == {good.name, aside.name}


def test_what_is_no_file_or_too_large_is_set_aside(tmp_path):
    os.mkfifo(tmp_path / f"{1:064x}.nc")
    (tmp_path / f"{2:064x}.nc").mkdir()
    with (tmp_path / f"{3:064x}.nc").open("wb") as file:
        file.truncate(1 << 40)
    logged = []
    assert store.read(tmp_path, set(), logged.append) == {}
    reasons = [line.partition("damaged (")[2].partition(")")[0] for line in logged]
    assert reasons == ["not a regular file"] * 2 + [f"{1 << 40} bytes: {store.MOST_BYTES} at most"]
    assert len(list(tmp_path.glob("*.damaged"))) == 3


def test_large_results_are_written_in_files_that_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_WRITE_BYTES", 3 * len(NAMES) * 8)
    keeper = store.Keeper(tmp_path)
    keeper.take([_record("a", i, 2) for i in range(5)], 10)
    assert keeper.kept == 10
    assert len(list(tmp_path.iterdir())) == 3
    found = store.read(tmp_path, {_record("a", 0, 1).key}, print)
    assert sorted(r.first for r in found[_record("a", 0, 1).key]) == [0, 1, 2, 3, 4]
    monkeypatch.setattr(store, "MOST_BYTES", 100)
    with pytest.raises(InputError, match=r"^store .*: a result has \d+ bytes: 100 at most$"):
        store.write(tmp_path, [_record("a", 0, 3)], "m")


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
