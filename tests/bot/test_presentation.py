"""How pictures look in a chat."""

import io

import pytest
from PIL import Image

from bot import presentation
from bot.presentation import as_comparison, as_file, as_gallery, as_photo, as_preview, as_sheet, as_thumbnail, size_of
from engine.recipe import encode_marked


def _png(width: int = 128, height: int = 128, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def _shown(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("size", "shown"),
    [((128, 128), (512, 512)), ((64, 128), (512, 1024)), ((512, 512), (512, 512)), ((1024, 768), (1024, 768))],
)
def test_a_photo_is_never_a_stamp_and_never_made_smaller(size: tuple[int, int], shown: tuple[int, int]) -> None:
    picture = _shown(as_photo(_png(*size)))
    assert (picture.format, picture.size) == ("JPEG", shown)


def test_a_photo_keeps_its_colour() -> None:
    picture = _shown(as_photo(_png(colour="#2060e0")))
    assert picture.getpixel((256, 256)) == pytest.approx((0x20, 0x60, 0xE0), abs=3)


def test_a_small_file_is_enlarged_without_loss() -> None:
    picture = _shown(as_file(_png(colour="#2060e0")))
    assert (picture.format, picture.size) == ("PNG", (512, 512))
    assert picture.getpixel((0, 0)) == (0x20, 0x60, 0xE0)


def test_a_large_file_goes_out_as_it_is_stored() -> None:
    data = _png(640, 512)
    assert as_file(data) == data


@pytest.mark.parametrize(("count", "size"), [(2, (1032, 512)), (3, (1032, 1032)), (4, (1032, 1032))])
def test_several_pictures_lie_on_one_sheet(count: int, size: tuple[int, int]) -> None:
    assert _shown(as_sheet([_png()] * count)).size == size


def test_a_sheet_reads_from_left_to_right_then_down() -> None:
    sheet = _shown(as_sheet([_png(colour=colour) for colour in ("red", "lime", "blue", "black")], lossless=True))
    corners = [(0, 0), (1031, 0), (0, 1031), (1031, 1031)]
    assert sheet.format == "PNG"
    assert [sheet.getpixel(corner) for corner in corners] == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]
    assert sheet.getpixel((516, 516)) == (255, 255, 255)


def test_a_sheet_of_large_pictures_stays_within_what_telegram_takes() -> None:
    data = as_sheet([_png(1024, 1024)] * 4)
    width, height = _shown(data).size
    assert width + height <= 10_000
    assert len(data) <= 10_000_000


def test_the_same_pictures_make_the_same_bytes() -> None:
    """A repeated edit must change nothing that a person sees."""
    assert as_sheet([_png()] * 4) == as_sheet([_png()] * 4)
    assert as_photo(_png()) == as_photo(_png())


def test_only_png_is_opened() -> None:
    """Whatever else lies in the media store was not drawn by us."""
    with pytest.raises(OSError, match="cannot identify"):
        as_photo(b"%!PS-Adobe-3.0 EPSF-3.0\n")


def test_a_small_copy_is_the_middle_of_its_picture() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("blue", (100, 0, 200, 100))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    small = _shown(as_thumbnail(buffer.getvalue()))
    assert (small.format, small.size) == ("JPEG", (320, 320))
    for x in (5, 160, 315):
        assert small.getpixel((x, 160)) == pytest.approx((0, 0, 255), abs=12)


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        ((1,), (508, 508)),
        ((2,), (1016, 515)),
        ((3,), (1016, 348)),
        ((2, 2), (1016, 1016)),
        ((2, 3), (1016, 849)),
        ((3, 3, 3), (1016, 1016)),
    ],
)
def test_small_copies_hang_in_full_rows(rows: tuple[int, ...], size: tuple[int, int]) -> None:
    gallery = _shown(as_gallery([as_thumbnail(_png())] * sum(rows), rows))
    assert gallery.size == size
    for across in (0.3, 0.7):  # no row has a hole
        assert gallery.getpixel((round(across * size[0]), size[1] - 60)) == pytest.approx((255, 0, 0), abs=8)


def test_each_place_of_a_gallery_shows_its_picture_and_its_number() -> None:
    colours = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "aqua": (0, 255, 255)}
    small = [as_thumbnail(_png(colour=colour)) for colour in colours]
    gallery = _shown(as_gallery(small, (2, 3)))
    corners = [(14, 14), (515, 14), (14, 515), (348, 515), (682, 515)]
    for (left, top), colour in zip(corners, colours.values(), strict=True):
        assert gallery.getpixel((left + 160, top + 160)) == pytest.approx(colour, abs=6)
        badge = gallery.crop((left + 11, top + 11, left + 63, top + 63)).convert("L")
        dark, light = (sum(badge.histogram()[slice(*band)]) for band in ((0, 110), (230, 256)))
        assert dark > 1000, "a disc"
        assert light > 60, "a number on it"
    assert len({gallery.crop((left, top, left + 66, top + 66)).tobytes() for left, top in corners}) == 5


def test_a_picture_that_is_gone_leaves_its_place_empty() -> None:
    gallery = _shown(as_gallery([None, as_thumbnail(_png()), None], (3,)))
    for x in (174, 842):
        assert gallery.getpixel((x, 174)) == pytest.approx((58, 61, 68), abs=6)


def test_the_same_gallery_is_the_same_bytes() -> None:
    assert as_gallery([as_thumbnail(_png()), None], (2,)) == as_gallery([as_thumbnail(_png()), None], (2,))


def test_a_file_that_no_bot_may_send_comes_as_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_marked(Image.effect_noise((600, 600), 90).convert("RGB"), "PNG")
    assert presentation.ending(presentation.as_file(data)) == "png"
    monkeypatch.setattr(presentation, "LARGEST_FILE", len(data) - 1)
    smaller = presentation.as_file(data)
    assert presentation.ending(smaller) == "jpg"
    assert Image.open(io.BytesIO(smaller)).size == (600, 600)


@pytest.mark.parametrize(("lossless", "kind"), [(False, "JPEG"), (True, "PNG")])
def test_a_part_stands_beside_what_the_model_made_of_it(lossless: bool, kind: str) -> None:
    whole = Image.new("RGB", (96, 96), "lime")
    whole.paste("red", (32, 32, 64, 64))
    buffer, made = io.BytesIO(), io.BytesIO()
    whole.save(buffer, "PNG")
    Image.new("RGB", (128, 128), "blue").save(made, "PNG")
    assert size_of(buffer.getvalue()) == (96, 96)
    data = as_comparison(buffer.getvalue(), made.getvalue(), (32, 32, 64, 64), lossless)
    assert Image.open(io.BytesIO(data)).format == kind
    sheet = Image.open(io.BytesIO(data)).convert("RGB")
    assert sheet.size == (1032, 512)
    for place, colour in (((256, 400), (255, 0, 0)), ((776, 400), (0, 0, 255))):
        assert max(abs(a - b) for a, b in zip(sheet.getpixel(place), colour, strict=True)) <= 4  # type: ignore[arg-type]


def test_a_look_is_320_pixels_on_its_longer_side() -> None:
    sizes = [Image.open(io.BytesIO(as_preview(Image.new("RGB", size)))).size for size in ((128, 128), (1024, 512), (3, 3000))]
    assert sizes == [(320, 320), (320, 160), (1, 320)]
