"""What :func:`numalab.report.figures.facets` is asked for, with nothing left open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import xarray as xr

from numalab.report import panels

_UNITS = {
    "mb": "MB", "kb": "KB", "gb": "GB", "gib": "GiB", "pages": "pages", "bytes": "bytes",
    "ns": "ns", "us": "us", "ms": "ms", "s": "s", "min": "min", "hz": "Hz", "percent": "%",
}  # fmt: skip
"""How a name ends, and the unit that this is."""


class Options(TypedDict, total=False):
    """Options of :func:`facets`, besides data, ``y`` and ``x``."""

    hue: str
    """Dimension of the lines of a panel; else what no other axis takes."""
    col: str
    """Dimension of the columns; more than four in one row go on below."""
    row: str
    """Dimension of the rows; ``variable`` where ``y`` names several."""
    kind: str
    """``line`` (default) or ``point``."""
    size: str
    """``mail``, ``page`` (default) or ``talk``; grows with the rows."""
    over: str
    """``mean`` over replicates with its 95 % interval (default), or ``runs``: their median and
    95 % prediction interval."""
    recorded: xr.Dataset
    """Runs of a real kernel, each drawn solid or as an open mark, over the simulated ones."""
    labels: dict[str, str]
    """Text for names of variables, dimensions and of values."""
    xscale: str
    """``linear``, ``log``, or ``category``: values of ``x`` side by side (texts always are)."""
    yscale: str
    """``linear``, ``log`` or ``symlog``."""
    filled: str
    """Truth variable, of a Dataset: marks are open where it is false."""
    note: str
    """What is drawn, below the figure; else whether it is simulated, and what the bounds are."""
    flat: bool
    """``x`` down the left side, values along: for many or long names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What :func:`facets` was asked for, with nothing left open."""

    data: xr.DataArray
    """Over x, hue, col, row, and what bounds come from."""
    recorded: xr.DataArray | None
    x: str
    hue: str
    col: str
    row: str
    style: panels.Style
    size: str
    over: str
    labels: dict[str, str]
    scales: tuple[str, str]
    solid: bool
    filled: xr.DataArray | None
    note: str

    @property
    def panels(self) -> int:
        """Number of panels."""
        return self.data.sizes[self.row] * self.data.sizes[self.col]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        rows, columns = self.data.sizes[self.row], self.data.sizes[self.col]
        return (rows, columns) if rows > 1 or columns < 5 else (-(-columns // 4), 4)

    @property
    def shared(self) -> dict[str, Any]:
        """Axes that panels share: values of one variable, and positions."""
        values: str | bool = True if self.data.sizes[self.row] == 1 else "row"
        if self.col == "variable":
            values = "col" if self.shape[1] == self.data.sizes[self.col] else False
        elif self.style.flat and self.row != "variable":
            values = True  # their ticks stand below the last row only
        return {"sharex": values, "sharey": True} if self.style.flat else {
            "sharex": True, "sharey": values}  # fmt: skip

    def panel(self, index: int) -> tuple[xr.DataArray, dict[str, Any]]:
        """Return what a panel draws, and its row and column."""
        place = self.place(index)
        return self.data.sel(place), place

    def place(self, index: int) -> dict[str, Any]:
        """Return the row and the column of a panel."""
        columns = self.data.sizes[self.col]
        at = {self.row: index // columns, self.col: index % columns}
        return {dim: self.data[dim][i].item() for dim, i in at.items()}

    def shared_place(self, index: int) -> dict[str, Any]:
        """Return which panels share the axis of values with a panel."""
        how = self.shared["sharex" if self.style.flat else "sharey"]
        dims = {"row": [self.row], "col": [self.col], True: []}.get(how, [self.row, self.col])
        return {dim: value for dim, value in self.place(index).items() if dim in dims}

    def name(self, value: object, dim: str = "") -> str:
        """Text for a name, or a value of a dimension."""
        plain = f"{value:g}" if isinstance(value, int | float) else str(value)
        if plain in self.labels or not dim or not isinstance(value, int | float):
            return self.labels.get(plain, plain if isinstance(value, int | float) else title(plain))
        text, _, unit = self.name(dim).partition(" [")
        return f"{text} {plain} {unit.removesuffix(']')}".rstrip()


def spread(data: xr.Dataset | xr.DataArray, y: str | list[str]) -> xr.DataArray:
    """Return one array; several variables along ``variable``."""
    if isinstance(data, xr.DataArray):
        return data.rename(y if isinstance(y, str) else y[0])
    return data[y] if isinstance(y, str) else data[y].to_array("variable", name="")


def read_options(
    data: xr.Dataset | xr.DataArray, y: str | list[str], x: str, options: Options
) -> Plan:
    """Return what is to be drawn: dimensions by their part, titles, scales.

    Dimensions that no option names become lines.
    """
    da = spread(data, y)
    da = da.assign_coords({d: np.arange(n) for d, n in da.sizes.items() if d not in da.coords})
    runs = {"replicate", "bound", "statistic"}
    given = [options.get("hue", ""), options.get("col", ""), options.get("row", "")]
    if "variable" in da.dims and "variable" not in given and not given[1]:
        given[1] = "variable"
    rest = [str(d) for d in da.dims if d not in {x, *given, *runs}]
    da = da.squeeze([d for d in rest if da.sizes[d] == 1], drop=True)
    more = [d for d in rest if d in da.dims]
    if len(more) == 1 and not given[0]:
        given[0] = more[0]
    elif more:  # further lines, whatever they are
        together = [d for d in (given[0], *more) if d]
        da = da.stack(lines=together)
        names = [
            ", ".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in at)
            for at in da["lines"].values
        ]
        da = da.drop_vars(["lines", *together]).assign_coords(lines=names)
        given[0] = "lines"
    titled = {str(n): _title(v) for n, v in data.coords.items()}
    if isinstance(data, xr.Dataset):
        titled |= {n: _title(data[n]) for n in ([y] if isinstance(y, str) else y)}
    for i, name in enumerate(("_hue", "_col", "_row")):
        if not given[i]:
            given[i] = name
            da = da.expand_dims({name: [""]})
    hue, col, row = given
    kind = options.get("kind", "line")
    side = options.get("xscale") == "category" or da[x].dtype.kind in "OUSbT"
    gap = min(0.8, 0.16 * da.sizes[hue]) / da.sizes[hue]
    flat = options.get("flat", False)
    recorded = options.get("recorded")
    return Plan(
        data=da,
        recorded=None if recorded is None else spread(recorded, y),
        x=x, hue=hue, col=col, row=row,
        style=panels.Style(kind=kind, flat=flat, dodge=gap if side or flat else 0.0),
        size=options.get("size", "page"),
        over=options.get("over", "mean"),
        labels=titled | options.get("labels", {}),
        scales=(options.get("xscale", "linear"), options.get("yscale", "linear")),
        solid=data.attrs.get("source") == "recorded",
        filled=data[options["filled"]] if "filled" in options else None,
        note=options.get("note", ""),
    )  # fmt: skip


def title(name: str) -> str:
    """Return what a variable is called, with its unit, as its name ends.

    Examples
    --------
    >>> title("scan_delay_ms"), title("misses_per_s"), title("walked_mb_per_min"), title("pinned")
    ('scan delay [ms]', 'misses [1/s]', 'walked [MB/min]', 'pinned')
    """
    words = name.split("_")
    unit, per = "", ""
    if len(words) > 2 and words[-2] == "per" and words[-1] in _UNITS:
        per, words = f"/{_UNITS[words[-1]]}", words[:-2]
    if len(words) > 1 and words[-1] in _UNITS and (words[-1] != "pages" or not per):
        unit = _UNITS[words.pop()]
    text = " ".join(words)
    return f"{text} [{unit or '1'}{per}]" if unit or per else text


def _title(da: xr.DataArray) -> str:
    """Return what an array is, with its unit: of its attributes, or as its name ends."""
    guess, _, unit = title(str(da.name)).partition(" [")
    unit = str(da.attrs.get("units") or unit.removesuffix("]"))
    text = str(da.attrs.get("long_name", guess))
    return text if unit in ("1", "index", "") else f"{text} [{unit}]"
