"""What a notebook leaves behind for the report: its answer, its figures, its mail."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "finding.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer of one question."""

    question: str
    answer: str
    figure: str
    """File name of the main figure, in the folder of the report; empty: none."""
    alt: str = ""
    """What the main figure shows, for those who cannot see it."""
    envelope: str = ""
    """What the answer was validated for."""
    quick: bool
    source: str
    """``simulated``, ``recorded on KERNEL`` or ``simulated and recorded``."""
    provenance: dict[str, Any] = field(default_factory=dict)


def write(folder: str | Path, finding: Finding, mail: str) -> None:
    """Write ``finding.json`` and ``mail.txt`` into a report's folder."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "mail.txt").write_text(mail, encoding="ascii")
    (target / FILE).write_text(json.dumps(asdict(finding), indent=1) + "\n", encoding="utf-8")


def read(folder: str | Path) -> Finding | None:
    """Return the finding of a folder, or None if its notebook left none."""
    try:
        return Finding(**json.loads((Path(folder) / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
