"""Stored pictures and the `file_id`s by which a bot may send them again."""

import pytest
from sqlalchemy.exc import IntegrityError

from storage.domain import Job, NewPicture
from storage.post import NewNotice
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.pictures import PictureRepository
from tests.storage.made import BOT, Store


async def _drawn(store: Store, job: Job, count: int = 2) -> None:
    pictures = [NewPicture(number, f"{number:064d}.png", 7 + number, 128, 64) for number in reversed(range(count))]
    async with store.database.begin() as session:
        await PictureRepository(session).add_results(job, pictures)


async def test_results_come_back_in_order(store: Store) -> None:
    job = await store.job(await store.user())
    await _drawn(store, job, 3)
    async with store.database.read() as session:
        pictures = await PictureRepository(session).of_job(job.id)
    assert [(picture.ordinal, picture.seed, picture.width, picture.height) for picture in pictures] == [
        (0, 7, 128, 64),
        (1, 8, 128, 64),
        (2, 9, 128, 64),
    ]
    assert {picture.operation for picture in pictures} == {"text-to-image"}
    assert len({picture.public_id for picture in pictures}) == 3


async def test_a_result_knows_the_picture_that_its_job_started_from(store: Store) -> None:
    user = await store.user()
    first = await store.job(user)
    await _drawn(store, first, 1)
    async with store.database.read() as session:
        (parent,) = await PictureRepository(session).of_job(first.id)
    second = await store.job(user, parent_picture_id=parent.id)
    await _drawn(store, second, 1)
    async with store.database.read() as session:
        (child,) = await PictureRepository(session).of_job(second.id)
    assert parent.parent_id is None
    assert child.parent_id == parent.id


async def test_a_job_has_one_picture_of_each_number(store: Store) -> None:
    job = await store.job(await store.user())
    await _drawn(store, job)
    with pytest.raises(IntegrityError):
        await _drawn(store, job)


async def test_a_file_id_belongs_to_one_bot_and_one_form(store: Store) -> None:
    job = await store.job(await store.user())
    await _drawn(store, job, 1)
    async with store.database.begin() as session:
        pictures = PictureRepository(session)
        (picture,) = await pictures.of_job(job.id)
        await pictures.remember_file(picture.id, BOT, "photo", "F", "U")
    async with store.database.read() as session:
        pictures = PictureRepository(session)
        assert await pictures.file_id(picture.id, BOT, "photo") == "F"
        assert await pictures.file_id(picture.id, BOT, "document") is None
        assert await pictures.file_id(picture.id, BOT + 1, "photo") is None


async def test_a_newer_file_id_takes_the_place_of_the_old_one(store: Store) -> None:
    job = await store.job(await store.user())
    await _drawn(store, job, 1)
    for file_id in ("old", "new"):
        async with store.database.begin() as session:
            pictures = PictureRepository(session)
            (picture,) = await pictures.of_job(job.id)
            await pictures.remember_file(picture.id, BOT, "photo", file_id, "U")
    async with store.database.read() as session:
        assert await PictureRepository(session).file_id(picture.id, BOT, "photo") == "new"


async def test_a_card_in_a_message_of_its_own_shows_its_picture(store: Store) -> None:
    anna, eve = await store.user(), await store.user()
    job = await store.job(anna)
    await _drawn(store, job, 3)
    async with store.database.begin() as session:
        card = NewNotice(BOT, 5, "view", "card", {"index": 2, "back": ""}, anna.id, job_id=job.id)
        await NoticeRepository(session).add(card)
    await store.sql("UPDATE notice SET message_id = 77, state = 'sent'")
    async with store.database.read() as session:
        pictures = PictureRepository(session)
        assert [picture.ordinal for picture in await pictures.under(anna.id, 5, 77)] == [1]
        assert await pictures.under(eve.id, 5, 77) == []
