"""The recording folder: complete or absent, extendable, sealed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from numalab import versions
from numalab.captures import open_recording
from numalab.captures.run import read_run
from numalab.record.guest import Boot
from numalab.record.initramfs import RecordError
from numalab.record.manifest import RecordingWriter
from numalab.workload import Workload
from numalab.workload_file import parse

SHORT = Path(__file__).parents[1] / "data" / "captures" / "short" / "6.12"


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    image = tmp_path / "vmlinuz"
    image.write_bytes(b"an image")
    (tmp_path / "vmlinuz.package").write_text("linux-image-x 1-1\n")
    return image


def _recording(
    folder: Path, kernel: Path, source: str, program: str = "recorder"
) -> tuple[RecordingWriter, Workload]:
    workload = parse(source)
    return RecordingWriter(folder, workload, source, kernel, program), workload


def test_a_recording_grows_and_can_be_read(tmp_path: Path, kernel: Path) -> None:
    source = (SHORT / "workload.toml").read_text()
    text = open_recording(SHORT).log(0)
    folder = tmp_path / "short" / "6.12"
    for number in range(2):
        recording, workload = _recording(folder, kernel, source)
        assert recording.runs == number
        log = text.replace("(2026-", "(2025-", number)  # no two runs are the same
        recording.add_run(Boot(log, "tcg", 0), read_run(log, workload).dataset, number)
    assert open_recording(folder).dataset().sizes["replicate"] == 2
    facts = open_recording(folder).manifest
    assert facts["package"] == "linux-image-x 1-1"
    assert [run["seed"] for run in facts["run"]] == [0, 1]
    assert {run["model"] for run in facts["run"]} == {versions.model_version()}
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.toml",
        "run0.log.gz",
        "run1.log.gz",
        "workload.toml",
    ]


def test_a_recording_is_byte_for_byte_reproducible(tmp_path: Path, kernel: Path) -> None:
    source = (SHORT / "workload.toml").read_text()
    text = open_recording(SHORT).log(0)
    sums = []
    for name in ("one", "two"):
        recording, workload = _recording(tmp_path / name, kernel, source)
        recording.add_run(Boot(text, "tcg", 0), read_run(text, workload).dataset, 0)
        sums.append(recording.facts["run"][0]["sha256"])
    assert sums[0] == sums[1]


def test_another_workload_or_kernel_is_refused(tmp_path: Path, kernel: Path) -> None:
    source = (SHORT / "workload.toml").read_text()
    recording, _ = _recording(tmp_path / "kept", kernel, source)
    recording.save()
    with pytest.raises(RecordError, match="another workload"):
        _recording(tmp_path / "kept", kernel, source.replace("2500", "2600"))
    kernel.write_bytes(b"another image")
    with pytest.raises(RecordError, match="another kernel image"):
        _recording(tmp_path / "kept", kernel, source)


@pytest.mark.parametrize(("kept", "given"), [("recorder", "foreign"), ("foreign", "recorder")])
def test_a_recording_of_another_program_is_refused(
    tmp_path: Path, kernel: Path, kept: str, given: str
) -> None:
    source = (SHORT / "workload.toml").read_text()
    recording, _ = _recording(tmp_path / "kept", kernel, source, kept)
    recording.save()
    found = open_recording(tmp_path / "kept")
    assert found.program == kept
    assert ("program" in found.manifest) == (kept == "foreign")
    with pytest.raises(RecordError, match=f'of program = "{kept}", not "{given}"; remove it'):
        _recording(tmp_path / "kept", kernel, source, given)
    _recording(tmp_path / "kept", kernel, source, kept)


def test_a_damaged_run_is_not_extended(tmp_path: Path, kernel: Path) -> None:
    source = (SHORT / "workload.toml").read_text()
    text = open_recording(SHORT).log(0)
    folder = tmp_path / "kept"
    recording, workload = _recording(folder, kernel, source)
    recording.add_run(Boot(text, "tcg", 0), read_run(text, workload).dataset, 0)
    shutil.copy(SHORT / "workload.toml", folder / "run0.log.gz")
    with pytest.raises(RecordError, match=r"run0\.log\.gz: altered"):
        _recording(folder, kernel, source)


@pytest.mark.parametrize("name", ["workload.toml", "calibration.json"])
def test_a_folder_of_other_files_is_not_written_over(
    tmp_path: Path, kernel: Path, name: str
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(RecordError, match=rf"mine: holds {name}, and no manifest.toml"):
        _recording(folder, kernel, (SHORT / "workload.toml").read_text())
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "mine"


def test_what_was_stopped_before_its_manifest_is_begun_again(tmp_path: Path, kernel: Path) -> None:
    source = (SHORT / "workload.toml").read_text()
    for _ in range(2):
        recording, _ = _recording(tmp_path / "kept", kernel, source)
        (tmp_path / "kept" / "calibration.json").write_text("{}")
    recording.add_calibration({"speed": {}})
    assert recording.calibrated
