"""What is sent is decoded in another process, and stored as plain pixels; one that kills its process harms nobody else."""

import io
from pathlib import Path

import pytest
from PIL import Image

import storage.uploads
from storage.errors import BadUpload
from storage.media import MediaStore
from storage.uploads import Upload, Uploads
from tests.storage.test_decode import PNG, halves, profile_bomb, saved


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(str(tmp_path / "pictures"))


async def taken(media: MediaStore, file: Path) -> Upload:
    uploads = Uploads(media)
    async with uploads.plain(file) as plain:
        return await uploads.keep(plain)


async def test_a_picture_is_stored_as_its_pixels(media: MediaStore, tmp_path: Path) -> None:
    file = tmp_path / "it is .. a name\u202e.jpg"
    file.write_bytes(saved(halves(), "WEBP", lossless=True))
    upload = await taken(media, file)
    stored = media.get(upload.media_id)
    assert (upload.width, upload.height) == (64, 48)
    assert Image.open(io.BytesIO(stored)).tobytes() == halves().tobytes()
    file.write_bytes(PNG)  # the same pixels in another file
    assert (await taken(media, file)).media_id == upload.media_id


async def test_a_refusal_has_its_reason_and_numbers(media: MediaStore, tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_bytes(saved(Image.new("RGB", (9, 500))))
    with pytest.raises(BadUpload) as caught:
        await taken(media, file)
    assert (caught.value.reason, caught.value.values) == ("too-small", {"limit": 16, "value": "9x500"})


async def test_a_process_that_dies_of_a_file_is_a_refusal(
    media: MediaStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bomb"
    file.write_bytes(profile_bomb())
    with pytest.raises(BadUpload):
        await taken(media, file)
    file.write_bytes(PNG)
    with monkeypatch.context() as patch:
        patch.setattr(storage.uploads, "_PATIENCE_S", 0.0)
        with pytest.raises(BadUpload, match="too-complex"):
            await taken(media, file)
    assert (await taken(media, file)).width == 64


async def test_the_largest_picture_fits_into_the_limits(media: MediaStore, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(saved(Image.linear_gradient("L").resize((5000, 5000)).convert("RGBA"), "WEBP", quality=40))
    upload = await taken(media, file)
    assert (upload.width, upload.height) == (5000, 5000)
