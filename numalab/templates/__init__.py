"""Commented workload files to begin with: what ``numalab init`` writes."""

from __future__ import annotations

from pathlib import Path

from numalab.fields import InputError, unknown_name
from numalab.files import write
from numalab.workload_file import parse

_FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def text(name: str, template: str) -> str:
    """Return the text of a template for a workload of some name.

    Raises
    ------
    InputError
        For a template that does not exist, or a name that a workload cannot have.
    """
    if template not in NAMES:
        raise unknown_name("template", template, NAMES)
    found = (_FOLDER / f"{template}.toml").read_text(encoding="utf-8").replace("NAME", name)
    parse(found, name)
    return found


def begin(name: str, template: str, folder: Path) -> Path:
    """Write a template as ``NAME.toml`` into a folder; return the file.

    Raises
    ------
    InputError
        As :func:`text`; if the file exists, or cannot be written.
    """
    name = name.removesuffix(".toml")
    content, path = text(name, template), folder / f"{name}.toml"
    if path.exists() or path.is_symlink():
        raise InputError(f"{path.name}: exists: choose another name, or remove it")
    write(path, content)
    return path
