"""Every button of a result works for ever: after a restart, after three months, and after housekeeping has been through."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiogram import Bot
from PIL import Image
from sqlalchemy import Float

from bot.intake import forget_old
from bot.jobs import POLICY, fail
from bot.settings import JobSettings
from bot.texts import Texts
from sandbox.person import Person
from sandbox.server import Sandbox
from sandbox.shown import Shown
from storage.domain import Job, NewPicture
from storage.repositories.jobs import JobRepository
from storage.repositories.pictures import PictureRepository
from storage.tables import Base
from tests.bot.house import House, make_house
from tests.storage.made import BOT, Store

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

DAYS = 91
LANES = ("flash", "base", "edit", "upscale")
DURATIONS = {"timing"}  # tables whose numbers are no moments


@pytest.fixture
async def next_house(
    house: House, box: Sandbox, anna: Person, bot: Bot, store: Store, database_url: str, texts: Texts, tmp_path: Path
) -> AsyncIterator[House]:
    """What is started after `house` has ended: it knows what is in the database and nothing else."""
    made = make_house(box, anna, bot, store, house.post.user, database_url, texts, tmp_path / "data")
    yield made
    made.application._bell.close()
    await made.application._db.close()


async def grow_old(store: Store) -> None:
    """Let three months pass for every row."""
    for table in Base.metadata.sorted_tables:
        moments = (
            [column.name for column in table.columns if isinstance(column.type, Float)] if table.name not in DURATIONS else []
        )
        for name in moments:
            await store.sql(f'UPDATE "{table.name}" SET {name} = {name} - {DAYS * 86400}')  # noqa: S608


async def keep_house(house: House) -> None:
    """What the bot's own loops do again and again."""
    application = house.application
    for _ in range(2):
        await application._jobs.sweep(BOT)
        await forget_old(application._db, BOT)
        await application._dialogs.forget_expired()
        await application._forgetting.sweep(BOT)


async def draw_all(house: House) -> None:
    """Be every worker: draw what waits, whatever it is."""
    store = house.store
    while (job := await store.claim(lanes=LANES)) is not None:
        buffer = io.BytesIO()
        Image.new("RGB", (128, 128), "teal").save(buffer, "PNG")
        media_id = house.post.media.put(buffer.getvalue(), ".png")
        count = int((await store.quota(job))["reserve"])
        async with store.database.begin() as session:
            await JobRepository(session).rendered(job, "toy", media_id.partition(".")[0])
            pictures = [NewPicture(each, media_id, 7 + each, 128, 128) for each in range(count)]
            await PictureRepository(session).add_results(job, pictures)
        await house.post.turns(3)


def shown_so_far(house: House) -> int:
    return len(house.box.ledger.of("sendMessage", "sendPhoto", "sendDocument", "editMessageText", "editMessageMedia"))


async def press_each(house: House, message: Shown, but: tuple[str, ...] = ()) -> list[str]:
    """Press every button of a message; each is answered, and brings a picture or a word. Returns their words."""
    pressed = []
    for row in message.buttons:
        for button in row:
            if button["text"] in but:
                continue
            before = shown_so_far(house)
            await house.anna.presses_data(str(button["callback_data"]), message.id)
            await house.gets({"callback_query": house.last()["callback_query"]})
            await draw_all(house)
            answer = house.answer()
            assert answer is not None, button
            assert (answer["show_alert"], "not yours" in answer["text"]) == (False, False), button
            assert shown_so_far(house) > before, button
            pressed.append(str(button["text"]))
    return pressed


async def test_each_button_of_a_sheet_and_of_an_opened_picture_works_after_three_months(house: House, next_house: House) -> None:
    await house.post.delivered(4)
    await grow_old(house.store)
    await next_house.post.deliverer.take_over()
    await keep_house(next_house)
    sheet = next_house.said()[-1]
    assert len(await press_each(next_house, sheet)) >= 9
    opened = next_house.anna.message(sheet.id)  # the last number that was pressed
    assert opened.button("Repaint") is not None
    words = await press_each(next_house, opened, but=("1", "2", "3", "· 4 ·", "All"))
    assert {"✨ With care", "🔼 ×4", "🔍 Try a part", "⬇️ As a file", "⚠️ Report"} <= set(words)


async def test_each_button_of_a_tried_part_works_after_three_months(house: House, next_house: House) -> None:
    await house.post.delivered(1)
    picture = await house.store.number("SELECT public_id FROM picture")
    for data in (f"v1p:try:{picture}", f"v1p:tile5:{picture}"):
        await house.anna.presses_data(data)
        await house.gets({"callback_query": house.last()["callback_query"]})
    await draw_all(house)
    await grow_old(house.store)
    await next_house.post.deliverer.take_over()
    await keep_house(next_house)
    question, tried = next_house.said()[1:3]
    assert len(await press_each(next_house, question)) == 9
    assert len(await press_each(next_house, tried)) == 12


async def failed(house: House, error: str, withheld: tuple[str, ...] = ()) -> Job:
    job = await house.store.job(house.post.user, 4)
    await house.post.turn()
    running = await house.store.claimed()
    async with house.store.database.begin() as session:
        await fail(session, running, error, withheld)
    await house.post.turn()
    return job


async def test_a_card_of_what_was_withheld_works_after_three_months(house: House, next_house: House) -> None:
    await failed(house, POLICY, ("forbidden",) * 4)
    await grow_old(house.store)
    await next_house.post.deliverer.take_over()
    await keep_house(next_house)
    card = next_house.said()[-1]
    await next_house.anna.presses("Another seed", card.id)
    await next_house.gets({"callback_query": next_house.last()["callback_query"]})
    await draw_all(next_house)
    assert next_house.said()[-1].has_photo
    await next_house.anna.presses("The judge is wrong", card.id)
    await next_house.gets({"callback_query": next_house.last()["callback_query"]})
    assert "A person will draw it again" in (next_house.answer() or {})["text"]


@pytest.mark.parametrize("error", ["engine", "poison", "deadline"])
async def test_a_failed_job_is_tried_again_with_one_tap_and_free(house: House, error: str) -> None:
    """Also by who has spent all they may: what failed was given back."""
    house.application._jobs._settings = JobSettings(per_day=4)
    first = await failed(house, error)
    card = house.said()[-1]
    assert card.labels == ["🔂 Try again"]
    for toast in ("Drawing", "Already"):
        await house.anna.presses("Try again", card.id)
        await house.gets({"callback_query": house.last()["callback_query"]})
        assert toast in (house.answer() or {})["text"]
    rows = await house.store.sql("SELECT params, state FROM job ORDER BY id")
    assert [state for _, state in rows] == ["failed", "queued"]
    assert rows[0][0] == rows[1][0]
    assert await house.store.quota(first) == {"reserve": 4, "refund": 4}
    await draw_all(house)
    assert house.said()[-1].has_photo
