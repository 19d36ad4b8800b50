"""The room that is left on a disk, asked before it is needed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.filesystem import check_space
from ltx_mcp.jobs.store.rows import NewJob


def test_a_disk_with_too_little_room_is_told_with_figures_and_setting_also_for_a_folder_to_come(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "videos"
    free = shutil.disk_usage(tmp_path).free
    check_space(folder, free // 2)
    with pytest.raises(SetupError) as caught:
        check_space(folder, free * 1000)
    assert caught.value.code is ErrorCode.STORAGE_FAILED
    assert str(folder) in caught.value.message
    assert f"{free * 1000 / 1e9:.1f} GB are needed" in caught.value.message
    assert "LTX_MCP_HOME" in caught.value.hint
    assert not folder.exists()


def test_there_must_be_room_for_all_takes_of_a_set(home: Path, new_job: Callable[..., NewJob]) -> None:
    files, offer = FileStore(home), new_job().offers[0]
    files.check_room(offer)
    with pytest.raises(SetupError, match="are needed"):
        files.check_room(offer, 10**9)
