"""The command line as a user meets it: words, streams, status and files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from numalab.policy import POLICIES
from numalab.remedies import REMEDIES
from tests.command import numalab

ROOT = Path(__file__).parent.parent
WORKLOAD = ROOT / "data/workloads/private-converge.toml"


def process(*words):
    """Run the command line in a process of its own."""
    line = [sys.executable, "-m", "numalab", *map(str, words)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("run", [numalab, process])
def test_help_names_the_commands(run):
    done = run("--help")
    assert done.returncode == 0
    for word in ("simulate", "record", "compare", "report", "mail", "policies"):
        assert word in done.stdout


def test_policies_are_listed_with_what_they_changed():
    done = numalab("policies")
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines() if line[:1].isalpha()]
    assert listed == [*POLICIES, "remedies,", *REMEDIES]
    assert "  against linux-6.12:\n" in done.stdout
    assert done.stdout.count("; available\n") == sum(r.available for r in REMEDIES.values())


@pytest.mark.parametrize(
    ("said", "line"), [([], "stopped"), (["stopped at q02"], "stopped at q02")]
)
def test_ctrl_c_is_one_line_of_any_command(monkeypatch, said, line):
    def stop():
        raise KeyboardInterrupt(*said)

    monkeypatch.setattr("numalab.report.tables.policies", stop)
    done = numalab("policies")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{line}\n")


@pytest.mark.parametrize("run", [numalab, process])
def test_simulate_prints_counters_and_writes_the_dataset(run, tmp_path):
    out = tmp_path / "run.nc"
    done = run("simulate", WORKLOAD, "--policy", "linux-6.12", "--replicates", 3, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("simulated as linux-6.12 (3 runs)")
    assert out.stat().st_size > 1000


def test_simulate_json_is_json():
    done = numalab("simulate", WORKLOAD, "--replicates", 2, "--json")
    final = json.loads(done.stdout)["final"]
    assert len(final["numa_pte_updates"]) == 2
    assert min(final["numa_pte_updates"]) > 0


def test_compare_of_two_files(tmp_path):
    for seed, name in ((1, "a.nc"), (2, "b.nc")):
        words = ("--seed", seed, "--replicates", 40, "--out", tmp_path / name)
        assert numalab("simulate", WORKLOAD, *words).returncode == 0
    done = numalab("compare", tmp_path / "a.nc", tmp_path / "b.nc")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("simulated as linux-7.2 (40 runs): min, median, max\nsimulated")
    assert "numa_pages_migrated" in done.stdout
    thp = ROOT / "data/captures/thp/6.12"
    for words, message in (
        (
            (tmp_path / "a.nc", thp),
            'different workloads: "thp" beside a simulation of "private-converge"',
        ),
        ((thp, tmp_path / "a.nc"), "recorded on 6.12"),
    ):
        done = numalab("compare", *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert message in done.stderr


def test_a_recording_of_any_name_is_compared_as_the_kernel_it_was_made_on(tmp_path):
    shutil.copytree(ROOT / "data/captures/thp/6.12", tmp_path / "mine")
    words = ("compare", "--capture", tmp_path / "mine", "--replicates", 40)
    done = numalab(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("recorded on 6.12.")
    assert "simulated as linux-6.12 (40 runs)" in done.stdout
    done = numalab(*words, "--policy", "linux-6.1")
    assert "simulated as linux-6.1 (40 runs)" in done.stdout


def test_what_is_read_is_not_written_over(tmp_path):
    mine = tmp_path / "w.toml"
    mine.write_bytes(WORKLOAD.read_bytes())
    done = numalab("simulate", mine, "--out", mine)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is read by this command" in done.stderr
    assert mine.read_bytes() == WORKLOAD.read_bytes()
    os.mkfifo(tmp_path / "pipe")
    done = numalab("simulate", mine, "--out", tmp_path / "pipe")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pipe: is not a regular file" in done.stderr


@pytest.mark.parametrize("command", ["simulate", "sweep", "record"])
def test_a_file_that_holds_no_dataset_is_not_written_over(tmp_path, command):
    """The workload that a sweep file names, for one."""
    mine, sweep = tmp_path / "w.toml", tmp_path / "s.toml"
    mine.write_bytes(WORKLOAD.read_bytes())
    sweep.write_text('[sweep]\nname = "s"\nworkload = "w.toml"\n')
    words = {
        "simulate": [WORKLOAD],
        "sweep": [sweep],
        "record": [WORKLOAD, "--kernel", "none"],
    }[command]
    done = numalab(command, *words, "--out", mine)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "holds no Dataset, and would be lost: name another file" in done.stderr
    assert mine.read_bytes() == WORKLOAD.read_bytes()


def test_bad_input_is_one_line_and_status_2_of_a_process_too():
    done, same = process("report", "q99"), numalab("report", "q99")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", same.stderr)
    assert same.returncode == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("simulate", "none.toml"), "none.toml: cannot be read: No such file"),
        (("simulate", WORKLOAD, "--policy", "linux-6.21"), "the newest before it: 'linux-6.12'"),
        (("simulate", WORKLOAD, "--replicates", "0"), "replicates = 0: must be at least 1"),
        (("simulate", WORKLOAD, "--seed", "-1"), "seed = -1: must be at least 0"),
        (("compare", "x.nc", "y.nc"), "x.nc: no such file"),
        (("compare",), "give a simulated Dataset and another"),
        (("mail", "q99"), "no report of 'q99'"),
        (("mail", "q*"), "question = 'q*': must be a name such as q02"),
        (("sweep", "none.toml"), "none.toml: cannot be read"),
        (("report", "q99"), "unknown question 'q99'"),
        (("record", WORKLOAD, "--kernel", "none"), "none: cannot be read"),
        (("record", WORKLOAD, "--kernel", "README.md"), "not an x86 kernel image"),
        (("simulate", WORKLOAD, "--out", "docs"), "--out docs: is not a regular file"),
        (("simulate", WORKLOAD, "--out", "README.md/x.nc"), "--out README.md/x.nc: cannot be wri"),
        (("record", WORKLOAD, "--kernel", "none", "--out", "docs"), "--out docs: is not a regular"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, message):
    done = numalab(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("numalab: error: ")
    assert message in done.stderr


def test_truncated_dataset_is_one_line(tmp_path):
    path = tmp_path / "cut.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    done = numalab("compare", path, path)
    assert done.returncode == 2
    assert "not a readable NetCDF file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_simulate_says_when_a_table_of_events_is_full(tmp_path):
    file = tmp_path / "many.toml"
    file.write_text(
        """
[workload]
name = "many"
about = "more mappings than the table of chunks has rows"
duration_ms = 4000
sample_ms = 4000
[machine]
nodes = 2
cpus_per_node = 1
memory_mb = 1024
[tunables]
scan_size_mb = 1024
[[vma]]
name = "v"
size_mb = 0.00390625
count = 70000
[[task]]
name = "t0"
cpu = 0
[[task.access]]
vma = "v"
"""
    )
    out = ("--replicates", 1, "--out", tmp_path / "many.nc")
    done = numalab("simulate", file, "--policy", "linux-6.1", *out)
    assert done.returncode == 0, done.stderr
    assert "the table of chunks is full: " in done.stderr
    done = numalab("simulate", WORKLOAD, *out)
    assert "full" not in done.stderr
