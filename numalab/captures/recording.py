"""A recording of real runs: a folder of run logs in, the Dataset of the schema out.

A recording lies in ``<root>/<workload>/<kernel generation>/``: ``manifest.toml``,
``workload.toml``, ``calibration.json`` and ``run0.log.gz``, ``run1.log.gz``, ... as
``numalab record`` writes them. Every file is checked against the manifest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from numalab import dataset, engine
from numalab.captures import sealed
from numalab.captures.contents import read_manifest, read_repetitions, read_workload
from numalab.captures.manifest import MANIFEST, OWN_PROGRAM
from numalab.captures.run import Run, read_run
from numalab.captures.scan_times import late_flushes
from numalab.captures.speeds import resampled
from numalab.fields import InputError, shown
from numalab.machine import Speed
from numalab.model.default_start import possible_starts
from numalab.policy import Policy
from numalab.releases import of_release
from numalab.workload import Workload, with_speed

SPEEDS = 8
"""Into how many the runs of a start are divided."""


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
        package = self.manifest.get("package", "")
        version = package.partition(" ")[2].partition("-")[0] or self.kernel
        if version.split(".")[:2] != self.generation.split("."):
            raise InputError(
                f"{self.folder / MANIFEST}: package = {shown(package)}: is of another kernel than "
                f"kernel = {self.kernel!r}"
            )
        return version

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
        return read_workload(self.folder, self.manifest)

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
            In all; rounded up to the same number for every start, and for each of up to
            :data:`SPEEDS` speeds that the machine may have had.
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
        count = min(SPEEDS, -(-replicates // len(starts)))
        repeated = [
            (with_speed(workload, speed), setup)
            for i, (workload, setup) in enumerate(starts)
            for speed in self._speeds(workload.machine.speed, count, seed * 1000 + i)
        ]
        each = -(-replicates // len(repeated))
        return dataset.concat(
            [
                engine.simulate(workload, rules, seed=seed * 1000 + i, replicates=each, setup=setup)
                for i, (workload, setup) in enumerate(repeated)
            ]
        )

    def _speeds(self, speed: Speed, count: int, seed: int) -> list[Speed]:
        """Speeds that the machine may have had, as far as its calibration tells."""
        return resampled(speed, read_repetitions(self.folder, self.manifest), count, seed)

    def log(self, run: int) -> str:
        """Return the log of a run, as the guest wrote it; read anew each time."""
        entry = self._entry(run)
        path = self.folder / entry["file"]
        data = sealed.read(path, sealed.MAX_LOG_BYTES, entry["sha256"])
        return sealed.unpacked(path, data).decode("latin-1")

    @cached_property
    def _runs(self) -> list[Run]:
        if not self.runs:
            raise InputError(f"{self.folder}: no run was recorded yet")
        seen: dict[bytes, str] = {}
        return [self._read_run(run, seen) for run in range(self.runs)]

    def _read_run(self, run: int, seen: dict[bytes, str]) -> Run:
        """Read a run; ``seen``: the files of those before, by the hash of their logs."""
        text, workload, entry = self.log(run), self.calibrated_workload, self._entry(run)
        path = self.folder / entry["file"]
        first = seen.setdefault(hashlib.sha256(text.encode("latin-1")).digest(), entry["file"])
        if first != entry["file"]:
            raise InputError(f"{path}: is the same run as {first}; list a run once")
        try:
            found = read_run(text, workload)
        except InputError as error:
            raise InputError(f"{path}: {error}; record it again") from None
        known = dataset.provenance(found.dataset)
        said = {"program": self.program, "kernel": self.kernel}
        for key, value in (
            said | {k: entry[k] for k in ("lost_events", "latest_sample_ms")}
        ).items():
            if known[key] != value:
                raise InputError(
                    f"{self.folder / MANIFEST}: {key} = {shown(value)}: {entry['file']} has "
                    f"{shown(known[key])}; restore it or record again"
                )
        return found

    def _entry(self, run: int) -> dict[str, Any]:
        if not 0 <= run < self.runs:
            raise InputError(f"{self.folder}: run {run}: the recording has {self.runs} runs")
        return dict(self.manifest["run"][run])


def open_recording(folder: str | Path) -> Recording:
    """Open a recording; only its manifest is read now.

    Raises
    ------
    InputError
        If the folder holds no manifest, or one that is damaged or says something impossible.
    """
    folder = Path(folder)
    return Recording(folder=folder, manifest=read_manifest(folder))


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
