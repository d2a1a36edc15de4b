"""From a sentence to a picture of which one part was drawn anew, as a person does it."""

import io

import numpy as np
from PIL import Image

from sandbox.pencil import Stroke, circle
from sandbox.person import Person
from tests.line import Line
from training.judge import look, to_floats


def pixels(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


async def test_what_the_pencil_marks_is_drawn_anew_and_nothing_else_changes(line: Line, anna: Person) -> None:
    await anna.says("a red circle on the left, white background")
    sheet = await anna.sees_photo()
    await anna.presses("1", sheet.id)
    await anna.sees_photo(message_id=sheet.id)
    await anna.presses("As a file", sheet.id)
    before = pixels((await anna.sees_document()).document)

    await anna.presses("Repaint", sheet.id)
    await anna.sees_text("pencil")
    await anna.draws_on(sheet.id, Stroke(circle(0.75, 0.5, 0.18), "#34c759"))
    preview = await anna.sees_photo()
    assert "% of the picture" in preview.text
    await anna.presses("Use it", preview.id)
    await anna.sees_text("What should be here")
    await anna.says("синий квадрат")
    result = await anna.sees_photo()

    seen = look(to_floats(pixels(result.photo).resize((128, 128), Image.Resampling.LANCZOS)))
    assert any(found.colour == "blue" and found.x > 0.5 for found in seen.objects)
    await anna.presses("As a file", result.id)
    after = pixels((await anna.sees_document()).document)
    changed = np.argwhere((np.asarray(before) != np.asarray(after)).any(axis=2))
    assert len(changed) > 1000
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert left > 0.5 * 512
    assert (top > 0.25 * 512, bottom < 0.75 * 512, right < 0.97 * 512) == (True, True, True)


async def test_a_picture_grows_to_the_side_that_was_chosen(line: Line, anna: Person) -> None:
    await anna.says("a green heart on a pink background")
    sheet = await anna.sees_photo()
    await anna.presses("2", sheet.id)
    opened = await anna.sees_photo(message_id=sheet.id)
    await anna.presses("Extend", sheet.id)
    await anna.sees_text("which side")
    await anna.presses("Right")
    result = await anna.sees_photo()
    assert "Extended" in result.text
    width, height = pixels(opened.photo).size
    grown = pixels(result.photo)
    assert grown.size == (width * 3 // 2, height)
    kept = (
        np.asarray(grown.crop((0, 0, width - 8, height)), np.int16) - np.asarray(pixels(opened.photo), np.int16)[:, : width - 8]
    )
    assert np.abs(kept).mean() < 2  # JPEG made both


async def test_a_photo_comes_back_four_times_as_large_as_a_file(line: Line, anna: Person) -> None:
    buffer = io.BytesIO()
    picture = Image.new("RGB", (96, 64), "#e0e4f0")
    picture.paste((200, 40, 40), (20, 16, 60, 48))
    picture.save(buffer, "PNG")
    await anna.sends_document("small.png", buffer.getvalue(), "image/png")
    await anna.sees_button("×4")
    await anna.presses("×4")
    assert "Enlarged" in (await anna.sees_photo()).text
    file = pixels((await anna.sees_document()).document)
    assert file.size == (384, 256)
    small = np.asarray(file.resize((96, 64), Image.Resampling.BOX), np.int16)
    assert np.abs(small - np.asarray(picture, np.int16)).mean() < 6
