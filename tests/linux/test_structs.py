"""Pid hash and records."""

import numpy as np
import pytest

from numalab import schema
from numalab.linux import structs
from numalab.linux.structs import pid_bucket
from numalab.records import records


@pytest.mark.parametrize("pid", [1, 2, 100, 4096, 32768, 4194303])
def test_the_pid_bucket_is_the_top_six_bits_of_the_golden_ratio_hash(pid):
    assert pid_bucket(pid) == (pid * 0x61C88647 % 2**32) // 2**26


def test_the_hash_of_known_pids():
    """hash_32(1) is GOLDEN_RATIO_32 itself, whose top six bits are 011000."""
    assert pid_bucket(0) == 0
    assert pid_bucket(1) == 0b011000
    assert pid_bucket(2) == 0b110000
    assert pid_bucket(3) == 0b001001


def test_pids_in_a_row_spread_over_64_buckets():
    """The kernel's measurement (2024): fewer than 64 threads rarely share a bucket."""
    for first in (100, 5000, 70000):
        found = {pid_bucket(first + i) for i in range(32)}
        assert len(found) == 32
        assert all(0 <= b < 64 for b in found)
        assert len({pid_bucket(first + i) for i in range(64)}) >= 50


def test_buckets_repeat_with_the_32_bit_product():
    assert pid_bucket(7) == pid_bucket(7 + 2**32)


@pytest.mark.parametrize(
    "dtype", [structs.mm_struct, structs.vm_area_struct, structs.task_struct, schema.vmstat]
)
def test_records_start_zeroed_and_read_as_attributes(dtype):
    found = records(dtype, 2)
    assert found.shape == (2,)
    name = dtype.names[0]
    assert getattr(found[1], name) == 0
    setattr(found[1], name, -5)
    assert np.array_equal(found[name], [0, -5])


def test_the_skip_reasons_are_numbered_as_in_the_tracepoint():
    from numalab.linux import fair_scan as scan
    from numalab.schema import REASONS

    numbers = (
        scan.SKIP_UNSUITABLE, scan.SKIP_SHARED_RO, scan.SKIP_INACCESSIBLE, scan.SKIP_SCAN_DELAY,
        scan.SKIP_PID_INACTIVE, scan.SKIP_IGNORE_PID, scan.SKIP_SEQ_COMPLETED,
    )  # fmt: skip
    assert numbers == tuple(range(7))
    assert REASONS[scan.SKIP_SEQ_COMPLETED] == "seq_completed"
    assert REASONS[scan.SKIP_IGNORE_PID] == "ignore_pid_inactive"


def test_flags_of_a_vma_do_not_overlap():
    flags = [v for n, v in vars(structs).items() if n.startswith("VM_")]
    assert len(flags) == 14
    assert sum(flags) == 2 ** len(flags) - 1
