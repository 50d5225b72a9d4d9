"""A recording of real runs: a folder of run logs in, the Dataset of the schema out.

A recording lies in ``<root>/<workload>/<kernel generation>/``: ``manifest.toml``,
``workload.toml``, ``calibration.json`` and ``run0.log.gz``, ``run1.log.gz``, ... as
``numalab record`` writes them. Every file is checked against the manifest.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import re
import tomllib
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from numalab import dataset, engine, workload_file
from numalab.captures.run import Run, read_run
from numalab.captures.scan_times import late_flushes
from numalab.fields import InputError
from numalab.machine import Speed
from numalab.policy import Policy, get
from numalab.workload import Workload, with_speed

MANIFEST = "manifest.toml"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a recording.

    Raises
    ------
    InputError
        If it is missing or not TOML.
    """
    path = folder / MANIFEST
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; {folder} is not a recording") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__})") from None


def read_file(path: Path, sha256: str) -> bytes:
    """Return the content of a file of a recording, compared with its SHA-256.

    Raises
    ------
    InputError
        If it is missing or altered.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; restore it or record again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            f"{path}: altered or truncated (SHA-256 is not that of {MANIFEST}); restore it or "
            "record again"
        )
    return data


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The runs of one workload on one real kernel; :func:`open_recording` makes it.

    Each file is read once, when it is first needed. Whatever is missing, cut or altered is an
    InputError of one line that names the file and the remedy.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the workload."""
        return str(self.manifest["workload"])

    @property
    def kernel(self) -> str:
        """Release of the kernel, such as ``6.12.107+deb13-cloud-amd64``."""
        return str(self.manifest["kernel"])

    @property
    def generation(self) -> str:
        """Generation of the kernel, such as ``6.12``."""
        if not (found := re.match(r"[0-9]+\.[0-9]+", self.kernel)):
            raise InputError(
                f"{self.folder / MANIFEST}: kernel = {self.kernel!r}: must begin with a version"
            )
        return found[0]

    @property
    def label(self) -> str:
        """``workload/generation``: how a recording is named in tables and figures."""
        return f"{self.name}/{self.generation}"

    @property
    def policy(self) -> Policy:
        """The model's policy of that kernel."""
        return get(f"linux-{self.generation}")

    @property
    def runs(self) -> int:
        """Number of recorded runs."""
        return len(self.manifest.get("run", []))

    @cached_property
    def calibrated_workload(self) -> Workload:
        """The workload on the machine at the speed that was calibrated before the runs."""
        text = self._read("workload.toml").decode()
        workload = workload_file.parse(text, f"{self.folder / 'workload.toml'}")
        if "calibration.json" not in self.manifest["files"]:
            return workload
        data = json.loads(self._read("calibration.json"))
        return with_speed(workload, Speed(**data["speed"]))

    @cached_property
    def workload(self) -> Workload:
        """The workload on the machine as it was during the runs.

        The calibration says how fast the machine is. How often another CPU is late to flush
        its TLB depends on what else the host did at the time, so that is measured in the
        runs: the only thing that the model is told of a run after its start.
        """
        waits = [ns for run in self._runs for ns in run.flush_waits_ns]
        found = self.calibrated_workload
        return with_speed(found, dataclasses.replace(found.machine.speed, **late_flushes(waits)))

    def dataset(self) -> xr.Dataset:
        """Return all runs along ``replicate``."""
        return dataset.concat([run.dataset for run in self._runs])

    def start(self, run: int, seed: int | None = None) -> engine.Start:
        """Return where the model starts to repeat a run: its workload, address space and clocks.

        Parameters
        ----------
        run : int
        seed : int, optional
            Each run draws from a stream of its own, ``seed * 1000 + run``; None leaves the
            stream to whoever simulates.
        """
        if not 0 <= run < self.runs:
            raise InputError(f"{self.folder}: run {run}: the recording has {self.runs} runs")
        return engine.Start(
            workload=self.workload,
            setup=self._runs[run].setup,
            seed=None if seed is None else seed * 1000 + run,
        )

    def simulate(self, replicates: int, seed: int, policy: Policy | None = None) -> xr.Dataset:
        """Simulate what was recorded, from each run's own start.

        The model gets the workload, the machine's measured speed, and for each recorded run
        the address space and clocks at its start; of what happened afterwards only how late
        other CPUs answered a TLB flush.

        Parameters
        ----------
        replicates : int
            In all; rounded up to the same number for every recorded run.
        seed : int
        policy : Policy, optional
            Instead of that of the recorded kernel.

        Returns
        -------
        xarray.Dataset
            The schema, with all of them along ``replicate``.
        """
        each = -(-replicates // len(self._runs))
        rules = policy or self.policy
        found = []
        for run in range(self.runs):
            at = self.start(run, seed)
            found.append(
                engine.simulate(
                    at.workload, rules, seed=at.seed or 0, replicates=each, setup=at.setup
                )
            )
        return dataset.concat(found)

    def log(self, run: int) -> str:
        """Return the log of a run, as the guest wrote it; read anew each time."""
        if not 0 <= run < self.runs:
            raise InputError(f"{self.folder}: run {run}: the recording has {self.runs} runs")
        entry = self.manifest["run"][run]
        data = read_file(self.folder / entry["file"], entry["sha256"])
        try:
            return gzip.decompress(data).decode("latin-1")
        except (OSError, EOFError, zlib.error):
            raise InputError(f"{self.folder / entry['file']}: not gzip; record it again") from None

    @cached_property
    def _runs(self) -> list[Run]:
        if not self.runs:
            raise InputError(f"{self.folder}: no run was recorded yet")
        return [self._read_run(number) for number in range(self.runs)]

    def _read_run(self, number: int) -> Run:
        text, workload = self.log(number), self.calibrated_workload
        try:
            return read_run(text, workload)
        except InputError as error:
            path = self.folder / self.manifest["run"][number]["file"]
            raise InputError(f"{path}: {error}; record it again") from None

    def _read(self, name: str) -> bytes:
        return read_file(self.folder / name, self.manifest["files"][name])


def open_recording(folder: str | Path) -> Recording:
    """Open a recording; only its manifest is read now.

    Raises
    ------
    InputError
        If the folder holds no manifest, or a damaged one.
    """
    found = read_manifest(Path(folder))
    for key in ("workload", "kernel", "files"):
        if key not in found:
            raise InputError(f"{Path(folder) / MANIFEST}: {key} is missing; restore it")
    return Recording(folder=Path(folder), manifest=found)


def find(root: str | Path) -> list[Recording]:
    """Open every recording ``<root>/<workload>/<generation>``, in the order of their folders.

    Raises
    ------
    InputError
        If there is none, or a manifest is damaged.
    """
    found = [open_recording(path.parent) for path in sorted(Path(root).glob(f"*/*/{MANIFEST}"))]
    if not found:
        raise InputError(f"{root}: holds no recordings")
    return found
