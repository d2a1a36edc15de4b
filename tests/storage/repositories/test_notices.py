"""Which message a notice became."""

from storage.post import NewNotice, SendState
from storage.repositories.outgoing import NoticeRepository
from tests.storage.made import BOT, Store


async def _sent(store: Store, dedupe_key: str, message_id: int | None, edit: int | None = None) -> None:
    """Owe a notice, and settle it as that message."""
    async with store.database.begin() as session:
        notices = NoticeRepository(session)
        await notices.add(NewNotice(BOT, 10, "toy", dedupe_key, edit_message_id=edit))
        (notice,) = await notices.due(BOT)
        await notices.mark(notice.id, SendState.SENT, message_id=message_id)


async def test_the_message_of_an_answer_is_found_also_where_it_was_changed_since(store: Store) -> None:
    async def newest() -> int | None:
        async with store.database.read() as session:
            return await NoticeRepository(session).newest_message("album:")

    await _sent(store, "other:0", 40)
    await _sent(store, "album:0", None)  # Telegram's answer never came
    assert await newest() is None
    await _sent(store, "album:1", 41)
    assert await newest() == 41
    await _sent(store, "album:2", 41, edit=41)
    assert await newest() == 41
