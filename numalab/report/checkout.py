"""Where the notebooks, the recordings and the report are; how a notebook begins."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numalab.fields import InputError
from numalab.report import cells
from numalab.report.parameters import check_cell


def enter(names: Mapping[str, Any]) -> None:
    """Go to the checkout that holds the current folder, and check the notebook's parameters.

    Paths in notebooks begin at the checkout; Jupyter starts a notebook in the folder of the
    notebook, ``numalab report`` in the checkout. From then on Jupyter shows an InputError as one
    line, without a traceback, and workloads, policies and runs as :mod:`numalab.report.cells` does.

    Parameters
    ----------
    names : mapping
        ``globals()`` of the notebook, after its parameters cell.

    Raises
    ------
    InputError
        If there is no checkout above, or a parameter is not of its type or an empty list.
    """
    _set_up_shell()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "data" / "captures").is_dir():
            os.chdir(folder)
            check_cell(names)
            return
    raise InputError(f"{here}: in no checkout with notebooks/ and data/captures/: start in one")


def _set_up_shell() -> None:
    """Let Jupyter, if that is where this runs, show what a person can read."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return

    def show(shell: Any, kind: type, error: BaseException, trace: Any, **_: Any) -> list[str]:
        lines = [f"numalab: error: {error}"]
        shell._showtraceback(kind, error, lines)
        return lines

    shell.set_custom_exc((InputError,), show)
    cells.enable(shell)
