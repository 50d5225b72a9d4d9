"""The recording folder: run logs, calibration, and a manifest that names and seals them."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xarray as xr

from numalab import dataset
from numalab.captures.recording import MANIFEST, open_recording
from numalab.fields import InputError
from numalab.record.guest import QEMU, Boot
from numalab.record.initramfs import RecordError, tool
from numalab.workload import Workload


def write(path: Path, data: bytes) -> str:
    """Write a file that appears complete or not at all; return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
        part.write(data)
    temporary = Path(part.name)
    temporary.chmod(0o644)
    temporary.replace(path)
    return hashlib.sha256(data).hexdigest()


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def as_toml(facts: dict[str, Any]) -> str:
    """Render a manifest: plain values first, then tables, then lists of tables."""
    plain = {k: v for k, v in facts.items() if not isinstance(v, (dict, list))}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items()]
    for key, table in facts.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", *(f"{json.dumps(k)} = {_value(v)}" for k, v in table.items())]
    for key, tables in facts.items():
        for table in tables if isinstance(tables, list) else []:
            lines += ["", f"[[{key}]]", *(f"{k} = {_value(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def _host_cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")


def qemu_version() -> str:
    """Return the first line of ``qemu-system-x86_64 --version``."""
    result = subprocess.run([tool(QEMU), "--version"], capture_output=True, text=True, check=False)
    return result.stdout.splitlines()[0] if result.stdout else "unknown"


def package_of(kernel: Path) -> str:
    """Return "package version" of an image, from the note ``<image>.package`` beside it."""
    try:
        return kernel.with_name(kernel.name + ".package").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def image_sha256(kernel: Path) -> str:
    """Return the SHA-256 of a kernel image."""
    return hashlib.sha256(kernel.read_bytes()).hexdigest()


class RecordingWriter:
    """A recording folder that grows run by run; what is finished stays finished."""

    def __init__(self, folder: Path, workload: Workload, source: str, kernel: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {
            "format": 1,
            "workload": workload.name,
            "identity": workload.identity(),
            "duration_ms": workload.duration_ms,
            "kernel": "",
            "package": package_of(kernel),
            "image": kernel.name,
            "image_sha256": image_sha256(kernel),
            "files": {},
            "run": [],
        }
        if (folder / MANIFEST).exists():
            self._resume()
        else:
            sha256 = write(folder / "workload.toml", source.encode())
            self.facts["files"]["workload.toml"] = sha256

    def _resume(self) -> None:
        recording = open_recording(self.folder)
        old = recording.manifest
        for key in ("identity", "image_sha256"):
            if old.get(key) != self.facts[key]:
                what = "workload" if key == "identity" else "kernel image"
                raise RecordError(
                    f"{self.folder}: holds a recording of another {what}; remove it or record "
                    "into another folder"
                )
        try:
            for run in range(recording.runs):
                recording.log(run)
        except InputError as error:
            raise RecordError(f"{error}") from None
        self.facts = {**self.facts, **old}

    @property
    def runs(self) -> int:
        """Number of finished runs."""
        return len(self.facts["run"])

    def save(self) -> None:
        """Write the manifest."""
        ordered = {k: v for k, v in self.facts.items() if k not in ("files", "run")}
        ordered |= {"files": self.facts["files"], "run": self.facts["run"]}
        write(self.folder / MANIFEST, as_toml(ordered).encode())

    def add_calibration(self, calibration: dict[str, Any]) -> None:
        """Store the measured speed of the machine and the numbers behind it."""
        text = json.dumps(calibration, indent=1, sort_keys=True) + "\n"
        sha256 = write(self.folder / "calibration.json", text.encode())
        self.facts["files"]["calibration.json"] = sha256
        self.save()

    def add_run(self, boot: Boot, ds: xr.Dataset, seed: int) -> None:
        """Store one finished run and enter it into the manifest."""
        name = f"run{self.runs}.log.gz"
        packed = gzip.compress(boot.text.encode("latin-1"), 9, mtime=0)
        birth = dataset.provenance(ds)
        self.facts["kernel"] = birth["kernel"]
        self.facts["run"].append(
            {
                "file": name,
                "sha256": write(self.folder / name, packed),
                "seed": seed,
                "date": datetime.now(UTC).strftime("%Y-%m-%d"),
                "qemu": qemu_version(),
                "accel": boot.accel,
                "host_cpu": _host_cpu(),
                "failed_boots": boot.failed,
                "latest_sample_ms": birth["latest_sample_ms"],
                "lost_events": birth["lost_events"],
            }
        )
        self.save()
