"""The recording folder: run logs, calibration, and a manifest that names and seals them."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit
import xarray as xr

from numalab import dataset, files, versions
from numalab.captures.manifest import FORMAT, MANIFEST
from numalab.captures.recording import open_recording
from numalab.fields import InputError
from numalab.record.guest import QEMU, Boot
from numalab.record.initramfs import RecordError, tool
from numalab.record.programs import RECORDER
from numalab.workload import Workload

WORKLOAD, CALIBRATION = "workload.toml", "calibration.json"
"""Files of a recording, beside its manifest and its runs."""


def _host_cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")


def _qemu_version() -> str:
    result = subprocess.run([tool(QEMU), "--version"], capture_output=True, text=True, check=False)
    return result.stdout.splitlines()[0] if result.stdout else "unknown"


def _package_of(kernel: Path) -> str:
    """Return "package version" of an image, from the note ``<image>.package`` beside it."""
    try:
        return kernel.with_name(kernel.name + ".package").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class RecordingWriter:
    """A recording folder that grows run by run; what is finished stays finished."""

    def __init__(
        self, folder: Path, workload: Workload, source: str, kernel: Path, program: str = RECORDER
    ) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {
            "format": FORMAT,
            "workload": workload.name,
            "identity": workload.identity(),
            "duration_ms": workload.duration_ms,
            "kernel": "",
            "package": _package_of(kernel),
            "image": kernel.name,
            "image_sha256": hashlib.sha256(kernel.read_bytes()).hexdigest(),
            **({} if program == RECORDER else {"program": program}),
            "files": {},
            "run": [],
        }
        if (folder / MANIFEST).exists():
            self._resume(program)
        else:
            self._begin(source.encode())

    def _begin(self, source: bytes) -> None:
        """Make the folder; what lies there without a manifest is only ours if it is the same."""
        path = self.folder / WORKLOAD
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            begun = path.exists()
            if (begun and path.read_bytes() != source) or (
                not begun and (self.folder / CALIBRATION).exists()
            ):
                raise RecordError(
                    f"{self.folder}: holds {WORKLOAD if begun else CALIBRATION}, and no "
                    f"{MANIFEST}: it is no recording; record into another folder"
                )
        except OSError as error:
            raise RecordError(f"{self.folder}: cannot be written: {error.strerror}") from None
        self._add_file(WORKLOAD, source)

    def _resume(self, program: str) -> None:
        recording = open_recording(self.folder)
        old = recording.manifest
        if recording.program != program:
            raise RecordError(
                f'{self.folder}: holds a recording of program = "{recording.program}", not '
                f'"{program}"; remove it or record into another folder'
            )
        for key, what in (("identity", "workload"), ("image_sha256", "kernel image")):
            if old.get(key) != self.facts[key]:
                raise RecordError(
                    f"{self.folder}: holds a recording of another {what}; remove it or record "
                    "into another folder"
                )
        try:
            for run in range(recording.runs):
                recording.log(run)
        except InputError as error:
            raise RecordError(f"{error}") from None
        self.facts |= old

    @property
    def runs(self) -> int:
        """Number of finished runs."""
        return len(self.facts["run"])

    @property
    def calibrated(self) -> bool:
        """Whether the speed of the machine is in it."""
        return CALIBRATION in self.facts["files"]

    def save(self) -> None:
        """Write the manifest."""
        files.write(self.folder / MANIFEST, tomlkit.dumps(self.facts).encode())

    def add_calibration(self, calibration: dict[str, Any]) -> None:
        """Store the measured speed of the machine and the numbers behind it."""
        text = json.dumps(calibration, indent=1, sort_keys=True) + "\n"
        self._add_file(CALIBRATION, text.encode())
        self.save()

    def add_run(self, boot: Boot, ds: xr.Dataset, seed: int) -> None:
        """Store one finished run and enter it into the manifest."""
        name = f"run{self.runs}.log.gz"
        packed = gzip.compress(boot.text.encode("latin-1"), 9, mtime=0)
        files.write(self.folder / name, packed)
        provenance = dataset.provenance(ds)
        self.facts["kernel"] = provenance["kernel"]
        self.facts["run"].append(
            {
                "file": name,
                "sha256": hashlib.sha256(packed).hexdigest(),
                "seed": seed,
                "model": versions.model_version(),
                "date": datetime.now(UTC).strftime("%Y-%m-%d"),
                "qemu": _qemu_version(),
                "accel": boot.accel,
                "host_cpu": _host_cpu(),
                "failed_boots": boot.failed,
                "latest_sample_ms": provenance["latest_sample_ms"],
                "lost_events": provenance["lost_events"],
            }
        )
        self.save()

    def _add_file(self, name: str, data: bytes) -> None:
        files.write(self.folder / name, data)
        self.facts["files"][name] = hashlib.sha256(data).hexdigest()
