"""What the commands read and write: lines, counters, files.

Heavy imports stand inside the functions, as in :mod:`numalab.cli`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr


_HDF5 = b"\x89HDF\r\n\x1a\n"
"""How a NetCDF-4 file begins."""


def say(line: str) -> None:
    """Write a line about the work: to stderr, as stdout is for what was asked."""
    typer.echo(line, err=True)


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_HDF5))


def check_out(out: Path | None, *given: Path) -> None:
    """Refuse a place that cannot be written, or holds what is read, before anything is computed."""
    from numalab.fields import InputError

    if out is None:
        return
    try:
        if out.exists() and not out.is_file():
            raise InputError(f"--out {out}: is not a regular file: name another")
        if out.exists() and any(out.samefile(path) for path in given):
            raise InputError(f"--out {out}: is read by this command: name another file")
        if out.exists() and _begins(out) not in (b"", _HDF5):
            raise InputError(f"--out {out}: holds no Dataset, and would be lost: name another file")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=out.name, suffix=".part"):
            pass
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None


def save(ds: xr.Dataset, out: Path | None) -> None:
    """Write a Dataset to the file that was asked for, if one was."""
    from numalab.dataset import save as write

    if out is not None:
        write(ds, out)
        say(f"wrote {out}")


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
