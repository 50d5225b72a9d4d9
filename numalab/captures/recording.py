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
from numalab.captures.run import OWN_PROGRAM, Run, read_run
from numalab.captures.scan_times import late_flushes
from numalab.fields import InputError
from numalab.machine import speed_of
from numalab.model.default_start import possible_starts
from numalab.policy import Policy
from numalab.releases import of_release
from numalab.workload import Workload, with_speed

MANIFEST = "manifest.toml"
FORMAT = 1
"""Of the folder: what the manifest and the logs hold."""


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
    def version(self) -> str:
        """Version of the kernel that was packaged, such as ``6.1.176``; else :attr:`kernel`."""
        _, _, version = str(self.manifest.get("package", "")).partition(" ")
        return version.partition("-")[0] or self.kernel

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
        """The rules of that kernel, by the version that was packaged."""
        return of_release(self.version)

    @property
    def program(self) -> str:
        """The program that ran the workload: ``recorder``, the recorder's own, or ``foreign``."""
        return str(self.manifest.get("program", OWN_PROGRAM))

    @property
    def runs(self) -> int:
        """Number of recorded runs."""
        return len(self.manifest.get("run", []))

    @cached_property
    def calibrated_workload(self) -> Workload:
        """The workload on the machine at the speed that was calibrated before the runs."""
        files = self.manifest["files"]
        text = self._read("workload.toml", files["workload.toml"]).decode()
        workload = workload_file.parse(text, f"{self.folder / 'workload.toml'}")
        held = (workload.name, workload.identity(), workload.duration_ms)
        for key, value in zip(("workload", "identity", "duration_ms"), held, strict=True):
            if self.manifest.get(key, value) != value:
                raise InputError(
                    f"{self.folder / MANIFEST}: {key} = {self.manifest[key]!r}: workload.toml has "
                    f"{value!r}; restore it or record again"
                )
        if "calibration.json" not in files:
            return workload
        data = json.loads(self._read("calibration.json", files["calibration.json"]))
        return with_speed(workload, speed_of(data["speed"], data.get("assumed", ())))

    @cached_property
    def workload(self) -> Workload:
        """The workload on the machine as it was during the runs.

        The calibration says how fast the machine is. How often another CPU is late to flush
        its TLB depends on what else the host did at the time, so that is measured in the
        runs.
        """
        waits = [ns for run in self._runs for ns in run.flush_waits_ns]
        found = self.calibrated_workload
        return with_speed(found, dataclasses.replace(found.machine.speed, **late_flushes(waits)))

    def _workload_of(self, run: Run) -> Workload:
        """The workload of one run: late flushes are part of how long its scans took, if known."""
        if not run.setup.scan_factors:
            return self.workload
        speed = self.calibrated_workload.machine.speed
        return with_speed(
            self.calibrated_workload, dataclasses.replace(speed, late_flush_share=0.0)
        )

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
        self._entry(run)
        return engine.Start(
            workload=self._workload_of(self._runs[run]),
            setup=self._runs[run].setup,
            seed=None if seed is None else seed * 1000 + run,
        )

    def simulate(
        self,
        replicates: int,
        seed: int,
        policy: Policy | None = None,
        *,
        default_start: bool = False,
    ) -> xr.Dataset:
        """Simulate what was recorded, from each run's own start.

        Parameters
        ----------
        replicates : int
            In all; rounded up to the same number for every start.
        seed : int
        policy : Policy, optional
            Instead of that of the recorded kernel.
        default_start : bool
            Without what the recording says of address spaces and clocks: from each of the starts
            that the program may have had (:func:`numalab.model.default_start.possible_starts`).

        Returns
        -------
        xarray.Dataset
            The schema, with all of them along ``replicate``.

        Raises
        ------
        InputError
            For a number of runs or a seed below its bound; as :func:`numalab.engine.simulate`.
        """
        engine.check_draws(replicates, seed)
        rules = policy or self.policy
        starts = []
        for run in self._runs:
            workload, factors = self._workload_of(run), run.setup.scan_factors
            setups = possible_starts(workload) if default_start else (run.setup,)
            starts += [(workload, dataclasses.replace(s, scan_factors=factors)) for s in setups]
        each = -(-replicates // len(starts))
        return dataset.concat(
            [
                engine.simulate(workload, rules, seed=seed * 1000 + i, replicates=each, setup=setup)
                for i, (workload, setup) in enumerate(starts)
            ]
        )

    def log(self, run: int) -> str:
        """Return the log of a run, as the guest wrote it; read anew each time."""
        name, sha256 = (self._entry(run)[key] for key in ("file", "sha256"))
        data = self._read(name, sha256)
        try:
            return gzip.decompress(data).decode("latin-1")
        except (OSError, EOFError, zlib.error):
            raise InputError(f"{self.folder / name}: not gzip; record it again") from None

    @cached_property
    def _runs(self) -> list[Run]:
        if not self.runs:
            raise InputError(f"{self.folder}: no run was recorded yet")
        return [self._read_run(run) for run in range(self.runs)]

    def _read_run(self, run: int) -> Run:
        text, workload = self.log(run), self.calibrated_workload
        path = self.folder / self._entry(run)["file"]
        try:
            found = read_run(text, workload)
        except InputError as error:
            raise InputError(f"{path}: {error}; record it again") from None
        if (program := dataset.provenance(found.dataset)["program"]) != self.program:
            raise InputError(
                f'{path}: is of program = "{program}", {MANIFEST} says "{self.program}"; restore '
                "it or record again"
            )
        return found

    def _entry(self, run: int) -> dict[str, Any]:
        if not 0 <= run < self.runs:
            raise InputError(f"{self.folder}: run {run}: the recording has {self.runs} runs")
        return dict(self.manifest["run"][run])

    def _read(self, name: str, sha256: str) -> bytes:
        """Return the content of a file that is as it was when it was recorded."""
        path = self.folder / name
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


def open_recording(folder: str | Path) -> Recording:
    """Open a recording; only its manifest is read now.

    Raises
    ------
    InputError
        If the folder holds no manifest, or a damaged one.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; {folder} is not a recording") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__})") from None
    for key, where in (
        ("workload", found),
        ("kernel", found),
        ("workload.toml", found.get("files")),
    ):
        if key not in (where or {}):
            raise InputError(f"{path}: {key} is missing; restore it or record again")
    if found.get("format") != FORMAT:
        raise InputError(f"{path}: format = {found.get('format')!r}: numalab reads {FORMAT}")
    return Recording(folder=folder, manifest=found)


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
