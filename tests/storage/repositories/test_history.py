"""What a person has drawn, newest first, and nobody else's."""

import pytest

from engine.requests import TextToImage, to_json
from storage.domain import Kept, NewPicture, User
from storage.repositories.history import HistoryRepository, searchable
from storage.repositories.pictures import PictureRepository
from tests.storage.made import PROMPT, Store


async def _drawn(store: Store, user: User, prompt: str = PROMPT, count: int = 1) -> str:
    """Store a job's pictures, whatever became of the job; return its public id."""
    job = await store.job(user, params=to_json(TextToImage(prompt, seed=7)))
    pictures = [NewPicture(number, f"{number:064d}.png", 7 + number, 128, 64) for number in range(count)]
    async with store.database.begin() as session:
        await PictureRepository(session).add_results(job, pictures)
    return job.public_id


async def _count(store: Store, user: User, find: str = "") -> int:
    async with store.database.read() as session:
        return await HistoryRepository(session).count(user.id, find)


async def _page(store: Store, user: User, number: int, size: int = 3, find: str = "") -> list[Kept]:
    async with store.database.read() as session:
        return await HistoryRepository(session).page(user.id, number, size, find)


async def test_pages_go_from_the_newest_to_the_oldest(store: Store) -> None:
    user = await store.user()
    jobs = [await _drawn(store, user) for _ in range(7)]
    pages = [[kept.job for kept in await _page(store, user, number)] for number in (1, 2, 3, 4)]
    assert pages == [jobs[6:3:-1], jobs[3:0:-1], jobs[0:1], []]
    assert await _count(store, user) == 7


async def test_the_pictures_of_a_job_stand_in_their_own_order(store: Store) -> None:
    user = await store.user()
    old, new = [await _drawn(store, user, count=4) for _ in range(2)]
    shown = [(kept.job, kept.picture.ordinal) for kept in await _page(store, user, 1, 9)]
    assert shown == [(new, n) for n in range(4)] + [(old, n) for n in range(4)]


async def test_a_job_that_two_pages_share_is_there_once(store: Store) -> None:
    user = await store.user()
    await _drawn(store, user, count=4)
    pages = [[kept.picture.ordinal for kept in await _page(store, user, number)] for number in (1, 2)]
    assert pages == [[1, 2, 3], [0]]


async def test_other_peoples_pictures_are_as_absent_as_none(store: Store) -> None:
    anna, eve = await store.user(), await store.user()
    await _drawn(store, anna)
    assert await _count(store, eve) == await _count(store, eve, "red") == 0
    assert await _page(store, eve, 1) == await _page(store, eve, 1, find="red") == []


async def test_a_picture_of_no_job_is_there_too(store: Store) -> None:
    user = await store.user()
    await _drawn(store, user, count=2)
    newest = await store.number("SELECT max(id) FROM picture")
    await store.sql("UPDATE picture SET job_id = NULL")
    assert [(kept.job, kept.picture.id) for kept in await _page(store, user, 1)] == [(None, newest), (None, newest - 1)]


@pytest.mark.parametrize(
    ("find", "found"),
    [
        ("circle", 2),
        ("CIRCLE red", 1),
        ("red circle", 1),
        ("red square", 0),
        ("cir", 2),
        ("ЗЕЛЕНЫЙ", 1),
        ("зелёный круг", 1),
        ("100%", 1),
        ("%", 1),
        ("_", 0),
        ("  ", 4),
    ],
)
async def test_all_words_must_be_in_the_prompt_in_any_case_and_order(store: Store, find: str, found: int) -> None:
    user = await store.user()
    for prompt in ("a Circle that is Red", "a blue circle, 100% blue", "Зелёный круг", "a star"):
        await _drawn(store, user, prompt)
    assert await _count(store, user, find) == found
    assert len(await _page(store, user, 1, 9, find)) == found


@pytest.mark.parametrize(("text", "form"), [("ЁЛКА", "елка"), ("Straße", "strasse"), ("A Red\nStar", "a red\nstar")])
def test_words_are_compared_in_one_form(text: str, form: str) -> None:
    assert searchable(text) == form


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # whose planner says it in words
async def test_a_page_needs_the_index_alone_however_many_pictures_there_are(store: Store) -> None:
    for query in (
        "SELECT count(*) FROM picture WHERE user_id = 1",
        "SELECT id FROM picture WHERE user_id = 1 ORDER BY id DESC LIMIT 9 OFFSET 90000",
    ):
        plan = " ".join(str(row[-1]) for row in await store.sql(f"EXPLAIN QUERY PLAN {query}"))
        assert "USING COVERING INDEX ix_picture_user_id_" in plan
        assert "TEMP B-TREE" not in plan


async def test_thumbnails_are_kept_for_ones_own_pictures_alone(store: Store) -> None:
    anna, eve = await store.user(), await store.user()
    await _drawn(store, anna)
    (kept,) = await _page(store, anna, 1)
    assert kept.thumbnail_id is None
    for user, expected in ((eve, None), (anna, "small.jpg")):
        async with store.database.begin() as session:
            await PictureRepository(session).remember_thumbnails(user.id, {kept.picture.id: "small.jpg"})
        (again,) = await _page(store, anna, 1)
        assert again.thumbnail_id == expected
