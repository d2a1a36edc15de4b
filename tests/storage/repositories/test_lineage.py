"""What came of what, of one person, however deep and broad."""

import pytest

from storage.domain import Likeness, NewPicture, NewUpload, Picture, User
from storage.errors import NotFound
from storage.repositories.lineage import Family, Kin, LineageRepository
from storage.repositories.pictures import PictureRepository
from tests.storage.made import Store


async def made(store: Store, user: User, parent: Picture | None = None, count: int = 1) -> list[Picture]:
    job = await store.job(user, count, parent_picture_id=parent.id if parent else None)
    async with store.database.begin() as session:
        pictures = PictureRepository(session)
        new = [NewPicture(number, "m.png", number, 64, 64, Likeness(b"c", b"p")) for number in range(count)]
        await pictures.add_results(job, new)
        return await pictures.of_job(job.id)


async def kin(store: Store, picture: Picture, limit: int = 4) -> Kin:
    async with store.database.read() as session:
        return await LineageRepository(session).kin(picture, limit)


async def family(store: Store, picture: Picture, limit: int = 30) -> Family:
    async with store.database.read() as session:
        return await LineageRepository(session).family(picture, limit)


def ids(found: Family) -> list[int]:
    return [kept.picture.id for kept in found.members]


async def test_the_nearest_of_a_picture(store: Store) -> None:
    anna = await store.user()
    (root,) = await made(store, anna)
    children = await made(store, anna, root, 3)
    (grandchild,) = await made(store, anna, children[1])
    assert await kin(store, root, 2) == Kin(None, False, tuple(children[:2]), 3)
    assert await kin(store, children[1]) == Kin(root, False, (grandchild,), 1)
    for each in (root, children[0], grandchild):
        found = await family(store, each)
        assert ids(found) == [root.id, *(child.id for child in children), grandchild.id]
        assert (found.count, found.orphan) == (5, False)


async def test_a_large_family_shows_the_line_of_who_was_asked_about(store: Store) -> None:
    anna = await store.user()
    (root,) = await made(store, anna)
    line = [root]
    for _ in range(4):
        line += await made(store, anna, line[-1])
    await made(store, anna, root, 4)
    found = await family(store, line[-1], 6)
    assert (len(found.members), found.count) == (2, 9)  # a third is its line; nothing else came of those
    assert ids(found) == [line[-2].id, line[-1].id]
    assert len((await family(store, root, 6)).members) == 6


async def test_what_is_somebody_elses_is_no_kin(store: Store) -> None:
    anna, boris = await store.user(), await store.user()
    (theirs,) = await made(store, boris)
    (mine,) = await made(store, anna, theirs)
    assert await kin(store, mine) == Kin(None, True, (), 0)
    assert await kin(store, theirs) == Kin(None, False, (), 0)
    assert ids(await family(store, mine)) == [mine.id]


async def test_a_child_outlives_what_it_was_made_from(store: Store) -> None:
    anna = await store.user()
    (root,) = await made(store, anna)
    (child,) = await made(store, anna, root)
    (grandchild,) = await made(store, anna, child)
    for statement in (
        "UPDATE picture SET parent_id = NULL WHERE parent_id = :gone",
        "DELETE FROM likeness WHERE picture_id = :gone",
        "DELETE FROM picture WHERE id = :gone",
    ):
        await store.sql(statement, gone=root.id)
    async with store.database.read() as session:
        child = (await PictureRepository(session).get(child.id)) or child
    assert await kin(store, child) == Kin(None, True, (grandchild,), 1)
    found = await family(store, grandchild)
    assert (ids(found), found.orphan, found.count) == ([child.id, grandchild.id], True, 2)


async def test_names_differ_for_one_person_and_find_nobody_elses(store: Store) -> None:
    anna, boris = await store.user(), await store.user()
    pictures = [each for _ in range(3) for each in await made(store, anna, count=4)]
    async with store.database.begin() as session:
        repository = PictureRepository(session)
        sent = await repository.add_upload(NewUpload(anna.id, 1, 1, "u.png", 64, 64, likeness=Likeness(b"c", b"p")))
        assert len({each.name for each in [*pictures, sent]}) == 13
        assert all(len(each.name) >= 4 for each in [*pictures, sent])
        for each in [*pictures, sent]:
            assert (await repository.named(each.name, anna.id)).id == each.id
            with pytest.raises(NotFound):
                await repository.named(each.name, boris.id)
        taken = await repository._free_names(anna.id, [pictures[0].public_id, pictures[0].public_id])
    assert [len(name) for name in taken] == [5, 6]


async def test_a_favourite_stays_one_until_it_is_taken_back(store: Store) -> None:
    (picture,) = await made(store, await store.user())
    for favourite in (True, True, False):
        async with store.database.begin() as session:
            await PictureRepository(session).set_favourite(picture, favourite)
        async with store.database.read() as session:
            found = await PictureRepository(session).get(picture.id)
        assert found
        assert found.favourite is favourite
