"""A notebook's cells in this process, in which all is imported and compiled already."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import linecache
from pathlib import Path
from typing import Any

from IPython.core.formatters import DisplayFormatter


def run(path: Path, values: dict[str, Any]) -> str:
    """Run all cells with parameters; return what they show, as text and as HTML.

    As in Jupyter, a cell shows the value of its last line, unless that is None.
    """
    shown = io.StringIO()
    formatter = DisplayFormatter()

    def display(value: Any) -> None:
        if value is not None:
            shown.write("\n".join(map(str, formatter.format(value)[0].values())) + "\n")

    names: dict[str, Any] = {"__name__": "__main__", "display": display}
    with contextlib.redirect_stdout(shown):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                file = f"<{path.name}, cell {number}>"
                _run_cell("".join(cell["source"]), file, names, display)
                if "parameters" in cell["metadata"].get("tags", []):
                    names.update(values)
    return shown.getvalue()


def _run_cell(source: str, file: str, names: dict[str, Any], display: Any) -> None:
    """Run a cell, whose source stays readable: a store keeps a measure by what it computes."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), file, "exec"), names)
    if last is not None:
        display(eval(compile(ast.Expression(last.value), file, "eval"), names))
