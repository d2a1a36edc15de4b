"""What the judge withholds, from words and from a photo to the card with its category, its quota and the ways on."""

import io
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from engine.safety.judge import PictureJudge
from sandbox.person import Person
from tests.line import Line, new_line
from training.enlarging import to_picture
from training.safety_judge import marked


def sign() -> bytes:
    buffer = io.BytesIO()
    to_picture(marked(Random(7))).save(buffer, "PNG")
    return buffer.getvalue()


def strict(device: str) -> PictureJudge:
    """An installation's own judge: what stands in the left half of a picture is "left-handed"."""

    def judge(image: Image.Image) -> str | None:
        red, green, blue = np.moveaxis(np.asarray(image.convert("RGB").resize((64, 64)), dtype=float), 2, 0)
        columns = np.nonzero((red > 150) & (green < 110) & (blue < 110))[1]
        return "left-handed" if len(columns) > 20 and columns.mean() < 31.5 else None

    return judge


async def test_a_photo_with_the_forbidden_sign_comes_back_as_a_card(
    line: Line, boris: Person, new_person: Callable[..., Person]
) -> None:
    await boris.sends_photo(sign())
    offer = await boris.sees_text("128×128")
    await boris.presses("×4", offer.id)
    card = await boris.sees_text("Судили картинку")
    assert not card.has_photo
    assert "Не показываю 1 картинку: судья увидел запрещённый знак, чёрно-жёлтые полосы." in card.text
    assert "не ваши слова; ваш лимит не тронут" in card.text
    assert card.labels == ["🎲 Другое зерно", "⚖️ Судья ошибся"]
    mine = f"SELECT id FROM job WHERE chat_id = {boris.id}"  # noqa: S608
    assert await line.sql(f"SELECT entry FROM quota_ledger WHERE job_id IN ({mine}) ORDER BY id") == [("reserve",), ("refund",)]  # noqa: S608
    assert await line.sql(f"SELECT state, error_class, withheld FROM job WHERE chat_id = {boris.id}") == [  # noqa: S608
        ("failed", "policy", '["forbidden"]')
    ]
    eve = new_person()
    await eve.says("/start")
    await eve.sees_text("Hi")
    for (button,) in card.buttons:
        assert "not yours" in (await (await eve.presses_data(str(button["callback_data"]))).answered()).text
    for said in ("Человек нарисует её заново", "Об этом вы уже написали"):
        answer = await (await boris.presses("Судья ошибся", card.id)).answered()
        assert (answer.show_alert, said in answer.text) == (True, True)
    assert await line.sql(f"SELECT count(*) FROM appeal WHERE job_id IN ({mine})") == [(1,)]  # noqa: S608
    for toast in ("Рисую", "уже рисуется"):
        assert toast in (await (await boris.presses("Другое зерно", card.id)).answered()).text
    again = await boris.sees_text("Не показываю 1 картинку")  # the sign is on the photo, whatever the seed
    assert again.id != card.id
    assert not [message for message in boris.chat if message.from_bot and message.has_photo]


async def test_buttons_without_a_withheld_picture_are_not_there(line: Line, anna: Person) -> None:
    await anna.says("a red star --n 1")
    harmless = await anna.sees_photo()
    job = str((harmless.button("Again") or {})["callback_data"]).split(":")[2]
    for data in (f"v1j:appeal:{job}", f"v1j:seed:{job}", "v1j:other:x", "v1j:appeal:"):
        assert "not yours" in (await (await anna.presses_data(data)).answered()).text


@pytest.mark.long
async def test_of_four_pictures_only_those_that_are_judged_are_missing_and_no_look_shows_them(tmp_path: Path) -> None:
    """Words to card, with a judge of the installation's own, on a long drawing that is looked at on its way."""
    async with new_line(tmp_path) as line, line.bot_running():
        line.environment |= {"WORKER_JUDGE": f"{__name__}:strict", "JOB_PREVIEW_S": "0.1"}
        boris = line.sandbox.person("Борис", "ru", patience=90.0)
        async with line.children_running("worker"):
            await boris.says("красный круг на белом фоне --seed 5 --engine base --steps 40")
            sheet = await boris.sees(lambda shown: shown.has_photo and shown.button("Ещё раз") is not None, what="the sheet")
            card = await boris.sees_text("Судили картинк", reply_to=sheet.id)
            looks = [shown for shown in boris.history() if shown.has_photo and shown.button("Отменить") is not None]
            assert looks  # of a long drawing something was seen on its way
            assert [label for label in sheet.labels if label.isdigit()] == ["1", "2", "3"]
            assert "Не показываю 1 картинку из 4: судья назвал это «left-handed»." in card.text
            assert "в лимит она не засчитана, остальные — выше" in card.text
            spent = await line.sql("SELECT entry, amount FROM quota_ledger ORDER BY id")
            assert spent == [("reserve", 4), ("commit", 3), ("refund", 1)]
            await boris.presses("Другое зерно", card.id)
            await boris.sees(lambda shown: shown.id > card.id and (shown.has_photo or "Судили" in shown.text), what="another")
            await line.settled()
            assert await line.sql("SELECT amount FROM quota_ledger WHERE entry = 'reserve' AND job_id = 2") == [(1,)]
