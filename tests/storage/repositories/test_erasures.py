"""Who is forgotten is gone from every table; who is not is as before."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from storage.domain import JobState, Likeness, NewPicture, NewUpload, User
from storage.post import NewNotice, SendState
from storage.repositories.dialogs import DialogRepository
from storage.repositories.erasures import ErasureRepository
from storage.repositories.inbox import InboxRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import NoticeRepository, PauseRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.previews import PreviewRepository
from storage.repositories.reports import ReportRepository
from storage.repositories.users import UserRepository
from storage.tables import Base
from tests.storage.made import BOT, FAMILY, Store

NOBODYS = {"erasure", "erased_file", "lease", "timing", "worker"}  # say nothing of anybody, or are what stays
ANNA, BORIS = 7_000_111_222, 8_000_333_444
GROUP = -100_555


def media_id(*, of: int, number: int) -> str:
    return f"{of:x}{number}".rjust(64, "f") + ".png"


async def lives(store: Store, telegram_id: int, first_update: int) -> User:
    """Leave a trace in every table that knows people: a drawn job, a thumbnail, a mask, reports, words in a group."""
    user = await store.user(telegram_id)
    word = f"secret{telegram_id}"
    params = json.dumps({"kind": "inpaint", "mask": media_id(of=telegram_id, number=9), "prompt": word})
    job = await store.job(user, 1, kind="inpaint", params=params)
    running = await store.claimed()
    assert running.id == job.id
    async with store.database.begin() as session:
        await JobRepository(session).rendered(running, "toy", "00" * 32)
        pictures = PictureRepository(session)
        await pictures.add_results(
            running, [NewPicture(0, media_id(of=telegram_id, number=0), 7, 128, 128, Likeness(b"code", b"proof"))]
        )
        (picture,) = await pictures.of_job(job.id)
        await pictures.remember_thumbnails(user.id, {picture.id: media_id(of=telegram_id, number=1)})
        await pictures.remember_mask(picture.id, media_id(of=telegram_id, number=2))
        upload = media_id(of=telegram_id, number=3)
        await pictures.add_upload(NewUpload(user.id, telegram_id, first_update, upload, 64, 64, f"album{telegram_id}", word))
        await pictures.remember_file(picture.id, BOT, "photo", f"file{telegram_id}", f"unique{telegram_id}")
        notice = NewNotice(
            BOT, telegram_id, "job.ready", f"n{telegram_id}", {"word": word}, user.id, job_id=job.id, picture_id=picture.id
        )
        await NoticeRepository(session).add(notice)
        await DialogRepository(session).put(f"dialog:{BOT}:{telegram_id}:{telegram_id}:default", "Search:words", "{}", 600)
        await DialogRepository(session).put(f"dialog:{BOT}:{GROUP}:{telegram_id}:default", "Search:words", "{}", 600)
        await UserRepository(session).change_settings(user.id, {"language": "ru"})
        assert await ReportRepository(session).add(user.id, job.id, 1, "unsafe")
        assert await ReportRepository(session).appeal(user.id, job.id)
        await PreviewRepository(session).put(running, 3, word.encode())
        await PauseRepository(session).put(BOT, {telegram_id: 60.0})
        said = {"message": {"chat": {"id": telegram_id}, "from": {"id": telegram_id}, "text": word}}
        in_group = {"message": {"chat": {"id": GROUP}, "from": {"id": telegram_id, "is_bot": False}, "text": word}}
        updates = [(first_update, telegram_id, json.dumps(said)), (first_update + 1, GROUP, json.dumps(in_group))]
        await InboxRepository(session).add(BOT, updates)
    await store.finish(await store.get(job), JobState.DELIVERED)
    await store.sql("UPDATE inbox SET state = 'done'")
    await store.sql("UPDATE notice SET state = 'sent'")
    return user


async def rows(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    async with store.database.read() as session:
        return {
            name: [tuple(row) for row in await session.execute(select(table))] for name, table in Base.metadata.tables.items()
        }


async def about(store: Store, user: User) -> dict[str, list[tuple[Any, ...]]]:
    """The rows that name this person, their words, or one of their rows."""
    everything = await rows(store)
    jobs = {row[0] for row in everything["job"] if user.telegram_id in row}
    pictures = {row[0] for row in everything["picture"] if row[3] in jobs}
    needles = str(user.telegram_id), f"{user.telegram_id:x}"
    found = {}
    for name, table in Base.metadata.tables.items():
        columns = list(table.columns.keys())
        owners = {
            "user_id": {user.id},
            "job_id": jobs,
            "picture_id": pictures,
            "parent_id": pictures,
            "parent_picture_id": pictures,
        }
        found[name] = [
            row
            for row in everything[name]
            if any(needle in str(value) for needle in needles for value in row)
            or any(value in owners.get(column, ()) for column, value in zip(columns, row, strict=True))
        ]
    return found


async def forgotten(store: Store, user: User) -> Any:
    async with store.database.begin() as session:
        erasures = ErasureRepository(session)
        await erasures.erase(await erasures.ask(user, 0.0), user.telegram_id)
        return await erasures.of(user.id)


async def test_nothing_is_left_of_who_is_forgotten(store: Store) -> None:
    anna, boris = await lives(store, ANNA, 1), await lives(store, BORIS, 10)
    before, others = await about(store, anna), await about(store, boris)
    assert {name for name, found in before.items() if not found} == NOBODYS, "a new table: shall it be erased?"
    assert await forgotten(store, anna) is None
    after = await about(store, anna)
    files = {media_id(of=ANNA, number=number) for number in (0, 1, 2, 3, 9)}
    assert {row[0] for row in after.pop("erased_file")} == files
    assert {name: found for name, found in after.items() if found} == {}
    assert await about(store, boris) == others
    [(receipt, user_id, *counts)] = await store.sql(
        "SELECT public_id, user_id, pictures, jobs, notices, files FROM erasure WHERE done_at IS NOT NULL"
    )
    assert (user_id, counts) == (None, [2, 1, 1, 5])
    assert await store.sql("SELECT update_id FROM inbox ORDER BY id") == [(1,), (2,), (10,), (11,)]  # known, without a word
    async with store.database.begin() as session:
        assert (await ErasureRepository(session).find(str(receipt), boris.id)) is not None


async def test_a_file_that_somebody_else_has_is_theirs(store: Store) -> None:
    await lives(store, BORIS, 10)
    theirs = {media_id(of=BORIS, number=number) for number in (0, 1, 2, 3, 9)}
    async with store.database.begin() as session:
        assert await ErasureRepository(session).used([*theirs, media_id(of=ANNA, number=0)]) == theirs


async def test_a_picture_made_from_one_that_goes_stays(store: Store) -> None:
    anna, boris = await lives(store, ANNA, 1), await lives(store, BORIS, 10)
    await store.sql(
        "UPDATE picture SET parent_id = (SELECT min(id) FROM picture WHERE user_id = :anna) WHERE user_id = :boris",
        anna=anna.id, boris=boris.id,
    )  # fmt: skip
    await forgotten(store, anna)
    assert await store.sql("SELECT user_id, parent_id FROM picture") == [(boris.id, None)] * 2


async def test_a_wish_is_one_until_it_is_taken_back(store: Store) -> None:
    anna, boris = await store.user(), await store.user()
    async with store.database.begin() as session:
        erasures = ErasureRepository(session)
        first, second = await erasures.ask(anna, 3600), await erasures.ask(anna, 60)
        assert first == second
        assert first.due_at - first.asked_at == pytest.approx(3600)
        assert await erasures.due(BOT) == []
        assert await erasures.find(first.public_id, boris.id) is None
        assert await erasures.find(first.public_id, anna.id) is not None
        assert await erasures.take_back(anna.id)
        assert not await erasures.take_back(anna.id)
        assert await erasures.of(anna.id) is None
        now = await erasures.ask(anna, 0.0)
        assert now.public_id != first.public_id
        assert [each.id for each in await erasures.due(BOT)] == [now.id]
        assert await erasures.due(BOT + 1) == []


@pytest.mark.parametrize("state", [SendState.PENDING, SendState.SENDING, SendState.UNKNOWN])
async def test_a_message_on_its_way_keeps_somebody_busy(store: Store, state: SendState) -> None:
    anna = await store.user(ANNA)
    async with store.database.begin() as session:
        await NoticeRepository(session).add(NewNotice(BOT, ANNA, "file", "n", {}, anna.id))
    for changed, busy in ((f"state = '{state}'", True), ("state = 'sent'", False), (f"state = '{state}', created_at = 1", False)):
        await store.sql(f"UPDATE notice SET {changed}")  # noqa: S608
        async with store.database.begin() as session:
            assert await ErasureRepository(session).busy(anna.id, 60.0) is busy


async def test_a_job_keeps_somebody_busy_for_a_while_after_its_end(store: Store) -> None:
    anna = await store.user(ANNA)
    job = await store.job(anna, family=FAMILY)

    async def busy(quiet_s: float) -> bool:
        async with store.database.begin() as session:
            return await ErasureRepository(session).busy(anna.id, quiet_s)

    assert await busy(0.0)
    await store.finish(job, JobState.CANCELLED, refund=True)
    assert await busy(60.0)
    assert not await busy(0.0)
