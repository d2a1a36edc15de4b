"""Picture files by content."""

import datetime
import hashlib
import os
from pathlib import Path

import pytest

from storage.errors import MediaAway, MediaMissing
from storage.media import MediaStore

DATA = b"a picture"


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_what_is_put_can_be_got(tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path))
    assert media.get(media.put(DATA, ".png")) == DATA


def test_the_id_is_the_content(tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path))
    assert media.put(DATA, ".png") == hashlib.sha256(DATA).hexdigest() + ".png"
    assert media.put(DATA + b"!", ".png") != media.put(DATA, ".png")


def test_the_same_bytes_are_stored_once(tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path))
    assert media.put(DATA, ".png") == media.put(DATA, ".png")
    assert len(_files(tmp_path)) == 1


def test_the_same_bytes_with_another_suffix_are_another_file(tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path))
    media.put(DATA, ".png")
    media.put(DATA, ".jpg")
    assert len(_files(tmp_path)) == 2


def test_a_second_store_over_the_same_folder_sees_it(tmp_path: Path) -> None:
    media_id = MediaStore(str(tmp_path)).put(DATA, ".png")
    assert MediaStore(f"file://{tmp_path}").get(media_id) == DATA


def test_an_object_store_serves_the_same(tmp_path: Path) -> None:
    media = MediaStore("memory://pictures")
    assert media.get(media.put(DATA, ".png")) == DATA


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaMissing, match=r"ab12\.png"):
        MediaStore(str(tmp_path)).get("ab12.png")


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_no_half_file_stays_when_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    media = MediaStore(str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(os, broken, no_space)
        with pytest.raises(OSError, match="OSError"):
            media.put(DATA, ".png")
    assert _files(tmp_path) == []
    assert media.get(media.put(DATA, ".png")) == DATA


@pytest.mark.parametrize("error", [RuntimeError("could not connect"), OSError(28, "No space left on device")], ids=str)
def test_a_store_out_of_reach_or_full_has_one_error(tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of store has errors of its own: those of S3 are no OSError."""

    def fails(*what: object, **how: object) -> None:
        raise error

    media = MediaStore(str(tmp_path))
    monkeypatch.setattr(media._fs, "exists", fails)
    monkeypatch.setattr(media._fs, "cat_file", fails)
    with pytest.raises(MediaAway):
        media.put(DATA, ".png")
    with pytest.raises(MediaAway):
        media.get("ab.png")


def test_what_was_put_again_just_now_is_not_removed_as_old(tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path))
    media_id = media.put(DATA, ".png")
    os.utime(next(tmp_path.rglob(media_id)), (1, 1))
    media.put(DATA, ".png")
    assert not media.remove(media_id, untouched_s=60)
    assert media.get(media_id) == DATA
    os.utime(next(tmp_path.rglob(media_id)), (1, 1))
    assert media.remove(media_id, untouched_s=60)
    assert media.remove(media_id, untouched_s=60)  # it is gone already
    assert _files(tmp_path) == []


def test_an_object_store_knows_what_was_put_again(tmp_path: Path) -> None:
    media = MediaStore("memory://again")
    media_id = media.put(DATA, ".png")
    media._fs.store[media._path(media_id)].modified -= datetime.timedelta(hours=1)
    media.put(DATA, ".png")
    assert not media.remove(media_id, untouched_s=60)
    assert media.remove(media_id)
