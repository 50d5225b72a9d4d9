"""Recordings of a stranger: each input that once passed, hung or broke is refused in one line."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from numalab import captures
from numalab.fields import InputError
from tests.captures.edited import (
    MANIFEST,
    edit_log,
    edit_manifest,
    log_of,
    replace_file,
    replace_log,
    replace_workload,
)

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "data" / "captures" / "remote-single" / "6.12"
OLDER = SOURCE.parent / "6.1"
GUEST = ROOT / "data" / "guests" / "guest-half-thp-anon" / "7.2"
Edit = Callable[[Path], object]
DIGITS = "9" * 5000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SOURCE, tmp_path / "mine"))


def _refusal(folder: Path) -> str:
    """Read all that there is of a recording; return the line that refuses it."""
    with pytest.raises(InputError) as caught:
        recording = captures.open_recording(folder)
        assert recording.policy
        recording.dataset()
        for run in range(recording.runs):
            recording.start(run)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


def _manifest(pattern: str, by: str) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / MANIFEST
        text, count = re.subn(pattern, by, path.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1
        path.write_text(text)

    return edit


def _top(line: str) -> Edit:
    return lambda folder: _manifest(r"\A", f"{line}\n")(folder)


def _text(text: str | bytes) -> Edit:
    data = text.encode() if isinstance(text, str) else text
    return lambda folder: (folder / MANIFEST).write_bytes(data)


def _workload(pattern: str, by: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / "workload.toml").read_text()
        changed, count = re.subn(pattern, by, text, count=1, flags=re.MULTILINE)
        assert count == 1
        replace_workload(folder, changed)

    return edit


def _file(name: str, data: bytes) -> Edit:
    return lambda folder: replace_file(folder, name, data)


def _log(pattern: str, by: str) -> Edit:
    def edit(folder: Path) -> None:
        before = log_of(folder)
        edit_log(folder, pattern, by)
        assert log_of(folder) != before

    return edit


def _whole_log(change: Callable[[str], str]) -> Edit:
    return lambda folder: replace_log(folder, change(log_of(folder)))


def _runs(change: Callable[[list], list]) -> Edit:
    return lambda folder: edit_manifest(folder, lambda m: m.update(run=change(m["run"])))


def _of_another_kernel(folder: Path) -> None:
    for path in OLDER.glob("run*"):
        replace_file(folder, path.name, path.read_bytes())


def _outside(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "other")
    _runs(lambda runs: [{**runs[0], "file": "../other/run1.log.gz"}])(folder)


def _absolute(folder: Path) -> None:
    path = str(folder / "run0.log.gz")
    _runs(lambda runs: [{**runs[0], "file": path}])(folder)


def _link(name: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to("../elsewhere")

    return edit


def _special(name: str, make: Callable[[Path], object]) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return edit


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(path.parent):
        one.bind(path.name)  # a path has at most 107 bytes


def _repacked(folder: Path) -> None:
    replace_file(folder, "run1.log.gz", gzip.compress(log_of(folder).encode("latin-1"), 1))


def _bomb(folder: Path) -> None:
    """Write 4 GB of zeros as 4 MB of gzip."""
    packer, zeros = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1 << 22)
    parts = [packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    replace_file(folder, "run0.log.gz", parts[0] + parts[1] * 1023)


def _cut_gzip(folder: Path) -> None:
    replace_file(folder, "run0.log.gz", (folder / "run0.log.gz").read_bytes()[:-100])


def _samples(change: Callable[[list[str]], list[str]]) -> Edit:
    def edit(text: str) -> str:
        head, title, rest = re.split(r"(@section \d+ samples\n)", text)
        size = int(title.split()[1])
        lines = change(rest[:size].splitlines())
        body = "".join(f"{line}\n" for line in lines)
        return f"{head}@section {len(body)} samples\n{body}{rest[size:]}"

    return _whole_log(edit)


def _twice(name: str) -> Edit:
    def edit(text: str) -> str:
        found = re.search(rf"@section (\d+) {name}\n", text)
        section = text[found.start() : found.end() + int(found[1])]
        return text.replace(section, section * 2)

    return _whole_log(edit)


DEEP = "[" * 2000 + "]" * 2000
KEYS = ".".join("a" * 20_000)
HOSTILE: dict[str, tuple[Edit, str]] = {
    # what the manifest says
    "identity X": (_manifest("^identity = .*", 'identity = "X"'), r"toml: .*identity = 'X'"),
    "identity missing": (_manifest("^identity = .*\n", ""), "identity is missing"),
    "duration missing": (_manifest("^duration_ms = .*\n", ""), "duration_ms is missing"),
    "format 2": (_manifest("^format = 1", "format = 2"), "format = 2: numalab reads 1"),
    "format true": (_manifest("^format = 1", "format = true"), "format = True: numalab reads 1"),
    "format of 5000 digits": (_manifest("^format = 1", f"format = {DIGITS}"), "4300 digits"),
    "format in hexadecimal": (_manifest("^format = 1", f"format = 0x{DIGITS}"), "format = a num"),
    "seed of 5000 digits": (_manifest("^seed = 0", f"seed = {DIGITS}"), "4300 digits"),
    "seed in hexadecimal": (_manifest("^seed = 0", f"seed = 0x{DIGITS}"), "seed = a number"),
    "seed of text": (_manifest("^seed = 0", 'seed = "0"'), "seed = '0': must be a whole number"),
    "not UTF-8": (_text(b'workload = "\xff"\n'), "not UTF-8"),
    "not TOML": (_text("format = ["), "not TOML"),
    "empty": (_text(""), "format = None: numalab reads 1"),
    "NUL": (_text("\0"), "not TOML"),
    "a large manifest": (_text("#" * (1 << 20)), "has 1048576 bytes: must be at most 262144"),
    "an endless manifest": (lambda f: os.truncate(f / MANIFEST, 1 << 40), "bytes: must be at most"),
    "nested lists": (_top(f"deep = {DEEP}"), "nested too deeply"),
    "nested tables": (_top("deep = " + "{a=" * 2000 + "1" + "}" * 2000), "nested too deeply"),
    "a key of 20 000 parts": (_top(f"{KEYS} = 1"), "more than 32 dots"),
    "no files": (_manifest(r"^\[files\]\n(.*\n)*?\n", ""), "files is missing"),
    "files 1": (_manifest(r"^\[files\]\n(.*\n)*?\n", "files = 1\n"), "files = 1: must be a table"),
    "files a list": (_manifest(r"^\[files\]\n(.*\n)*?\n", "files = []\n"), r"files = \(\)"),
    "workload.toml not in files": (_manifest('^"workload.toml".*\n', ""), r"workload\.toml"),
    "checksum 1": (_manifest('^("workload.toml" =) .*', r"\1 1"), r"workload\.toml = 1: must be"),
    "checksum of X": (_manifest('^sha256 = ".*"', 'sha256 = "X"'), "sha256 = 'X': must be 64"),
    "another file": (_manifest(r"^\[files\]\n", '[files]\n"x" = "y"\n'), "unknown file 'x'"),
    "run 1": (_runs(lambda _: 1), "run = 1: must be"),
    "run [1]": (_runs(lambda _: [1]), r"\[\[run\]\] = 1: must be a table"),
    "run a table": (_runs(lambda runs: runs[0]), "run = .*: must be"),
    "run of runs": (_runs(lambda runs: [runs]), "must be a table"),
    "run empty": (_runs(lambda _: [{}]), "file is missing"),
    "run []": (_runs(lambda _: []), "no run was recorded yet"),
    "run without a checksum": (
        _runs(lambda runs: [{k: v for k, v in runs[0].items() if k != "sha256"}]),
        "sha256 is missing",
    ),
    "file 1": (_manifest('^file = ".*"', "file = 1"), "file = 1: must be text"),
    "one run four times": (_runs(lambda runs: runs[:1] * 4), "'run0.log.gz' is listed twice"),
    "one run under four names": (_repacked, r"run1\.log\.gz: is the same run as run0\.log\.gz"),
    "one checksum twice": (
        _runs(lambda runs: [runs[0], {**runs[1], "sha256": runs[0]["sha256"]}]),
        "is listed twice",
    ),
    "unknown key": (_top('kernal = "6.12"'), "did you mean 'kernel'"),
    "kernel 1": (_manifest('^kernel = ".*"', "kernel = 6.12"), "kernel = 6.12: must be text"),
    "kernel escapes": (_manifest('^kernel = "', r'kernel = "\\u001b[2J'), r"kernel = '\\x1b"),
    "kernel of 5000 digits": (_manifest('^kernel = "6', f'kernel = "{DIGITS}'), "kernel = '99"),
    "kernel without version": (_manifest('^kernel = "6', 'kernel = "v6'), "begin with a version"),
    "package of another kernel": (
        _manifest('^package = ".*"', 'package = "linux-image 6.1.176-1"'),
        r"package = .*6\.1\.176.*kernel = '6\.12\.107",
    ),
    "package of 5000 digits": (_manifest('^package = ".*"', f'package = "x {DIGITS}"'), "package"),
    "lost events of the manifest": (
        _manifest("^lost_events = 0", "lost_events = 1000000000"),
        "lost_events = 1000000000: .* has 0",
    ),
    "latest sample of the manifest": (
        _manifest(r"^latest_sample_ms = .*", "latest_sample_ms = 0.5"),
        r"latest_sample_ms = 0\.5: .* has",
    ),
    "latest sample nan": (_manifest(r"^latest_sample_ms = .*", "latest_sample_ms = nan"), "finite"),
    # which files are read
    "a file outside": (_outside, r"file = '\.\./other/run1\.log\.gz': must be the name of a file"),
    "an absolute path": (_absolute, "must be the name of a file"),
    "the folder as a file": (_manifest('^file = ".*"', 'file = "."'), "must be the name of a file"),
    "a link out of the folder": (_link("run0.log.gz"), r"run0\.log\.gz: is a symbolic link"),
    "a workload by a link": (_link("workload.toml"), r"workload\.toml: is a symbolic link"),
    "a manifest by a link": (_link(MANIFEST), r"manifest\.toml: is a symbolic link"),
    "a FIFO as a run": (_special("run0.log.gz", os.mkfifo), "not a regular file"),
    "a FIFO as the workload": (_special("workload.toml", os.mkfifo), "not a regular file"),
    "a FIFO as the manifest": (_special(MANIFEST, os.mkfifo), "not a regular file"),
    "a folder as a run": (_special("run0.log.gz", Path.mkdir), "not a regular file"),
    "a folder as the manifest": (_special(MANIFEST, Path.mkdir), "not a regular file"),
    "a socket as a run": (_special("run0.log.gz", _socket), r"run0\.log\.gz: (No such device|not)"),
    "a device as a run": (
        _special("run0.log.gz", lambda path: path.symlink_to("/dev/zero")),
        "is a symbolic link",
    ),
    # what the logs say of the workload and the machine
    "logs of another kernel": (
        _of_another_kernel,
        r"toml: kernel = '6\.12.*: run0\.log\.gz has '6\.1\.0-50",
    ),
    "ten times the duration": (
        _workload("duration_ms = 12000", "duration_ms = 120000"),
        "49 samples, .* must be 481",
    ),
    "half the duration": (
        _workload("duration_ms = 12000", "duration_ms = 6000"),
        "an event is at 10736 ms: the run ends at 6000 ms",
    ),
    "ten times duration and samples": (
        _workload("duration_ms = 12000", "duration_ms = 120000\nsample_ms = 2500"),
        "48 samples, .* must be 49",
    ),
    "a tenth of duration and samples": (
        _workload("duration_ms = 12000", "duration_ms = 1200\nsample_ms = 25"),
        "the run ends at 1200 ms",
    ),
    "64 nodes": (_workload("nodes = 2", "nodes = 64"), "2 CPUs, .* has 64"),
    "two CPUs on one node": (
        _workload("nodes = 2\ncpus_per_node = 1", "nodes = 1\ncpus_per_node = 2"),
        "2 nodes, .* has 1",
    ),
    "a larger VMA": (_workload(r"size_mb = 128", "size_mb = 129"), "32768 pages: of size_mb = 129"),
    "more VMAs": (
        _workload(r"size_mb = 128", "size_mb = 128\ncount = 2"),
        "1 mappings .* count = 2",
    ),
    "another name": (_workload('^name = "remote-single"', 'name = "other"'), "of workload"),
    "another task": (
        _workload('^name = "t0"', 'name = "t9"'),
        "threads start: 't0' is not in both log and workload",
    ),
    "another process": (
        _workload(r"(?s)\Z", '[[task]]\nname = "more"\nprocess = "p"\n'),
        "threads start: 'more' is not in both",
    ),
    "a workload that is not UTF-8": (_file("workload.toml", b"\xff"), "not UTF-8"),
    "a workload that is not TOML": (_file("workload.toml", b"["), "not TOML"),
    "an empty workload": (_file("workload.toml", b""), r"section \[workload\] is missing"),
    "a workload of nested lists": (
        _file("workload.toml", f"workload = {DEEP}".encode()),
        "nested too deeply",
    ),
    "a workload of 5000 digits": (
        _workload("duration_ms = 12000", f"duration_ms = {DIGITS}"),
        "4300 digits",
    ),
    # calibrations
    "calibration {}": (_file("calibration.json", b"{}"), r"calibration\.json: speed is missing"),
    "calibration []": (_file("calibration.json", b"[]"), "must be a table"),
    "calibration empty": (_file("calibration.json", b""), "not JSON"),
    "calibration not UTF-8": (_file("calibration.json", b'{"\xff": 1}'), "not UTF-8"),
    "calibration of nested lists": (
        _file("calibration.json", b"[" * 100_000 + b"]" * 100_000),
        "nested too deeply",
    ),
    "calibration of 5000 digits": (
        _file("calibration.json", f'{{"speed": {{"notify_ns": {DIGITS}}}}}'.encode()),
        "4300 digits",
    ),
    "speed 1": (_file("calibration.json", b'{"speed": 1}'), "speed.* = 1: must be a table"),
    "speed of text": (
        _file("calibration.json", b'{"speed": {"migrate_page_ns": "1"}}'),
        "migrate_page_ns = '1': must be a number",
    ),
    "speed NaN": (_file("calibration.json", b'{"speed": {"notify_ns": NaN}}'), "must be finite"),
    "speed below its bound": (
        _file("calibration.json", b'{"speed": {"notify_ns": -1}}'),
        "must be at least 0 ns",
    ),
    "speed of another name": (_file("calibration.json", b'{"speed": {"x": 1}}'), "unknown key"),
    "assumed 1": (_file("calibration.json", b'{"speed": {}, "assumed": 1}'), "assumed = 1"),
    "assumed [{}]": (_file("calibration.json", b'{"speed": {}, "assumed": [{}]}'), "assumed"),
    # how logs are packed
    "not gzip": (_file("run0.log.gz", b"text"), r"run0\.log\.gz: not gzip"),
    "empty file": (_file("run0.log.gz", b""), r"run0\.log\.gz: .*gzip"),
    "truncated gzip": (_cut_gzip, r"run0\.log\.gz: .*gzip"),
    "a gzip bomb": (_bomb, r"run0\.log\.gz: .*more than 16777216 bytes"),
    "something after the gzip": (
        lambda f: replace_file(f, "run0.log.gz", (f / "run0.log.gz").read_bytes() + b"more"),
        r"run0\.log\.gz: .*gzip",
    ),
    # what logs are made of
    "empty log": (_file("run0.log.gz", gzip.compress(b"")), "not a run log"),
    "only the first line": (_whole_log(lambda text: text[:16]), "cut or damaged at byte 16"),
    "cut trace": (_whole_log(lambda text: text[: text.index("chunk:") + 3]), "cut or damaged"),
    "cut before the end": (_whole_log(lambda text: text[:-6]), "cut or damaged"),
    "something after the end": (_whole_log(lambda text: text + "more\n"), "after its end"),
    "section of 5000 digits": (
        _whole_log(lambda text: re.sub(r"@section \d+ run", f"@section {DIGITS} run", text)),
        "cut or damaged",
    ),
    "a section twice": (_twice("setup"), "section 'setup' is there twice"),
    "two runs in a log": (
        _whole_log(
            lambda text: text.replace("@done\n", "@section 13 run\nremote-single@done\n"),
        ),
        "2 runs",
    ),
    "100 000 sections": (
        _whole_log(
            lambda text: text.replace(
                "@done\n", "".join(f"@section 0 {i}\n" for i in range(100_000)) + "@done\n"
            )
        ),
        "more than 20000 sections",
    ),
    "no trace": (
        _whole_log(lambda text: text.replace(" trace\n", " trade\n")),
        "'trace' is missing",
    ),
    "no kernel": (_log(r"^6\.12\.107.*", ""), "kernel = '6.*has ''"),
    "a billion lost events": (
        _log("^overrun: 0", "overrun: 1000000000"),
        "lost_events = 2000000000 of 85 .* at most 1 %",
    ),
    "lost events of 5000 digits": (_log("^overrun: 0", f"overrun: {DIGITS}"), "damaged"),
    "sample of 400 digits": (_samples(lambda x: [*x[:-1], "9" * 400 + x[-1]]), "damaged"),
    "samples that go back": (
        _samples(lambda x: [*x[:-2], x[-1], x[-2]]),
        "before its time|fall",
    ),
    "a counter that falls": (
        _samples(lambda x: [*x[:-1], x[-1].split()[0] + " 0" * (len(x[-1].split()) - 1)]),
        "falls",
    ),
    "fewer samples": (_samples(lambda x: x[:-1]), "48 samples"),
    "no samples": (_samples(lambda x: x[:1]), "there are none"),
    "ragged samples": (_samples(lambda x: [*x[:-1], x[-1] + " 1"]), "columns"),
    "another counter": (_log("^ns numa_pte_updates", "ns touches"), "counter 'touches'"),
    "a counter twice": (_log("numa_hint_faults_local", "numa_hint_faults"), "twice"),
    "pages beyond the mapping": (_log(r" N0=\d+", " N0=99999999"), "pages"),
    "a page size of 0": (_log("kernelpagesize_kB=4", "kernelpagesize_kB=-4"), "pages"),
    "a mapping of all there is": (
        _log(r"^[0-9a-f]+-([0-9a-f]+) (.*\[heap\])", r"0-ffffffffffff0000 \2"),
        "must be whole pages of 4 KiB below",
    ),
    "mappings that overlap": (
        _log(r"^([0-9a-f]+)-[0-9a-f]+ r--p", r"\1-7fff00000000 r--p"),
        "behind the one before",
    ),
    "an address of 5000 digits": (_log(r"^00400000-", f"{DIGITS}-"), "must be whole pages"),
    "a thread from the future": (_log(r"^t0 (\d+) \d+", r"t0 \1 99999999999999"), "created"),
    "a thread of another life": (_log(r"^t0 \d+ ", r"t0 4999999999 "), "thread"),
    "a boot of a year": (_log(r"^start \d+", "start 31536000000000000"), "boot"),
    "a scan that ends before it begins": (_log(r"\d+(\.\d+: scan_end:)", r"1\1"), "scan_end"),
    "a chunk of more pages than its VMA": (
        _log(r"end=0x[0-9a-f]+ vm_start", "end=0xffffffffffff0000 vm_start"),
        "chunk",
    ),
    "more entries marked than pages": (_log(r" n=0x[0-9a-f]+", " n=0xffffffffff"), "chunk"),
    "an event after the end": (_log(r" \d+(\.\d+: chunk)", r" 999999\1"), "event"),
    "a preferred node that is not there": (
        _log("^numa_preferred_nid.*", "numa_preferred_nid : 63"),
        "numa_preferred_nid = 63: must be -1 to 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_one_line(folder: Path, name: str) -> None:
    edit, line = HOSTILE[name]
    edit(folder)
    found = _refusal(folder)
    assert re.search(line, found), found
    assert str(folder) in found
