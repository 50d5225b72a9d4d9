"""What a notebook shows is a stranger's text: bounded, and without control characters or paths."""

from __future__ import annotations

import html
import re
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

MOST_CELL = 200_000
"""Bytes that the texts of a cell take in a page; what is beyond is cut, with a word on it."""
MOST_PAGE = 2_500_000
"""Bytes that all outputs take in a page, pictures included."""
_MOST_LINE = 300
_COLOURS = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
_IN_A_CELL = re.compile(r"(?<![^\s\"'(=])[^\s\"'(]{0,300}/ipykernel_\d+/\d+\.py")
_IN_A_PACKAGE = re.compile(r"(?<![^\s\"'(=])/[^\s\"'(]{0,300}?/(?:site|dist)-packages/")
"""Paths begin a word and have an end: a text of one long word takes no time for its square."""

_ENCODED = ("image/png", "image/jpeg", "application/")
_MARKED_UP = ("text/html", "image/svg+xml")

Scrub = Callable[[str], str]


def scrub(replaced: Mapping[str, str]) -> Scrub:
    """Return a function that takes what belongs to this machine out of a text.

    Parameters
    ----------
    replaced : mapping
        Further texts to what stands for them; replaced first, in this order.
    """
    places = {
        sysconfig.get_path("stdlib"): "python",
        sys.prefix: "python",
        sys.base_prefix: "python",
    }
    places |= {tempfile.gettempdir(): "TMP", str(Path.home()): "~"}
    known = {place: word for place, word in places.items() if len(place) > 2}

    def clean(text: str) -> str:
        for found, other in replaced.items():
            text = text.replace(found, other)
        text = _IN_A_PACKAGE.sub("", _IN_A_CELL.sub("a cell", text))
        for found, other in known.items():
            text = re.sub(rf"{re.escape(found)}(?=[/\s'\":,)]|$)", other, text)
        return text

    return clean


def printable(text: str) -> str:
    r"""Return a text whose control characters are written out, but for line breaks and tabs.

    Examples
    --------
    >>> printable("a\x1b[31mb\x07")
    'ab\\x07'
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in _COLOURS.sub("", text)
    )


def line(text: str) -> str:
    """Return a text as one line, neither long nor with control characters."""
    words = " ".join(printable(text[: 10 * _MOST_LINE]).split())
    return words if len(words) <= _MOST_LINE else f"{words[: _MOST_LINE - 3]}..."


def clean(cells: list[Any], scrub: Scrub) -> None:
    """Clean what the cells of an executed notebook hold, in place, and cut what is too long."""
    left = MOST_PAGE
    for cell in cells:
        cell.source = printable(scrub(cell.source))
        room = MOST_CELL
        for output in cell.get("outputs", ()):
            size = 0
            for holder, key in _places(output):
                text = _joined(holder[key])
                if not str(key).startswith(_ENCODED):
                    text, room = _cut(text, scrub, room, str(key) in _MARKED_UP)
                holder[key] = text
                size += _size(text)
            if size > left:
                output.clear()
                output.update(output_type="stream", name="stdout", text=_said(size))
            left -= min(size, left)


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def _size(text: str) -> int:
    return len(html.escape(text).encode())


def _cut(text: str, scrub: Scrub, room: int, marked_up: bool) -> tuple[str, int]:
    """Return as much of a clean text as there is room for on the page, and the room that is left.

    What cannot have room is cut before it is cleaned, which takes a second for some megabytes.
    """
    kept = printable(scrub(text[: 2 * room]))
    size = _size(kept)
    if size <= room and len(text) <= 2 * room:
        return kept, room - size
    if marked_up:
        return f"<p>{_said(len(text))}</p>", room
    kept = kept[: room * len(kept) // max(size, 1)]
    return f"{kept}\n{_said(len(text) - len(kept))}", 0


def _said(count: int) -> str:
    return f"[{count} characters were cut: too long for a page]"


def _places(output: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where an output holds texts and pictures."""
    if "traceback" in output:
        output["traceback"] = ["\n".join(output["traceback"])]
        yield output["traceback"], 0
    for key in ("text", "ename", "evalue"):
        if key in output:
            yield output, key
    for key in output.get("data", {}):
        yield output["data"], key
