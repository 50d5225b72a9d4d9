"""trace.c as a program of its own: what it leaves in the trace and what it packs."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from numalab.record.initramfs import SOURCES

FOLDER = SOURCES[0].parent
MAIN = """
#include "trace.c"
void die(const char *format, ...) { exit(!!format); }
int write_file(const char *path, const char *text) { return path == text; }
void section(const char *name, const char *text, size_t n) { (void)name, (void)text, (void)n; }
void section_file(const char *name, const char *path) { (void)name, (void)path; }
int main(void) { split_trace(stdin, stdout, stderr); return 0; }
"""
DONE = "mm_migrate_pages: nr_succeeded=1 nr_failed=0 mode=MIGRATE_ASYNC reason="


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("split")
    (folder / "main.c").write_text(MAIN)
    binary = str(folder / "split")
    command = ["gcc", "-Wall", "-Wextra", "-Werror", f"-I{FOLDER}", "-o", binary]
    subprocess.run([*command, str(folder / "main.c")], check=True)

    def run(*lines: str) -> tuple[list[str], list[str]]:
        text = "".join(f"{line}\n" for line in lines)
        result = subprocess.run([binary], input=text, capture_output=True, text=True, check=True)
        return result.stdout.splitlines(), result.stderr.splitlines()

    return run


def _line(tid: int, us: int, event: str) -> str:
    return f"         v-{tid:<6}  [001] d..1.     4.{us:06d}: {event}"


def _notice(tid: int, us: int, page: int, pages: int = 1) -> str:
    body = f"{page * 4096:#016x} -- {(page + pages) * 4096:#016x}"
    return _line(tid, us, f"kvm_unmap_hva_range: mmu notifier unmap range: {body}")


def test_a_migration_becomes_a_short_line(split) -> None:
    trace, migrations = split(
        "# tracer: nop",
        _notice(94, 10, 1000),
        _line(94, 20, DONE + "numa_misplaced"),
        *[_notice(95, 30 + i, 512, 512) for i in range(10)],
        _line(95, 50, DONE + "numa_misplaced"),
    )
    assert trace == ["# tracer: nop"]
    assert migrations == ["4000010 94 1000 1 1", "20 95 -488 512 10"]


def test_what_is_no_migration_by_a_hint_fault_stays_as_it_was(split) -> None:
    lines = [
        _line(94, 1, "chunk: (change_prot_numa+0x4/0x100) start=0x1000 end=0x2000"),
        _notice(94, 2, 1),
        _line(94, 3, "chunk_end: (task_numa_work+0x3c6/0x910 <- change_prot_numa) n=0x0"),
        _notice(94, 4, 2),
        _line(94, 5, "scan: (task_numa_work+0x4/0x910)"),
        "CPU:1 [LOST 7 EVENTS]",
    ]
    assert split(*lines) == (lines, [])
    other = [_notice(94, 6, 3), _line(94, 7, DONE + "compaction")]
    assert split(*other) == (other[:1], [])


def test_a_notification_of_another_range_is_not_of_the_migration(split) -> None:
    first, second = _notice(94, 1, 3), _notice(94, 2, 4)
    trace, migrations = split(first, second, _line(94, 3, DONE + "numa_misplaced"))
    assert trace == [first]
    assert migrations == ["4000002 94 4 1 1"]


def test_threads_do_not_mix(split) -> None:
    trace, migrations = split(
        _notice(94, 1, 3), _notice(95, 2, 9), _line(94, 3, DONE + "numa_misplaced")
    )
    assert migrations == ["4000001 94 3 1 1"]
    assert trace == [_notice(95, 2, 9)]
