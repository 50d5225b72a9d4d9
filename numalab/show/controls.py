"""Sliders over a workload: what scans do to it is drawn anew at each move.

Where nobody can move anything (``numalab report``, nbviewer), the picture of the first setting is
shown instead.
"""

from __future__ import annotations

import base64
import html
import io
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import xarray as xr
from IPython.core.getipython import get_ipython
from IPython.display import Javascript
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from numalab import engine, files, measures, workload_file
from numalab.fields import InputError
from numalab.remedies import get
from numalab.report.notebooks import command
from numalab.show import address_map, space_time
from numalab.show.address_map import AddressMap, size_text
from numalab.workload import Workload

_STYLE = {"description_width": "130px"}
Values = dict[str, Any]
"""Value of each slider by name."""
_FIGURE: dict[str, Any] = {"figsize": (8.0, 3.6), "dpi": 100}
_PLACE = {"left": 0.22, "right": 0.80, "bottom": 0.27, "top": 0.90}


@dataclass(frozen=True, kw_only=True)
class Play:
    """A workload under sliders, as a cell shows it."""

    make: Callable[..., Workload]
    """Workload of the values of all sliders but ``kernel``."""
    choices: Mapping[str, list[Any]]
    """Name to values to choose from, ``kernel`` among them."""
    question: str
    """Notebook that asks the same of many values, such as ``q12``."""
    parameters: Mapping[str, str]
    """Name of a slider to the parameter of that notebook, a list, that takes its values."""
    start: Values
    """Where the sliders stand at first."""
    drawn: dict[str, Any] = field(default_factory=dict, repr=False)
    """The figure, and what of it no slider changes, as it was drawn once."""

    def picture(self, values: Values) -> tuple[bytes, str]:
        """Simulate one run; return its picture, a PNG, and its numbers in a sentence."""
        workload = self.workload(values)
        run = engine.simulate(workload, get(values["kernel"])).isel(replicate=0)
        laid = address_map.lay_out(workload)
        if not self.drawn:
            self.drawn.update(_begin(run, laid))
        ax, canvas = self.drawn["ax"], self.drawn["canvas"]
        canvas.restore_region(self.drawn["background"])
        ax.set_title(space_time.title(run), loc="left", fontsize=9)
        ax.draw_artist(ax._left_title)
        for at, artists in space_time.content(ax, run, laid):
            for artist in artists:
                at.add_artist(artist)
                at.draw_artist(artist)
                artist.remove()
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).save(buffer, "png", compress_level=1)
        return buffer.getvalue(), numbers(run)

    def workload(self, values: Values) -> Workload:
        """Return the workload of a setting."""
        return self.make(**{name: value for name, value in values.items() if name != "kernel"})

    def batch(self, values: Values) -> str:
        """Return the command of the same question in a batch, and its parameters as YAML."""
        lists = {self.parameters[name]: [value] for name, value in values.items()}
        line, _, _ = command(self.question, lists).partition("  #")
        return "\n".join([line, "", *(f"{n}: {json.dumps(v)}" for n, v in lists.items())])

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        picture, text = self.picture(self.start)
        bundle: dict[str, Any] = {
            "image/png": base64.b64encode(picture).decode(),
            "text/plain": text,
        }
        if has_front_end():
            bundle |= panel(self, picture, text)._repr_mimebundle_()
            bundle["text/plain"] = text
        return bundle, {"image/png": {"alt": text}}


def _begin(run: xr.Dataset, laid: AddressMap) -> dict[str, Any]:
    """Draw what all settings share: a slider that moves has 200 ms, and text is slow to draw."""
    figure = Figure(**_FIGURE)
    canvas = FigureCanvasAgg(figure)
    figure.subplots_adjust(**_PLACE)
    ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    space_time.frame(ax, run, laid)
    ax.set_title("", loc="left")
    handles = space_time.legend()
    figure.legend(handles=handles, loc="lower left", ncols=5, fontsize=7, frameon=False)
    canvas.draw()
    return {"ax": ax, "canvas": canvas, "background": canvas.copy_from_bbox(figure.bbox)}


def numbers(run: xr.Dataset) -> str:
    """Say of a run how many scans there were, what they walked, and what came of it."""
    found = {name: run[f"chunk_{name}"].values for name in ("pages", "updated")}
    live = found["pages"] > 0
    pages, marked = found["pages"][live], found["updated"][live]
    walked = int(pages.sum())
    scans = int(measures.scans(run)["scans"])
    said = f"{space_time.title(run)}: {scans} scans walked {size_text(walked)}"
    if not walked:
        return said
    vain = 100 * pages[marked == 0].sum() / walked
    return f"{said}, marked {100 * marked.sum() / walked:.0f} % of it, {vain:.0f} % in vain"


def has_front_end() -> bool:
    """Whether a person looks at the cell, who can move a slider: one who could be asked, too.

    A front end says with each cell whether it can be asked for input; papermill and nbconvert say
    that they cannot.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    asked = kernel.get_parent("shell").get("content", {})
    return bool(asked.get("allow_stdin"))


def panel(play: Play, picture: bytes, text: str) -> ipywidgets.VBox:
    """Return the sliders, the picture below them, and what can be done with a setting."""
    sliders = {
        name: ipywidgets.SelectionSlider(
            options=values, value=play.start[name], description=name.replace("_", " "),
            continuous_update=False, layout={"width": "420px"}, style=_STYLE,
        )
        for name, values in play.choices.items()
    }  # fmt: skip
    image = ipywidgets.Image(value=picture, format="png", layout={"max_width": "100%"})
    words, said, output = ipywidgets.HTML(text), ipywidgets.HTML(), ipywidgets.Output()
    path = ipywidgets.Text("my-workload.toml", layout={"width": "240px"})

    def values() -> Values:
        return {name: slider.value for name, slider in sliders.items()}

    def move() -> None:
        image.value, words.value = play.picture(values())
        said.value = ""

    def copy() -> None:
        text = play.batch(values())
        said.value = f"<pre>{html.escape(text)}</pre>"
        output.outputs = ()
        output.append_display_data(_to_clipboard(text.splitlines()[0]))

    def save() -> None:
        save_workload(play.workload(values()), path.value)
        line = f"numalab simulate {shlex.quote(path.value)} --policy {values()['kernel']}"
        said.value = f"written; <code>{html.escape(line)}</code> runs it"

    for slider in sliders.values():
        slider.observe(_telling(move, said), "value")
    buttons = {"copy as parameters": copy, "save as workload": save}
    row = [ipywidgets.Button(description=words, layout={"width": "auto"}) for words in buttons]
    for button, act in zip(row, buttons.values(), strict=True):
        button.on_click(_telling(act, said))
    return ipywidgets.VBox(
        [*sliders.values(), image, words, ipywidgets.HBox([*row, path]), said, output]
    )


def save_workload(workload: Workload, path: str) -> None:
    """Write a workload file where none is.

    Raises
    ------
    InputError
        If there is a file of that name, or it cannot be written.
    """
    if Path(path).exists():
        raise InputError(f"{path}: is there already; give another name")
    files.write(Path(path), workload_file.text(workload) + "\n")


def _telling(act: Callable[[], None], said: ipywidgets.HTML) -> Callable[[Any], None]:
    """Return a handler of a widget that says what was given wrongly."""

    def handler(_: Any) -> None:
        try:
            act()
        except InputError as error:
            said.value = html.escape(str(error))

    return handler


def _to_clipboard(text: str) -> Javascript:
    """Return what lets the browser copy a text; one that may not leaves it to the person."""
    return Javascript(f"navigator.clipboard?.writeText({json.dumps(text)}).catch(() => undefined)")
