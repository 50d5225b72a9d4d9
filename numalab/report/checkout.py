"""Where the notebooks, the recordings and the report are."""

from __future__ import annotations

import os
from pathlib import Path

from numalab.fields import InputError


def enter() -> None:
    """Go to the checkout that holds the current folder: paths in notebooks begin there.

    Jupyter starts a notebook in the folder of the notebook, ``numalab report`` in the checkout.

    Raises
    ------
    InputError
        If there is none above.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "data" / "captures").is_dir():
            os.chdir(folder)
            return
    raise InputError(f"{here}: in no checkout with notebooks/ and data/captures/: start in one")
