"""The files that must agree do agree."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _locked():
    text = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", text, re.M))


def _declared():
    return [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]


@pytest.mark.parametrize("requirement", _declared())
def test_locked_version_lies_in_the_declared_range(requirement):
    from packaging.requirements import Requirement

    declared = Requirement(requirement)
    assert declared.name in _locked()
    assert _locked()[declared.name] in declared.specifier


def test_every_locked_package_has_a_hash_and_no_index_address_is_written():
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-z])", text)
    assert len(blocks) > 100
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "index" not in re.sub(r"^[a-z].*$", "", text, flags=re.M)


def test_conda_environment_takes_its_packages_from_pyproject():
    text = (ROOT / "environment.yml").read_text()
    assert "- -e .[dev]" in text
    assert f"python{PROJECT['requires-python']}" in text
    named = re.findall(r"^  - (\S+)$", text, re.M)
    own = {"conda-forge", f"python{PROJECT['requires-python']}", "pip", "make", "git", "pip:"}
    assert {*named} - own == {*PROJECT["dependencies"]}


@pytest.mark.parametrize("name", ["workload", "costs", "dataset", "policies"])
def test_page_is_what_the_declarations_say(name):
    spec = importlib.util.spec_from_file_location("page", ROOT / f"docs/make_{name}_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / f"docs/{name}.md").read_text() == module.page()


def test_no_module_is_longer_than_300_lines():
    modules = list((ROOT / "numalab").rglob("*.py"))
    assert len(modules) > 20
    long = {m.name: n for m in modules if (n := len(m.read_text().splitlines())) > 300}
    assert long == {}


def test_no_path_of_a_machine_stands_in_a_tracked_file():
    done = subprocess.run(
        ["git", "grep", "-nIE", r"(^|[^A-Za-z0-9._-])/(work|root|home)/", "--", ".", ":!LICENSE"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    lines = [x for x in done.stdout.splitlines() if "test_packaging.py" not in x]
    assert lines == []
