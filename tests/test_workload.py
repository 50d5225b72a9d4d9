"""Bad input is refused in one line that names the field, the value and the bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numalab import workload_file
from numalab.fields import InputError
from numalab.workload import Workload

GOOD = """
[workload]
name = "good"
duration_ms = 1000
[machine]
nodes = 2
memory_mb = 256
[[vma]]
name = "a"
size_mb = 8
[[task]]
name = "t"
cpu = 1
[[task.access]]
vma = "a"
pages_per_s = 100.0
[[churn]]
name = "c"
size_mb = 1
lifetime_ms = 10
"""


def test_a_good_file_is_read():
    w = workload_file.parse(GOOD)
    assert isinstance(w, Workload)
    assert w.vmas[0].pages == 2048
    assert w.identity() == workload_file.parse(GOOD).identity()
    other = workload_file.parse(GOOD.replace("size_mb = 8", "size_mb = 9"))
    assert w.identity() != other.identity()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size_mb = 8", "size_gb = 8", "unknown key in [[vma]] 'size_gb'; did you mean 'size_mb'?"),
        ("size_mb = 8", 'size_mb = "8 MB"', "size_mb = '8 MB': must be a number"),
        ("size_mb = 8", "size_mb = 3.6e19", "must be at most"),
        ("size_mb = 8", "size_mb = 9223372036854775808", "must be at most"),
        ("size_mb = 8", "size_mb = 0.001", "must be at least 0.00390625 MB"),
        ("size_mb = 8", "size_mb = 1.0001", "whole number of 4 KiB pages"),
        ("size_mb = 8", "size_mb = nan", "must be finite"),
        ("size_mb = 8", "size_mb = inf", "must be finite"),
        ("size_mb = 8", "size_mb = true", "must be a number"),
        ("size_mb = 8", "size_mb = 300", "300 MB are first touched there, memory_mb = 256"),
        ("size_mb = 8", 'size_mb = 8\nkind = "anonymous"', "must be one of anon, shmem"),
        ("size_mb = 8", "size_mb = 7\nthp = true", "multiple of 2 MB"),
        ("size_mb = 8", "size_mb = 8\npinned_fraction = 1.5", "must be at most 1"),
        ("size_mb = 8", "size_mb = 8\npinned_fraction = -0.1", "must be at least 0"),
        ("size_mb = 8", "size_mb = 8\npinned_fraction = 0.5\npopulated = 0.2", "is present"),
        ("size_mb = 8", "size_mb = 8\nfirst_touch_node = 2", "nodes 0 to 1"),
        ("size_mb = 8", 'size_mb = 8\nprocess = "other"', 'of process "other"'),
        ("size_mb = 8", 'size_mb = 8\nkind = "file_ro"', "write = true on vma"),
        ('vma = "a"', 'vma = "b"', "unknown vma in task \"t\" 'b'; known: a"),
        ('vma = "a"', 'vma = "a"\nlo = 0.5\nhi = 0.5', "lo = 0.5: must be below hi = 0.5"),
        ('vma = "a"', 'vma = "a"\nlo = 0.9\nhi = 0.1', "lo = 0.9: must be below hi = 0.1"),
        ('vma = "a"', 'vma = "a"\nhi = 1.1', "must be at most 1"),
        ('vma = "a"', 'vma = "a"\nstart_ms = 9\nstop_ms = 3', "must be before stop_ms"),
        ("pages_per_s = 100.0", "pages_per_s = -5", "must be at least 0 1/s"),
        ("cpu = 1", "cpu = 2", "the machine has CPUs 0 to 1"),
        ("cpu = 1", "cpu = 1.5", "must be a whole number"),
        ('name = "t"', 'name = "a"', "name 'a' is used twice"),
        ('name = "t"', 'name = "t t"', "letters, digits"),
        ('name = "t"', "", "name is missing"),
        ("nodes = 2", "nodes = 0", "must be at least 1"),
        ("nodes = 2", "nodes = 2\nhz = 123", "must be 100, 250, 300 or 1000"),
        ("duration_ms = 1000", "duration_ms = 100", "sample_ms = 250 ms: must be at most"),
        ("lifetime_ms = 10", "lifetime_ms = 0", "must be at least 1 ms"),
        ("lifetime_ms = 10", 'lifetime_ms = 10\nlifetime = "pareto"', "pareto needs more than 1"),
        ("[machine]", "[machines]", "unknown section 'machines'; did you mean 'machine'?"),
        ("[[vma]]", "[vma]", "must be written as [[vma]]"),
        ("[workload]", "[workloads]", "unknown section"),
        ("[workload]", "[workload", "not TOML"),
        ("[machine]", "[tunables]\nscan_size_mb = 0\n[machine]", "must be at least 1 MB"),
        ("[machine]", "[tunables]\nscan_size = 64\n[machine]", "did you mean 'scan_size_mb'"),
    ],
)
def test_bad_line_is_named(old, new, message):
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        workload_file.parse(GOOD.replace(old, new, 1), "w.toml")
    text = str(caught.value)
    assert text.startswith("w.toml: ")
    assert message in text
    assert "\n" not in text


def test_a_workload_without_threads_is_refused():
    with pytest.raises(InputError, match="nothing would run"):
        workload_file.parse('[workload]\nname = "x"')


def test_unreadable_files_are_one_line(tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read: not UTF-8"):
        workload_file.load(binary)
    with pytest.raises(InputError, match="No such file"):
        workload_file.load(tmp_path / "none.toml")
    with pytest.raises(InputError, match="directory"):
        workload_file.load(tmp_path)


LINES = [line for line in GOOD.splitlines() if line]
VALUES = ["-1", "0", "1e400", "''", "[]", "{}", "true", "nan", "2026-01-01", "99999999999999999999"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(["drop", "twice", *VALUES])),
        max_size=4,
    )
)
def test_mutated_files_are_read_or_refused_in_one_line(edits):
    lines = list(LINES)
    for index, edit in edits:
        if edit == "drop":
            lines[index] = ""
        elif edit == "twice":
            lines[index] += "\n" + lines[index]
        elif "=" in lines[index]:
            lines[index] = f"{lines[index].split('=')[0]}= {edit}"
    try:
        assert isinstance(workload_file.parse("\n".join(lines)), Workload)
    except InputError as error:
        assert "\n" not in str(error)
