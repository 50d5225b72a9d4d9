"""The index of a report: one static page, readable on a phone, in light and dark."""

from __future__ import annotations

import html
import json
from pathlib import Path

from numalab.report import finding

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--soft:#5c5c58;--paper:#fcfcfa;--card:#fff;
--line:#e2e2dc;--link:#235f85;--bad:#a33b20}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e4;--soft:#a5a5a0;--paper:#171716;
--card:#21211f;--line:#3a3a36;--link:#93c5e6;--bad:#f0957c}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:17px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:56rem;margin:0 auto;padding:2rem 1rem 4rem}h1{font-size:1.7rem;line-height:1.2;
margin:0 0 .3rem}header p{color:var(--soft);max-width:44rem}
article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1.2rem;
margin:1.4rem 0}h2{font-size:1.15rem;margin:0 0 .5rem}h2 span{color:var(--soft);
font-weight:400;margin-right:.5rem}article p{margin:.4rem 0}img{width:100%;height:auto;
background:#fff;border-radius:4px;margin:.6rem 0}a{color:var(--link)}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}nav a{white-space:nowrap}
.bad{color:var(--bad)}.soft{color:var(--soft);
font-size:.9rem}
"""


def _title(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).splitlines()[0].lstrip("# ")


def _article(name: str, notebook: Path, out: Path) -> str:
    folder = out / notebook.stem
    title = html.escape(_title(notebook))
    head = f"<article><h2><span>{name}</span>{title}</h2>"
    try:
        status = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return head + '<p class="bad">not run</p></article>'
    found = finding.read(folder)
    stem = html.escape(notebook.stem)
    parts = [head]
    if status["status"] != "ok":
        parts.append(f'<p class="bad">failed: {html.escape(status["reason"])}</p>')
    if found is not None:
        parts.append(f"<p>{html.escape(found.answer)}</p>")
        if (folder / found.figure).exists():
            parts.append(
                f'<a href="{stem}/index.html"><img src="{stem}/{html.escape(found.figure)}" '
                f'alt="main figure of {name}: {title}" loading="lazy"></a>'
            )
        kind = f"{found.source}{', quick run' if found.quick else ''}"
        parts.append(f'<p class="soft">{html.escape(kind)}; code {status["code"][:12]}</p>')
    links = [
        f'<a href="{stem}/{file}">{label}</a>'
        for file, label in (
            ("index.html", "notebook"),
            ("mail.txt", "text for a mail"),
            ("executed.ipynb", "executed.ipynb"),
            ("run.json", "run.json"),
        )
        if (folder / file).exists()
    ]
    return "".join([*parts, "<nav>", *links, "</nav></article>"])


def index_page(known: dict[str, Path], out: Path) -> str:
    """Return the HTML of the index.

    Parameters
    ----------
    known : dict
        Short name of each question to its notebook.
    out : Path
        The report's folder; a question without ``run.json`` is shown as not run.
    """
    articles = "\n".join(_article(name, path, out) for name, path in known.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>numalab report</title><style>{_STYLE}</style></head><body><main>"
        "<header><h1>What do NUMA-balancing scans cost?</h1><p>One workload file, two machines: "
        "a model of Linux 6.1, 6.12 and 7.2, and the same kernels booted in QEMU. In every "
        "figure solid is recorded on a real kernel, dashed is simulated.</p></header>\n"
        f"{articles}\n</main></body></html>\n"
    )
