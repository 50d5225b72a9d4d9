"""The command line without a start of Python: same words, streams and status."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import dask.array  # noqa: F401  (the command line hides dask where it is not loaded yet)

from numalab import cli

ROOT = Path(__file__).parent.parent


def numalab(*words: object, cwd: Path = ROOT) -> CompletedProcess[str]:
    """Run ``numalab WORDS`` in a folder, in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    arguments, threshold = ["numalab", *map(str, words)], gc.get_threshold()
    with (
        contextlib.chdir(cwd),
        mock.patch.object(sys, "argv", arguments),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            gc.set_threshold(*threshold)
    return CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
