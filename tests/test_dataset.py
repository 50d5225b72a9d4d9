"""The one table: its schema, its birth certificate, its laws, and its file."""

import json

import numpy as np
import pytest
import xarray as xr

from numalab import dataset
from numalab.dataset import check_invariants, concat, make, provenance
from numalab.fields import InputError
from numalab.schema import COUNTERS, REASONS, SCHEMA

COORDS = {"time": [0.0, 250.0], "process": ["main"], "vma": ["a"], "task": ["t"], "node": [0, 1]}
ATTRS = {"source": "simulated", "kernel": "linux-6.12", "seed": 3}


def small(chunks=0, coords=COORDS, **more):
    steps = len(coords["time"])
    variables = {name: np.arange(steps) for name in COUNTERS}
    variables["skips"] = np.zeros((1, len(REASONS)))
    variables["chunk_ms"] = np.arange(chunks) + 0.5
    variables["chunk_pages"] = np.arange(chunks)
    return make({**variables, **more}, coords, ATTRS)


def test_every_variable_says_unit_meaning_and_counterpart():
    for name, one in SCHEMA.items():
        assert one.dims and one.units and one.long_name and one.kernel, name
    ds = small(chunks=2)
    assert ds["numa_pte_updates"].attrs == {
        "units": "1", "long_name": "entries marked PROT_NONE, in 4 KiB", "kernel": "vmstat",
    }  # fmt: skip
    assert ds["time"].attrs["units"] == "ms"
    assert list(ds["reason"].values) == list(REASONS)


def test_counters_are_whole_numbers_and_times_are_not():
    ds = small(chunks=2)
    assert ds["numa_pte_updates"].dtype == np.int64
    assert ds["skips"].dtype == np.int64
    assert ds["chunk_ms"].values.tolist() == [0.5, 1.5]


def test_a_name_of_the_kernel_is_used_only_for_what_the_kernel_counts():
    for name, one in SCHEMA.items():
        if name.startswith("notifier"):
            assert one.kernel in ("kvm_unmap_hva_range", "none: simulator only")
        if name in COUNTERS:
            assert one.kernel == "vmstat"


def test_a_variable_outside_the_schema_is_refused():
    with pytest.raises(KeyError):
        small(numa_wishes=[1, 2])


def test_the_birth_certificate_travels_inside():
    ds = small()
    assert provenance(ds) == ATTRS
    assert json.loads(ds.attrs["provenance"])["seed"] == 3
    assert (ds.attrs["source"], ds.attrs["kernel"]) == ("simulated", "linux-6.12")


def test_runs_are_joined_and_short_chunk_tables_padded():
    ds = concat([small(chunks=3), small(chunks=1), small()])
    assert dict(ds.sizes)["replicate"] == 3
    assert ds["replicate"].values.tolist() == [0, 1, 2]
    assert ds["chunk_pages"].dtype == np.int64
    assert ds["chunk_pages"].values.tolist() == [[0, 1, 2], [0, -1, -1], [-1, -1, -1]]
    assert ds["chunk_ms"].values[1].tolist() == [0.5, -1.0, -1.0]
    assert all("replicate" in ds[name].dims for name in ds.data_vars)


def test_one_run_is_joined_unchanged():
    one = small(chunks=2)
    xr.testing.assert_equal(concat([one]).isel(replicate=0, drop=True), one)


def test_nothing_cannot_be_joined():
    with pytest.raises(InputError, match="no runs"):
        concat([])


def test_laws_hold_for_a_sound_dataset():
    check_invariants(small())
    check_invariants(concat([small(), small()]))


@pytest.mark.parametrize("name", COUNTERS)
def test_a_counter_that_falls_is_named(name):
    with pytest.raises(AssertionError, match=f"{name} falls"):
        check_invariants(small(**{name: [5, 4]}))


def test_a_fall_in_one_run_of_several_is_found():
    with pytest.raises(AssertionError, match="numa_hint_faults falls"):
        check_invariants(concat([small(), small(numa_hint_faults=[9, 8])]))


def test_more_local_faults_than_faults_are_found():
    with pytest.raises(AssertionError, match="numa_hint_faults_local exceeds"):
        check_invariants(small(numa_hint_faults_local=[0, 2]))


@pytest.mark.parametrize("name", COUNTERS)
def test_laws_are_checked_for_the_variables_that_are_there(name):
    """style.md section 4: also run on captures, for the variables they hold."""
    check_invariants(small().drop_vars([name]))
    with pytest.raises(AssertionError, match="falls"):
        check_invariants(small(**{key: [5, 4] for key in COUNTERS}).drop_vars([name]))


def test_a_file_keeps_everything(tmp_path):
    ds = concat([small(chunks=2), small(chunks=1)])
    dataset.save(ds, tmp_path / "deep" / "down" / "a.nc")
    xr.testing.assert_identical(dataset.load(tmp_path / "deep" / "down" / "a.nc"), ds)


def test_a_file_replaces_another_whole(tmp_path):
    path = tmp_path / "a.nc"
    dataset.save(small(chunks=1), path)
    dataset.save(small(chunks=2), str(path))
    assert dataset.load(path).sizes["chunk"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.nc"
    dataset.save(small(chunks=1), path)
    before = path.read_bytes()
    broken = small().assign_attrs(provenance=object())
    with pytest.raises((TypeError, ValueError)):
        dataset.save(broken, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "a.nc", tmp_path / ("a" * 300)):
        with pytest.raises(InputError, match=f"^{path}: cannot be written: "):
            dataset.save(small(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert [p.name for p in tmp_path.parent.glob("*.part")] == []


def refused(path):
    with pytest.raises(InputError) as caught:
        dataset.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def test_a_file_that_is_no_dataset_is_refused_in_one_line(tmp_path):
    assert "no such file" in refused(tmp_path / "none.nc")
    for name, content in [("empty", b""), ("text", b"hello"), ("zeros", bytes(4096))]:
        path = tmp_path / f"{name}.nc"
        path.write_bytes(content)
        assert "not a readable NetCDF file" in refused(path)
    assert "not a readable NetCDF file" in refused(tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "a.nc"
    dataset.save(small(chunks=50), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "not a readable NetCDF file" in refused(path)


def test_a_foreign_dataset_is_refused(tmp_path):
    path = tmp_path / "a.nc"
    xr.Dataset({"x": ("t", [1, 2])}).to_netcdf(path, engine="h5netcdf")
    assert "not a numalab Dataset" in refused(path)


def test_runs_that_do_not_hold_the_same_variables_are_not_made_one():
    one = {"numa_pte_updates": [0, 1], "numa_hint_faults": [0, 1]}
    with pytest.raises(KeyError, match="not in all runs: numa_hint_faults"):
        dataset.make_runs([one, {"numa_pte_updates": [0, 1]}], COORDS, ATTRS)
    with pytest.raises(KeyError, match="not in all runs: numa_hint_faults"):
        dataset.make_runs([{"numa_pte_updates": [0, 1]}, one], COORDS, ATTRS)
    with pytest.raises(InputError, match="no runs"):
        dataset.make_runs([], COORDS, ATTRS)
