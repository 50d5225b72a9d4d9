"""What the commands read and write: lines, counters, policies, files.

Heavy imports stand inside the functions, as in :mod:`numalab.cli`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr

T = TypeVar("T")
_HDF5 = b"\x89HDF\r\n\x1a\n"
"""How a NetCDF-4 file begins."""


def say(line: str) -> None:
    """Write a line about the work: to stderr, as stdout is for what was asked."""
    typer.echo(line, err=True)


def check_out(out: Path | None, *given: Path, store: Path | None = None) -> None:
    """Refuse a place that cannot be written, or holds what is read, before anything is computed."""
    from numalab import files
    from numalab.fields import InputError

    if out is None:
        return
    try:
        if out.exists():
            if not out.is_file():
                raise InputError(f"--out {out}: is not a regular file: name another")
            if any(out.samefile(path) for path in given):
                raise InputError(f"--out {out}: is read by this command: name another file")
            with out.open("rb") as file:
                begin = file.read(len(_HDF5))
            if begin not in (b"", _HDF5):
                what = "holds no Dataset, and would be lost"
                raise InputError(f"--out {out}: {what}: name another file")
        if store is not None:
            from numalab.sweep.store import is_own

            if is_own(out, store):
                raise InputError(f"--out {out}: has the name of a file of the store: name another")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None
    try:
        files.check_writable(out)
    except InputError as error:
        raise InputError(f"--out {error}") from None


def save(ds: xr.Dataset, out: Path | None, store: Path | None = None) -> None:
    """Write a Dataset to the file that was asked for, if one was.

    Raises
    ------
    InputError
        If it cannot be written: says where the results are instead.
    """
    from numalab.dataset import save as write
    from numalab.fields import InputError

    if out is None:
        return
    try:
        write(ds, out)
    except InputError as error:
        where = f"store {store}" if store is not None else _written_elsewhere(ds, out.name)
        raise InputError(f"{error}; the results are in {where}") from None
    say(f"wrote {out}")


def _written_elsewhere(ds: xr.Dataset, name: str) -> str:
    """Write a Dataset to a folder of its own, wherever there is room."""
    from numalab.dataset import save as write
    from numalab.fields import InputError

    for place in dict.fromkeys((tempfile.gettempdir(), "/var/tmp", "/dev/shm", str(Path.home()))):
        with contextlib.suppress(OSError, InputError):
            folder = Path(tempfile.mkdtemp(prefix="numalab-", dir=place))
            try:
                write(ds, folder / name)
                return str(folder / name)
            finally:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # fails if the file is in it
    return "no other file: no folder has room for them"


def print_answers(
    ds: xr.Dataset, as_json: bool, without: Mapping[str, xr.Dataset] | None = None
) -> None:
    """Print what the runs came to, as text or as JSON.

    Parameters
    ----------
    without : mapping, optional
        For each remedy of the policy, the same runs without it.
    """
    from numalab.report import summary
    from numalab.report.notes import notes

    said = notes(ds, without) if ds.attrs["source"] == "simulated" else []
    typer.echo((summary.as_json if as_json else summary.lines)(ds, said))


def policies() -> Iterator[str]:
    """Say in lines what each policy and each remedy is, and what a policy changed."""
    from numalab.policy import POLICIES, Policy, changes
    from numalab.remedies import REMEDIES

    docs = {f.name: f.metadata["doc"] for f in fields(Policy)}
    for policy in POLICIES.values():
        yield f"{policy.name}  ({policy.source})\n  {policy.about}"
        if policy.before:
            yield f"  against {policy.before}:"
        for rule, value in changes(policy).items():
            yield f"    {rule} = {value}: {docs[rule]}"
    yield "\nremedies, on top of any policy (POLICY+REMEDY):"
    for remedy in REMEDIES.values():
        yield f"{remedy.name}  ({remedy.source})\n  {remedy.about}"
        today = "available" if remedy.available else "not available"
        yield f"    needs: {remedy.needs}\n    built: {remedy.built}; {today}"


def interruptible(work: Callable[[], T]) -> T:
    """Do work that writes nothing, on a thread: Ctrl-C ends the command without waiting for it."""
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(work).result()
        except KeyboardInterrupt:
            leave("stopped")


def leave(line: str) -> NoReturn:
    """Say why and exit as after Ctrl-C, without waiting for a run that a thread is at."""
    say(line)
    sys.stdout.flush()
    os._exit(130)


def dataset_of(path: Path) -> xr.Dataset:
    """Read a recording folder, or the file of a Dataset."""
    from numalab import dataset
    from numalab.captures import open_recording

    return open_recording(path).dataset() if path.is_dir() else dataset.load(path)
