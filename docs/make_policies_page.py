"""Write docs/policies.md from the declarations: python docs/make_policies_page.py."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from numalab.policy import POLICIES, Policy, changes
from numalab.releases import BACKPORTS, unknown_version
from numalab.remedies import REMEDIES

HEAD = """# Policies and remedies

A policy is a set of rules: those of a kernel, or of a proposal. `--policy` takes its name
(`linux-7.2`), with remedies on top (`linux-7.2+mbind`), or a full release of the kernel
(`6.12.117`, `6.12.117+deb13-cloud-amd64`). This page is made from the declarations in
`numalab/policy.py`, `numalab/releases.py` and `numalab/remedies.py`
(`python docs/make_policies_page.py`); a test holds them together. `numalab policies` prints
the same.

```python
from numalab import policy, remedies
from numalab.interactive import simulate

ds = simulate("data/workloads/thp.toml", "linux-7.2+mbind")  # by name
rules = remedies.get("linux-6.12+pinned-pte-filter")  # a Policy
mine = policy.with_rules(rules, "mine", vma_scan_delay=False)
simulate("data/workloads/thp.toml", mine)
```

`numalab.policy.get` knows the names of the table below and no remedy; `numalab.remedies.get` takes
every name that `--policy` takes.

## Policies

| policy | a change of | what it is | source |
|---|---|---|---|
"""
RULES = """
## Rules

What each policy changes against the one that it is a change of:

| policy | rules |
|---|---|
"""
MEANING = """
| rule | values | meaning |
|---|---|---|
"""
VERSIONS = """
## A version that is no policy

A version of two numbers is refused, with the policy whose scan rules it has. Distributors port
rules back, which numalab cannot know: a policy of one's own (`with_rules`) says what they took.

| version | answer |
|---|---|
"""
RELEASES = """
A full release has the rules of its version and what its stable series took over:

| series | rule | seen without it up to | seen with it from |
|---|---|---|---|
"""
SAID = """
## Remedies

On top of any policy: `POLICY+REMEDY`, several with `+`. Where one changes nothing in the runs,
`numalab simulate` says so.

| remedy | what it does | needs | built | source |
|---|---|---|---|---|
"""


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def page() -> str:
    """Return the text of docs/policies.md."""
    docs = {f.name: f for f in dataclasses.fields(Policy)}
    rows = [f"| `{p.name}` | {p.before} | {p.about} | {p.source} |\n" for p in POLICIES.values()]
    changed = [
        f"| `{p.name}` | "
        + ", ".join(f"`{rule}` = {_value(value)}" for rule, value in changes(p).items())
        + " |\n"
        for p in POLICIES.values()
    ]
    rules = [
        f"| `{name}` | {', '.join(docs[name].metadata['choices']) or type(value).__name__} | "
        f"{docs[name].metadata['doc']} |\n"
        for name, value in next(iter(POLICIES.values())).rules().items()
    ]
    versions = [
        f"| {name} | {str(unknown_version(name)).partition('; ')[2]} |\n"
        for name in ("5.14.0-427.el9", "5.15", "6.6", "6.8", "6.11", "6.14", "6.18", "7.0")
    ]
    ported = [
        f"| {one.series} | `{one.rule}`{'' if one.there else ' given up'} | "
        f"{one.series}.{one.lacks} | {f'{one.series}.{one.has}' if one.has else 'not known'} |\n"
        for one in BACKPORTS
    ]
    remedies = [
        f"| `{one.name}` | {one.about} | {one.needs} | {one.built} | {one.source} |\n"
        for one in REMEDIES.values()
    ]
    parts = [HEAD, *rows, RULES, *changed, MEANING, *rules, VERSIONS, *versions]
    return "".join([*parts, RELEASES, *ported, SAID, *remedies])


if __name__ == "__main__":
    Path(__file__).with_name("policies.md").write_text(page(), encoding="utf-8")
