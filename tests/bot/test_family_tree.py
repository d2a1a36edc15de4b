"""The family tree: where each picture stands, and what the sheet shows."""

import io

from PIL import Image

from bot.family_tree import SIGNS, Member, draw, places, sign
from bot.presentation import as_thumbnail
from engine.requests import LanguageRequest, kinds
from storage.domain import UPLOAD, Picture


def small(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return as_thumbnail(buffer.getvalue())


def picture(number: int, operation: str = "inpaint") -> Picture:
    return Picture(number, f"p{number}", 1, 1, 0, "m", 1, 64, 64, None, operation, 0.0, name="7F3A")


def test_a_parent_stands_in_the_middle_of_its_children() -> None:
    assert places([None, 0, 0, 0, 2]) == [(1.0, 0), (0.0, 1), (1.0, 1), (2.0, 1), (1.0, 2)]
    assert places([None]) == [(0.0, 0)]


def test_no_two_stand_in_one_place() -> None:
    parents = [None, 0, 0, 1, 1, 2, 3, 3, 5, 0, 9, 9, 9]
    assert len(set(places(parents))) == len(parents)


def test_every_picture_is_there_and_a_line_leads_to_it() -> None:
    members = [Member(picture(1), None, small("red")), Member(picture(2), 0, small("blue")), Member(picture(3), 1, None)]
    sheet = Image.open(io.BytesIO(draw(members, 2))).convert("RGB")
    assert (sheet.width, sheet.height) == (332, 1004)
    middle = [sheet.getpixel((166, 56 + 110 + step * 316)) for step in range(3)]
    assert [max(range(3), key=lambda c: pixel[c]) for pixel in middle[:2]] == [0, 2]  # type: ignore[index]
    line = sheet.getpixel((166, 56 + 220 + 40 + 28))
    assert min(line) > 90  # type: ignore[type-var,arg-type]  the wall is darker
    assert min(sheet.getpixel((20, 344))) < 50  # type: ignore[type-var,arg-type]


def test_thirty_pictures_are_a_sheet_that_telegram_takes() -> None:
    thumbnail = small("teal")
    broad = [Member(picture(n), 0 if n else None, thumbnail) for n in range(30)]
    deep = [Member(picture(n), n - 1 if n else None, thumbnail) for n in range(30)]
    for members in (broad, deep):
        data = draw(members, 0)
        width, height = Image.open(io.BytesIO(data)).size
        assert len(data) < 10_000_000
        assert width + height <= 10_000
        assert 0.5 < width / height < 1.2  # a phone shows all of it


def test_every_way_to_make_a_picture_has_a_sign_of_its_own() -> None:
    made = [each.kind for each in kinds() if not issubclass(each, LanguageRequest) and each.kind != "text-to-image"]
    assert {*made, UPLOAD, "words", "remix"} <= SIGNS.keys()
    assert len(set(SIGNS.values())) == len(SIGNS)
    assert sign(picture(1, "text-to-image"), born=False) != sign(picture(1, "text-to-image"), born=True)
