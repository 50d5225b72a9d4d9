"""Every example of README.md and docs/ is run, read or parsed: as if it were typed."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml

from numalab import cli, workload_file
from numalab.sweep import sweep_file

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(cli.app).commands


def _text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def _blocks(page, language):
    pattern = rf"^([^\n]*)\n```{language}\n(.*?)^```"
    found = re.findall(pattern, _text(page), re.S | re.M)
    return [code for before, code in found if before != "<!-- not run -->"]


def _lines(page):
    """Lines that are typed into a shell: of blocks without a language, or indented."""
    blocks = re.findall(r"^```\n(.*?)^```", _text(page), re.S | re.M)
    typed = "\n".join([*blocks, *re.findall(r"^    (numalab .*)", _text(page), re.M)])
    found = re.findall(r"^(?:\.venv/bin/)?(numalab .*)", typed, re.M)
    return [line.partition("  #")[0] for line in found]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder below one with the checkout's data: where examples may write."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "python")])
def test_the_python_of_a_page_runs(page, folder, monkeypatch):
    if "open_recording(" in _text(page):  # paths of recordings begin at the checkout
        monkeypatch.chdir(folder.parent)
    names = {"__name__": "example"}
    for i, code in enumerate(_blocks(page, "python")):
        file = folder / f"example{i}.py"  # a measure is known by its source
        file.write_text(code)
        exec(compile(code, str(file), "exec"), names)
    assert any(name in names for name in ("ds", "found", "totals", "run"))


@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "toml")])
def test_the_files_of_a_page_are_read(page, folder):
    for text in _blocks(page, "toml"):
        if "sweep" in tomllib.loads(text):
            (folder / "sweep.toml").write_text(text)
            assert sweep_file.load(folder / "sweep.toml").axes
        elif "workload" in tomllib.loads(text):
            assert workload_file.parse(text).vmas


@pytest.mark.parametrize("page", [p for p in PAGES if _lines(p)])
def test_the_commands_of_a_page_are_accepted(page):
    for line in _lines(page):
        name, *words = shlex.split(line)[1:]
        COMMANDS[name].make_context(name, words)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_named_in_a_text_have_these_options(page):
    for name, rest in re.findall(r"`numalab ([a-z]+)([^`]*)`", _text(page)):
        known = {option for one in COMMANDS[name].params for option in one.opts}
        assert {*re.findall(r"--[a-z-]+", rest)} <= known, (name, rest)


def test_links_between_pages_lead_somewhere():
    known = {*PAGES, *(str(p.relative_to(ROOT)) for p in ROOT.glob("reports/*/*.png"))}
    for page in PAGES:
        links = re.findall(r"\]\(([^)#:]+)\)", _text(page))
        for link in links:
            target = (ROOT / page).parent / link
            assert str(target.resolve().relative_to(ROOT)) in known, (page, link)


def test_readme_is_short():
    assert len(_text("README.md").splitlines()) <= 200


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load(_text("CITATION.cff"))
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["title"].startswith(project["name"])
