"""numalab sweep as a user meets it."""

import pytest

from tests import command

FILE = """
[sweep]
workload = "lifetimes"
replicates = 2
drop = ["pin_fraction > 1.7"]
[fixed]
duration_ms = 500
vma_lifetime_ms = 100
scan_delay_ms = 100
[axes]
pin_fraction = [0, 1, 1.5, 2]
"""


def numalab(*words, cwd=command.ROOT):
    return command.numalab("sweep", *words, cwd=cwd)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(FILE)
    return path


def test_a_dry_run_counts_and_runs_nothing(file, tmp_path):
    done = numalab(file, "--dry-run", "--store", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("2 points x 2 replicates = 4 runs, of which 4 are to be computed")
    assert lines[1].startswith('1 point failed: vma "old": pinned_fraction = 1.5')
    assert lines[2] == "1 point dropped: pin_fraction > 1.7"
    assert not (tmp_path / "store").exists()


def test_neither_run_nor_dry_run_touches_files_of_others(file, tmp_path):
    (tmp_path / "mine.nc").write_text("kept")
    (tmp_path / "folder.nc").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    done = numalab(file, "--store", ".", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert {path.name for path in tmp_path.iterdir()} == before
    for left in (4, 0):
        done = numalab(file, "--store", ".", "--out", "s.nc", "--workers", 1, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "damaged" not in done.stderr
        assert f"of which {left} are to be computed" in done.stderr
    assert (tmp_path / "mine.nc").read_text() == "kept"
    assert {"mine.nc", "folder.nc", "s.nc", "s.toml"} < {p.name for p in tmp_path.iterdir()}
    assert not list(tmp_path.glob("*.damaged"))


def test_a_dry_run_says_what_is_damaged_and_renames_nothing(file, tmp_path):
    path = tmp_path / "store" / f"{0:064x}.nc"
    path.parent.mkdir()
    path.write_text("x")
    done = numalab(file, "--store", path.parent, "--dry-run")
    assert done.returncode == 0
    assert done.stderr == (f"store: {path} is damaged (checksum): its points are computed again\n")
    assert path.exists()


@pytest.mark.parametrize("drop_invalid", ["false", "true"])
def test_a_sweep_without_any_result_is_a_failure(file, tmp_path, drop_invalid):
    text = FILE.replace("[0, 1, 1.5, 2]", "[1.5, 1.6]")
    file.write_text(text.replace("replicates", f"drop_invalid = {drop_invalid}\nreplicates"))
    state = "dropped" if drop_invalid == "true" else "failed"
    dry = numalab(file, "--dry-run")
    assert (dry.returncode, dry.stderr) == (1, "")
    assert f"1 point {state}: " in dry.stdout
    done = numalab(file, "--out", tmp_path / "s.nc", "--workers", 1)
    assert done.returncode == 1
    assert f"2 {state}" in done.stdout
    assert (tmp_path / "s.nc").exists()


def test_a_place_that_cannot_be_written_is_refused_before_the_runs(file, tmp_path):
    (tmp_path / "f").write_text("")
    for out, why in (
        (tmp_path, "is not a regular file: name another"),
        (tmp_path / "f" / "s.nc", "cannot be written: "),
        (tmp_path / ("s" * 300), "cannot be written: File name too long"),
        ("/proc/none/s.nc", "cannot be written: No such file or directory"),
    ):
        done = numalab(file, "--store", tmp_path / "store", "--out", out)
        assert done.returncode == 2
        assert done.stderr.startswith(f"numalab: error: --out {out}: {why}")
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_a_store_that_is_a_file_is_said_by_a_dry_run_too(file):
    done = numalab(file, "--store", file, "--dry-run")
    assert done.returncode == 2
    assert done.stderr == f"numalab: error: store {file}: cannot be read: Not a directory\n"


def test_a_sweep_writes_store_and_dataset(file, tmp_path):
    words = (file, "--store", tmp_path / "store", "--out", tmp_path / "s.nc", "--workers", 1)
    done = numalab(*words)
    assert done.returncode == 0, done.stderr
    assert "2 points done, 1 dropped, 1 failed; 2 runs each" in done.stdout
    assert '1 point failed: vma "old": pinned_fraction = 1.5' in done.stdout
    assert (tmp_path / "s.nc").stat().st_size > 1000
    again = numalab(*words)
    assert "of which 0 are to be computed" in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.toml", "--dry-run"), "none.toml: cannot be read"),
        (("data/sweeps/knobs.toml",), "give --store, --out or --dry-run"),
        (("data/sweeps/knobs.toml", "--out", "x.nc", "--workers", "-1"), "workers = -1"),
        (("pyproject.toml", "--dry-run"), "unknown section"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, message):
    done = numalab(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("numalab: error: ")
    assert message in done.stderr
