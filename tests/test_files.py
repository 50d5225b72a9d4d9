"""A file is written entirely or not at all, and what it replaces is kept until then."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from numalab import files
from numalab.fields import InputError


def test_the_old_content_is_there_until_the_new_one_is_complete(tmp_path):
    target = tmp_path / "kept"
    target.write_text("old")
    with files.replacing(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, ValueError])
def test_an_error_leaves_the_old_content_and_no_other_file(tmp_path, end):
    target = tmp_path / "kept"
    target.write_text("old")
    with pytest.raises(end), files.replacing(target) as part:
        part.write_text("half")
        raise end
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_full_disk_is_one_line(tmp_path):
    target = tmp_path / "kept"
    target.write_text("old")
    with (
        pytest.raises(InputError, match=r"kept: cannot be written: No space left on device"),
        files.replacing(target),
        Path("/dev/full").open("w") as full,  # any write to it fails as on a full disk
    ):
        full.write("new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        files.write(tmp_path / "none" / "file", "text")


def test_a_new_file_has_the_rights_that_any_new_file_has(tmp_path):
    files.write(tmp_path / "ours", b"x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_threads_that_write_at_once_leave_the_umask_as_it_was(tmp_path):
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: files.write(tmp_path / f"{i}", "x"), range(400)))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_a_folder_is_made_and_tried_and_left_empty(tmp_path):
    files.check_writable(tmp_path / "deep" / "down" / "kept")
    assert list((tmp_path / "deep" / "down").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"file/down: cannot be written: (Not a directory|File exists)"
    ):
        files.check_writable(tmp_path / "file" / "down")
    with pytest.raises(InputError, match="cannot be written: File name too long"):
        files.check_writable(tmp_path / ("n" * 240))


def test_the_name_of_a_half_written_file_is_as_said(tmp_path):
    with files.replacing(tmp_path / "kept") as part:
        assert re.fullmatch(rf"\.kept{files.PART}", part.name)
