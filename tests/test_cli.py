"""The command line as a user meets it: words, streams, status and files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from numalab.files import MOST_TEXT
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
    for word in ("init", "simulate", "record", "compare", "report", "mail", "policies"):
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

    monkeypatch.setattr("numalab.cli_output.policies", stop)
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
    found = json.loads(done.stdout)
    assert found["policy"]["name"] == "linux-7.2"
    marked = found["counters"]["numa_pte_updates"]
    assert (len(marked["values"]), marked["units"]) == (2, "1")
    assert found["quantities"]["marked_mb"]["values"] == [n / 256 for n in marked["values"]]
    assert found["tasks"]["t1"]["sum_exec_runtime"]["units"] == "ms"


def test_init_writes_a_file_that_simulates_and_writes_over_none(tmp_path):
    done = numalab("init", "mine", "--template", "guest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "mine.toml").read_text()
    done = numalab("simulate", "mine.toml", "--replicates", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "(1 runs): mine, 60 s" in done.stdout
    assert "notified by scans [MB]" in done.stdout
    done = numalab("init", "mine", "--template", "gpu", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "mine.toml: exists" in done.stderr
    assert (tmp_path / "mine.toml").read_text() == text


def test_a_remedy_that_changes_nothing_is_named_and_one_that_does_is_not():
    words = ("simulate", WORKLOAD, "--replicates", 2, "--policy")
    done = numalab(*words, "linux-7.2+mbind")
    assert "note: remedy mbind changed nothing: no VMA has a subscriber" in done.stdout
    done = numalab("simulate", ROOT / "data/workloads/guest-half-4k-anon.toml", *words[2:],
                   "linux-7.2+mbind")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "changed nothing" not in done.stdout


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
    assert "simulated as linux-6.12 (64 runs)" in done.stdout
    done = numalab(*words, "--policy", "linux-6.1")
    assert "simulated as linux-6.1 (64 runs)" in done.stdout


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
        (("simulate", WORKLOAD, "--policy", "linux-6.11"), "has the scan rules of 'linux-6.7'"),
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


ON_IMPORT = """
import os, signal, sys
class Interrupting:
    left = int(sys.argv.pop(1))
    def find_spec(self, *_):
        Interrupting.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from numalab.__main__ import main
main()
"""
"""The command line, with Ctrl-C at the import of a number."""


@pytest.mark.slow
@pytest.mark.parametrize("number", [5, 40, 150, 400])
def test_ctrl_c_while_it_loads_is_one_line(number):
    words = [sys.executable, "-c", ON_IMPORT, str(number), "simulate", str(WORKLOAD)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


LONG = """
[workload]
name = "long"
duration_ms = 8.64e7
sample_ms = 8.64e7
[[vma]]
name = "v"
size_mb = 64
[[task]]
name = "t"
[[task.access]]
vma = "v"
"""


@pytest.mark.slow
def test_ctrl_c_ends_a_simulation_at_once_and_leaves_nothing(tmp_path):
    (tmp_path / "long.toml").write_text(LONG)
    words = ["simulate", "long.toml", "--out", "new.nc", "--replicates", "1000"]
    line = [sys.executable, "-m", "numalab", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 120
        while len(psutil.Process(process.pid).threads()) < 3 and time.monotonic() < until:
            time.sleep(0.1)  # its runs are on threads
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert (process.returncode, said) == (130, b"stopped\n")
    assert time.monotonic() - begin < 20  # beside a load; the runs take hours
    assert [path.name for path in tmp_path.iterdir()] == ["long.toml"]


def test_a_file_of_the_store_is_no_place_for_a_result(tmp_path):
    out = tmp_path / "store" / f"{0:064x}.nc"
    done = numalab("sweep", "data/sweeps/knobs.toml", "--store", tmp_path / "store", "--out", out)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "has the name of a file of the store: name another" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_workload_that_does_not_end_is_one_line(tmp_path):
    for given, why in (("/dev/zero", f"more than {MOST_TEXT} bytes"), ("/dev/null", "[workload]")):
        done = numalab("simulate", given)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert why in done.stderr
    os.mkfifo(tmp_path / "w.toml")
    (tmp_path / "s.toml").write_text('[sweep]\nname = "s"\nworkload = "w.toml"\n')
    done = numalab("sweep", tmp_path / "s.toml", "--dry-run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "w.toml: cannot be read: not a regular file" in done.stderr
