"""Recordings of real kernels: what is read, that it is read once, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from numalab import captures, dataset
from numalab.captures import sealed
from numalab.captures.contents import read_repetitions
from numalab.captures.speeds import resampled
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.policy import get
from numalab.workload import with_speed

ROOT = Path(__file__).parents[1] / "data" / "captures"
LONGER = Path(__file__).parents[2] / "data" / "captures" / "fast-knobs" / "6.12"
GENERATIONS = ("6.1", "6.12", "7.2")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "short" / "6.12", tmp_path / "mine"))


def test_find_opens_every_recording() -> None:
    found = captures.find(ROOT)
    assert [r.label for r in found] == [f"short/{g}" for g in GENERATIONS]
    assert [r.runs for r in found] == [1, 1, 1]


def test_a_recording_says_what_it_is_whatever_its_folder_is_called(copy: Path) -> None:
    recording = captures.open_recording(copy)
    assert (recording.name, recording.generation) == ("short", "6.12")
    assert recording.kernel.startswith("6.12.")
    assert recording.policy is get("linux-6.12")
    assert (recording.version, captures.find(ROOT)[0].version) == ("6.12.107", "6.1.176")
    path = copy / "manifest.toml"
    path.write_text(re.sub('(?m)^package = ".*"', 'package = ""', path.read_text()))
    unpackaged = captures.open_recording(copy)
    assert unpackaged.version == unpackaged.kernel


def test_each_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Counter[str] = Counter()
    unpacked: Counter[str] = Counter()
    read, unpack = sealed.read, sealed.unpacked

    def counted(path: Path, *more: Any, **named: Any) -> bytes:
        opened[path.name] += 1
        return read(path, *more, **named)

    def counted_too(path: Path, data: bytes) -> bytes:
        unpacked[path.name] += 1
        return unpack(path, data)

    monkeypatch.setattr(sealed, "read", counted)
    monkeypatch.setattr(sealed, "unpacked", counted_too)
    recording = captures.open_recording(LONGER)
    assert opened == {"manifest.toml": 1}
    for _ in range(2):
        assert recording.dataset().sizes["replicate"] == recording.runs == 4
        assert [recording.start(run).setup for run in range(recording.runs)]
        assert recording.workload.machine.speed.late_flush_ns > 0
    logs = {f"run{i}.log.gz": 1 for i in range(4)}
    assert opened == {"manifest.toml": 1, "workload.toml": 1, "calibration.json": 1, **logs}
    assert unpacked == logs


def test_the_machine_is_at_the_measured_speed() -> None:
    recording = captures.open_recording(LONGER)
    measured = recording.calibrated_workload.machine.speed
    speed = recording.workload.machine.speed
    assert measured.touch_walk_ns == speed.touch_walk_ns > 0
    assert measured.late_flush_ns != speed.late_flush_ns


def test_a_simulation_starts_where_each_run_started() -> None:
    recording = captures.open_recording(LONGER)
    found = recording.simulate(4, seed=3)
    raw = read_repetitions(LONGER, recording.manifest)
    assert {len(repeated) for repeated in raw.values()} - {1}, "some were measured several times"
    runs = []
    for run in range(recording.runs):
        start = recording.start(run, seed=3)
        assert start.seed == 3000 + run
        (speed,) = resampled(start.workload.machine.speed, raw, 1, seed=start.seed)
        w = with_speed(start.workload, speed)
        runs.append(simulate(w, recording.policy, seed=start.seed, setup=start.setup))
    xr.testing.assert_identical(found, dataset.concat(runs))
    assert recording.start(0).seed is None


def test_another_policy_may_simulate_a_recording(copy: Path) -> None:
    recording = captures.open_recording(copy)
    assert recording.simulate(1, 0).attrs["kernel"] == "linux-6.12"
    assert recording.simulate(1, 0, get("linux-6.1")).attrs["kernel"] == "linux-6.1"


def test_a_run_that_does_not_exist_is_refused(copy: Path) -> None:
    recording = captures.open_recording(copy)
    for ask in (recording.log, recording.start):
        with pytest.raises(InputError, match="run 5: the recording has 1 runs"):
            ask(5)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "run0.log.gz").unlink()
    with pytest.raises(InputError, match=r"run0\.log\.gz: No such file.*record again"):
        captures.open_recording(copy).dataset()


def test_an_altered_file_is_named(copy: Path) -> None:
    path = copy / "run0.log.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"run0\.log\.gz: altered or truncated"):
        captures.open_recording(copy).dataset()


def _replace_log(folder: Path, data: bytes) -> None:
    """Put another file in the place of the log, and its checksum into the manifest."""
    path, manifest = folder / "run0.log.gz", folder / "manifest.toml"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(data)
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(data).hexdigest()))


def test_a_log_that_is_not_gzip_is_named(copy: Path) -> None:
    _replace_log(copy, b"text")
    with pytest.raises(InputError, match=r"run0\.log\.gz: not gzip, or damaged; record it again"):
        captures.open_recording(copy).dataset()


def test_a_sealed_log_that_is_cut_is_named_once(copy: Path) -> None:
    text = gzip.decompress((copy / "run0.log.gz").read_bytes())
    _replace_log(copy, gzip.compress(text[:5000]))
    with pytest.raises(InputError, match=r"^\S+run0\.log\.gz: the run log is cut") as caught:
        captures.open_recording(copy).dataset()
    assert str(caught.value).endswith("; record it again")
    assert str(caught.value).count("run0.log.gz") == 1


def test_the_program_is_the_recorders_unless_the_manifest_and_the_log_say_another(
    copy: Path,
) -> None:
    recording = captures.open_recording(copy)
    assert recording.program == "recorder"
    assert dataset.provenance(recording.dataset())["program"] == "recorder"
    text = gzip.decompress((copy / "run0.log.gz").read_bytes()).decode("latin-1")
    text = text.replace("@section", "@section 7 program\nforeign@section", 1)
    _replace_log(copy, gzip.compress(text.encode("latin-1")))
    with pytest.raises(InputError, match=r"program = 'recorder': run0\.log\.gz has 'foreign'"):
        captures.open_recording(copy).dataset()
    path = copy / "manifest.toml"
    path.write_text('program = "foreign"\n' + path.read_text())
    recording = captures.open_recording(copy)
    assert recording.program == "foreign"
    assert dataset.provenance(recording.dataset())["program"] == "foreign"


def test_a_folder_without_manifest_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.toml: missing"):
        captures.open_recording(tmp_path)
    with pytest.raises(InputError, match="holds no recordings"):
        captures.find(tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("format = [", "not TOML: "),
        ("format = 1\n", "the manifest: workload is missing .*; restore it"),
        (
            'format = 2\nworkload = "w"\nkernel = "6.1"\n[files]\n"workload.toml" = "0"\n',
            "format = 2: numalab reads 1",
        ),
    ],
)
def test_a_damaged_manifest_is_named(copy: Path, text: str, line: str) -> None:
    (copy / "manifest.toml").write_text(text)
    with pytest.raises(InputError, match=rf"manifest\.toml: {line}"):
        captures.open_recording(copy)


def test_a_kernel_without_a_version_has_no_generation(copy: Path) -> None:
    path = copy / "manifest.toml"
    path.write_text(path.read_text().replace('kernel = "6', 'kernel = "v6'))
    with pytest.raises(InputError, match=r"kernel = 'v6.*must begin with a version"):
        captures.open_recording(copy).generation  # noqa: B018


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        (r'workload = ".*"', 'workload = "other"'),
        (r'identity = ".*"', 'identity = "0"'),
        (r"duration_ms = .*", "duration_ms = 1"),
    ],
)
def test_a_manifest_that_belongs_to_another_workload_is_refused(copy, line, changed) -> None:
    path = copy / "manifest.toml"
    text, count = re.subn(rf"(?m)^{line}$", changed, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    key = changed.partition(" ")[0]
    with pytest.raises(InputError, match=rf"manifest\.toml: {key} = .*: workload\.toml has"):
        captures.open_recording(copy).dataset()


def test_runs_and_seeds_below_their_bounds_are_refused_by_their_own_values(copy) -> None:
    recording = captures.open_recording(copy)
    with pytest.raises(InputError, match=r"^replicates = 0: must be at least 1"):
        recording.simulate(0, 1)
    with pytest.raises(InputError, match=r"^seed = -1: must be at least 0"):
        recording.simulate(40, -1)


def test_a_recording_that_has_not_begun_is_refused(copy: Path) -> None:
    path = copy / "manifest.toml"
    path.write_text(path.read_text().partition("[[run]]")[0])
    with pytest.raises(InputError, match="no run was recorded yet"):
        captures.open_recording(copy).simulate(1, 0)


def test_a_recording_without_calibration_is_at_the_default_speed(copy: Path) -> None:
    path = copy / "manifest.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(x for x in lines if not x.startswith('"calibration')) + "\n")
    recording = captures.open_recording(copy)
    speed = recording.calibrated_workload.machine.speed
    assert speed == type(speed)()
    assert recording.dataset().sizes["replicate"] == 1
