"""A recording that was edited by hand: its parts changed, its checksums made right again."""

from __future__ import annotations

import gzip
import hashlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomlkit

from numalab.fields import InputError
from numalab.workload_file import parse

MANIFEST = "manifest.toml"


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the values of a manifest in place."""
    path = folder / MANIFEST
    found = tomllib.loads(path.read_text())
    change(found)
    path.write_text(tomlkit.dumps(found))


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """Put other content into a file, and its checksum into the manifest."""

    def change(found: dict[str, Any]) -> None:
        seal = hashlib.sha256(data).hexdigest()
        found["files"] |= {name: seal} if name in found["files"] else {}
        found["run"] = [run | ({"sha256": seal} if run["file"] == name else {}) for run in runs]

    runs = tomllib.loads((folder / MANIFEST).read_text())["run"]
    (folder / name).write_bytes(data)
    edit_manifest(folder, change)


def replace_log(folder: Path, text: str, name: str = "run0.log.gz") -> None:
    """Put another log in the place of that of a run."""
    replace_file(folder, name, gzip.compress(text.encode("latin-1"), 1))


def log_of(folder: Path, name: str = "run0.log.gz") -> str:
    return gzip.decompress((folder / name).read_bytes()).decode("latin-1")


def edit_log(folder: Path, pattern: str, by: str, name: str = "run0.log.gz") -> None:
    """Replace every match in the log of a run; sections get the length that they have then."""
    sections = re.split(r"@section \d+ ", log_of(folder, name).removesuffix("@done\n"))
    parts = [sections[0]]
    for section in sections[1:]:
        title, _, body = section.partition("\n")
        body = re.sub(pattern, by, body, flags=re.MULTILINE)
        parts.append(f"@section {len(body)} {title}\n{body}")
    replace_log(folder, "".join([*parts, "@done\n"]), name)


def replace_workload(folder: Path, text: str) -> None:
    """Put another workload into a recording, and what the manifest says of it."""
    replace_file(folder, "workload.toml", text.encode())
    try:
        workload = parse(text)
    except InputError:
        return
    facts = {"workload": workload.name, "identity": workload.identity()}
    edit_manifest(folder, lambda found: found.update(facts, duration_ms=workload.duration_ms))
