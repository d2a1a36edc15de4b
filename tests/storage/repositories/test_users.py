"""People, and what they may still draw."""

from storage.domain import JobState, UserSettings
from storage.repositories.jobs import JobRepository
from storage.repositories.users import UserRepository
from tests.storage.made import BOT, Store


async def test_a_person_is_stored_once_and_keeps_up_with_their_language(store: Store) -> None:
    first = await store.user(7_000_000_001, "en")
    again = await store.user(7_000_000_001, "ru")
    assert first.id == again.id
    assert again.language == "ru"


async def test_each_bot_knows_people_of_its_own(store: Store) -> None:
    assert (await store.user(1, bot_id=BOT)).id != (await store.user(1, bot_id=BOT + 1)).id


async def test_a_person_is_found_by_the_number_telegram_gives(store: Store) -> None:
    user = await store.user(5)
    async with store.database.read() as session:
        assert await UserRepository(session).find(BOT, 5) == user
        assert await UserRepository(session).find(BOT, 6) is None


async def test_languages_come_for_many_people_at_once(store: Store) -> None:
    anna, boris = await store.user(language="en"), await store.user(language="ru")
    async with store.database.read() as session:
        assert await UserRepository(session).languages([anna.id, boris.id]) == {anna.id: "en", boris.id: "ru"}
        assert await UserRepository(session).languages([]) == {}


async def test_a_chosen_language_goes_before_that_of_the_client(store: Store) -> None:
    user = await store.user(5, "en")
    async with store.database.begin() as session:
        await UserRepository(session).change_settings(user.id, {"language": "ru"})
    assert (await store.user(5, "en")).language == "ru"
    async with store.database.read() as session:
        assert await UserRepository(session).languages([user.id]) == {user.id: "ru"}
    async with store.database.begin() as session:
        await UserRepository(session).change_settings(user.id, {"language": None})
    assert (await store.user(5, "en")).language == "en"


async def test_choices_are_each_persons_own(store: Store) -> None:
    anna, boris = await store.user(), await store.user()
    async with store.database.begin() as session:
        users = UserRepository(session)
        assert await users.change_settings(anna.id, {"pictures": 2}) == UserSettings(pictures=2)
        assert await users.change_settings(anna.id, {"delivery": "both"}) == UserSettings(pictures=2, delivery="both")
    async with store.database.read() as session:
        users = UserRepository(session)
        assert await users.settings(anna.id) == UserSettings(pictures=2, delivery="both")
        assert await users.settings(boris.id) == UserSettings()


async def test_who_writes_again_has_not_blocked_the_bot(store: Store) -> None:
    user = await store.user(5)
    async with store.database.begin() as session:
        await UserRepository(session).mark_blocked(user.id)
    assert await store.number('SELECT blocked_at IS NOT NULL FROM "user"')
    await store.user(5)
    assert await store.number('SELECT blocked_at IS NULL FROM "user"')


async def _spent(store: Store, user_id: int) -> int:
    async with store.database.read() as session:
        return await UserRepository(session).spent_since(user_id, 86400)


async def test_what_is_reserved_or_kept_is_spent_and_what_is_returned_is_not(store: Store) -> None:
    user = await store.user()
    returned, kept, _ = [await store.job(user, amount=amount) for amount in (1, 2, 4)]
    await store.finish(returned, JobState.CANCELLED, refund=True)
    await store.finish(kept, JobState.CANCELLED, refund=False)
    assert await _spent(store, user.id) == 6


async def test_yesterday_does_not_count(store: Store) -> None:
    user = await store.user()
    await store.job(user)
    await store.sql("UPDATE quota_ledger SET at = at - 86401")
    await store.job(user, amount=1)
    assert await _spent(store, user.id) == 1


async def test_a_return_of_yesterdays_reservation_is_no_gift_today(store: Store) -> None:
    user = await store.user()
    job = await store.job(user, amount=4)
    await store.sql("UPDATE quota_ledger SET at = at - 86401")
    await store.finish(job, JobState.FAILED, refund=True)
    await store.job(user, amount=1)
    assert await _spent(store, user.id) == 1


async def test_nobody_pays_for_somebody_else(store: Store) -> None:
    await store.job(await store.user())
    assert await _spent(store, (await store.user()).id) == 0


async def test_pictures_that_were_withheld_are_not_spent(store: Store) -> None:
    user = await store.user()
    job = await store.job(user, 4)
    running = await store.claimed()
    async with store.database.begin() as session:
        await JobRepository(session).rendered(running, "toy", "00" * 32, ["forbidden"])
    await store.finish(await store.get(job), JobState.DELIVERED)
    assert await store.quota(job) == {"reserve": 4, "commit": 3, "refund": 1}
    async with store.database.read() as session:
        assert await UserRepository(session).spent_since(user.id, 60) == 3
