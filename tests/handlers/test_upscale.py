"""A ninth of a picture is tried before all of it is enlarged."""

import io

import numpy as np
from PIL import Image, ImageDraw

from sandbox.person import Person
from tests.line import Line


def photo() -> bytes:
    """Nine fields of different colours; a thin cross in the middle one."""
    picture = Image.new("RGB", (96, 96), "white")
    for tile in range(9):
        left, top = tile % 3 * 32, tile // 3 * 32
        picture.paste((25 * tile, 200 - 20 * tile, 90), (left, top, left + 32, top + 32))
    ImageDraw.Draw(picture).line([(40, 48), (56, 48)], fill="white", width=3)
    ImageDraw.Draw(picture).line([(48, 40), (48, 56)], fill="white", width=3)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def halves(data: bytes) -> list[np.ndarray]:
    """Plain enlarging on the left, the model's on the right, without their badges."""
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)
    width = (sheet.shape[1] - 8) // 2
    return [sheet[80:, :width], sheet[80:, -width:]]


async def test_a_part_is_tried_beside_plain_enlarging_then_another_then_all_of_it(line: Line, boris: Person) -> None:
    await boris.sends_photo(photo())
    offer = await boris.sees_text("96×96")
    await boris.presses("Проба", offer.id)
    question = await boris.sees_text("96×96 → 384×384. Какую часть попробовать сначала?")
    assert [label for row in question.buttons for label in [button["text"] for button in row]] == list("123456789")
    assert [len(row) for row in question.buttons] == [3, 3, 3]
    for _ in range(2):  # twice is one wish
        await boris.presses("5", question.id)
    tried = await boris.sees_photo()
    assert "Часть 5 из 9, ×4: 1 — простое увеличение (бикубическое), 2 — модель." in tried.text
    assert tried.photo_size == (1032, 512)
    plain, made = halves(tried.photo)
    assert 0.2 < np.abs(plain - made).mean() < 20  # the same field, drawn by another hand
    assert np.abs(plain.mean((0, 1)) - (100, 120, 90)).max() < 40
    assert "· 5 ·" in tried.labels

    await boris.presses("9", tried.id)
    corner = await boris.sees_photo()
    assert (corner.id != tried.id, "Часть 9 из 9" in corner.text) == (True, True)
    assert np.abs(halves(corner.photo)[1].mean((0, 1)) - (200, 40, 90)).max() < 15

    await boris.presses("Вся картинка", tried.id)
    whole = await boris.sees_photo()
    assert (whole.photo_size, "Увеличено" in whole.text) == ((512, 512), True)
    assert Image.open(io.BytesIO((await boris.sees_document()).document)).size == (384, 384)


async def test_what_is_too_large_to_enlarge_is_refused_before_a_part_is_tried(line: Line, boris: Person) -> None:
    wide = io.BytesIO()
    Image.new("RGB", (2400, 130), "white").save(wide, "PNG")
    await boris.sends_document("wide.png", wide.getvalue(), "image/png")
    offer = await boris.sees_text("2400×130")
    await boris.presses("Проба", offer.id)
    refused = await boris.sees_text("9600×520")
    assert "8192" in refused.text
    assert await line.sql(f"SELECT count(*) FROM job WHERE chat_id = {boris.id}") == [(0,)]  # noqa: S608


async def test_a_forged_part_is_not_there(line: Line, anna: Person) -> None:
    await anna.says("a red star --n 1")
    result = await anna.sees_photo()
    pressed = str((result.button("Again") or {})["callback_data"]).split(":")[2]
    for data in (f"v1t:{pressed}:5", f"v1t:{pressed}:10", "v1t:AAAAAAAAAAAAAAAA:0", "v1t::"):
        answer = await (await anna.presses_data(data, result.id)).answered()
        assert "not yours" in answer.text
