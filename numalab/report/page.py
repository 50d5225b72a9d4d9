"""One question's page: its figures and tables are collected, its answer ends in a mail."""

from __future__ import annotations

import html
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from numalab import __version__
from numalab.report import folders, frames, mail
from numalab.versions import model_version

if TYPE_CHECKING:
    from IPython.display import Image
    from matplotlib.figure import Figure


class Page:
    """What a notebook says about its question, as it comes about.

    Nothing in here refuses a result: tables are wrapped, letters that a mailing list does not
    take are replaced.

    Parameters
    ----------
    question : str
        One sentence.
    out : str or Path
        Folder of figures and texts; made if it is not there.
    quick : bool
        Figures and texts say "quick run".
    source : str
        ``simulated``, or ``recorded on KERNEL`` (a mail's first words).
    reproduce : str
        Command that makes this page again.

    Examples
    --------
    >>> import tempfile
    >>> page = Page("Does it scan?", out=tempfile.mkdtemp(), reproduce="numalab report q99")
    >>> page.table(pd.DataFrame({"kernel": ["6.1", "7.2"], "scans": [14, 12]}), caption="a minute")
    a minute
    kernel  scans
    6.1        14
    7.2        12
    >>> page.answer("Yes, 14 ± 1 times a minute.")
    Yes, 14 +- 1 times a minute.
    >>> print(str(page.save()).partition("reproduce")[0].rstrip())
    simulated: Does it scan?
    <BLANKLINE>
    Yes, 14 +- 1 times a minute.
    <BLANKLINE>
      a minute
      kernel  scans
      6.1        14
      7.2        12
    """

    def __init__(
        self,
        question: str,
        *,
        out: str | Path,
        quick: bool = False,
        source: str = "simulated",
        reproduce: str = "",
    ) -> None:
        self.question = question
        self.out = Path(out)
        self.quick = quick
        self.source = source
        self.reproduce = reproduce
        self._setting = self._answer = self._envelope = ""
        self._figures: list[tuple[str, str]] = []
        self._tables: list[str] = []

    def setting(self, text: str) -> frames.Shown:
        """Say what was run: workload, kernels, replicates, what the intervals are."""
        self._setting = frames.ascii_text(text)
        return _paragraph(text)

    def figure(self, figure: Figure, *, name: str, alt: str) -> Image:
        """Save a figure as ``fig_NAME.png``; the first one is the page's main figure.

        Beside it are the same as SVG, what it draws as CSV, and a plot of text, which of the
        first figure is in the mail. Equal figures give equal bytes.

        Parameters
        ----------
        figure : matplotlib.figure.Figure
            Closed afterwards.
        name : str
        alt : str
            What it shows, for those who cannot see it.

        Returns
        -------
        IPython.display.Image
            Last expression of a cell: the cell shows it.
        """
        from IPython.display import Image
        from matplotlib import pyplot

        from numalab.report.canvas import save

        self.out.mkdir(parents=True, exist_ok=True)
        if self.quick:
            figure.supxlabel(f"{figure.get_supxlabel()}\nquick run".lstrip(), fontsize=9)
        path = save(figure, self.out, name)
        pyplot.close(figure)
        self._figures.append((path.name, alt))
        return Image(path, alt=alt)

    def table(
        self,
        data: pd.DataFrame | pd.Series | xr.DataArray | str,
        *,
        caption: str = "",
        mailed: bool = True,
    ) -> frames.Shown:
        """Show a table, and put it into the mail unless ``mailed`` is false.

        A DataArray is laid out with its last dimension as columns. A table that is wider than
        a mail is continued below, with a note. A ``str`` is taken as it is.
        """
        table = frames.shown(data, caption)
        if mailed:
            self._tables.append(table.text)
        return table

    def envelope(self, text: str) -> frames.Shown:
        """Say what the answer was validated for, and where it was not."""
        self._envelope = frames.ascii_text(text)
        return _paragraph(text)

    def answer(self, text: str) -> frames.Shown:
        """Answer the question, with computed numbers."""
        self._answer = " ".join(frames.ascii_text(text).split())
        return _paragraph(text)

    def save(self, ds: xr.Dataset | None = None) -> frames.Shown:
        """Write ``mail.txt`` and ``finding.json`` (question, answer, main figure, provenance).

        Parameters
        ----------
        ds : xarray.Dataset, optional
            Its ``attrs["provenance"]`` goes into ``finding.json``.

        Returns
        -------
        Shown
            The mail.
        """
        figure, alt = self._figures[0] if self._figures else ("", "")
        origin = json.loads(ds.attrs.get("provenance", "{}")) if ds is not None else {}
        text = self._mail()
        result = folders.Finding(
            question=self.question,
            answer=self._answer,
            figure=figure,
            alt=alt,
            envelope=self._envelope,
            quick=self.quick,
            source=self.source,
            provenance=origin | {"code": identity()},
        )
        folders.write_finding(self.out, result, text)
        return frames.Shown(text, f"<pre>{html.escape(text)}</pre>")

    def _mail(self) -> str:
        first = f"{self.source}{', quick run' if self.quick else ''}: {self.question}"
        texts = [frames.ascii_text(first), self._answer, self._setting]
        parts = [textwrap.fill(text, mail.WIDTH) for text in texts]
        parts += [mail.indent(table) for table in self._tables]
        parts += [textwrap.fill(self._envelope, mail.WIDTH)]
        command, _, code = frames.ascii_text(self.reproduce or "this notebook").partition("  # ")
        parts += [mail.reproduce(command, code or identity())]
        return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def identity() -> str:
    """Return what code makes the numbers: version of the package, hash of the model."""
    return f"numalab {__version__}, model {model_version()}"


def _paragraph(text: str) -> frames.Shown:
    return frames.Shown(frames.ascii_text(text), f"<p>{html.escape(text)}</p>")
