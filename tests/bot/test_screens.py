"""Messages drawn from what SQL says at the moment they are sent."""

import io
from typing import Any

import pytest
from PIL import Image

from bot.screens import SCREENS
from sandbox.shown import Shown
from storage.domain import JobState
from storage.repositories.users import UserRepository
from tests.bot.post import Post
from tests.storage.made import Store


async def _shows(post: Post, key: str, message: Shown | None = None, **params: Any) -> Shown:
    """Owe a screen, in a new message or in the place of one, and return it as sent."""
    number = await post.store.number("SELECT count(*) FROM notice")
    edit = message.id if message else None
    await post.owe(key=key, params=params, dedupe_key=f"screen:{number}", edit_message_id=edit)
    await post.turn()
    return post.person.message(edit) if edit else post.said[-1]


async def _chooses(post: Post, **changes: Any) -> None:
    async with post.store.database.begin() as session:
        await UserRepository(session).change_settings(post.user.id, changes)


async def test_a_page_shows_the_newest_nine(post: Post) -> None:
    for _ in range(3):
        await post.delivered()
    page = await _shows(post, "history.page", page=1, find="")
    assert page.photo_size == (1016, 1016)
    assert "12 pictures · page 1 of 2" in page.text
    assert page.labels == [*"123456789", "🔎 Find", "⭐ Favourites", "»"]
    picture = Image.open(io.BytesIO(page.photo))
    assert picture.getpixel((174, 174)) == pytest.approx((255, 0, 0), abs=8)  # the first of the newest four
    assert picture.getpixel((508, 174)) == pytest.approx((0, 255, 0), abs=8)


async def test_the_last_page_takes_the_place_of_the_first_and_of_any_beyond_it(post: Post) -> None:
    for _ in range(3):
        await post.delivered()
    page = await _shows(post, "history.page", page=1, find="")
    for number in (2, 99):
        page = await _shows(post, "history.page", page, page=number, find="")
        assert "page 2 of 2" in page.text
        assert page.labels == ["1", "2", "3", "«", "🔎 Find", "⭐ Favourites"]
        assert page.photo_size == (1016, 348)


async def test_small_copies_are_made_once(post: Post) -> None:
    await post.delivered()
    await _shows(post, "history.page", page=1, find="")
    made = await post.store.sql("SELECT thumbnail_id FROM picture ORDER BY id")
    assert len({thumbnail for (thumbnail,) in made}) == 4
    for (media_id,) in await post.store.sql("SELECT media_id FROM picture"):
        post.media._fs.rm(post.media._path(media_id))
    again = await _shows(post, "history.page", page=1, find="")
    assert Image.open(io.BytesIO(again.photo)).getpixel((174, 174)) == pytest.approx((255, 0, 0), abs=8)


async def test_a_picture_whose_file_is_lost_leaves_an_empty_place(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    await post.delivered()
    (media_id,) = (await post.store.sql("SELECT media_id FROM picture ORDER BY id"))[0]
    post.media._fs.rm(post.media._path(media_id))
    page = await _shows(post, "history.page", page=1, find="")
    picture = Image.open(io.BytesIO(page.photo))
    assert picture.getpixel((174, 174)) == pytest.approx((58, 61, 68), abs=8)
    assert picture.getpixel((758, 174)) == pytest.approx((0, 255, 0), abs=8)
    assert "is not to be had" in caplog.text


async def test_a_search_says_what_it_found_and_leads_back_to_all(post: Post) -> None:
    await post.delivered(1)
    page = await _shows(post, "history.page", page=1, find="RED <circle")
    assert not page.has_photo, "nothing is found, and nothing is shown"
    page = await _shows(post, "history.page", page=1, find="RED circle")
    assert "RED circle\n1 picture found" in page.text
    assert page.labels == ["1", "🔎 Find", "⭐ Favourites", "▦ All pictures"]


async def test_a_picture_that_was_drawn_but_not_delivered_is_in_the_history(post: Post) -> None:
    job = await post.drawn(1)
    await post.store.sql("UPDATE delivery SET state = 'failed'")
    await post.store.finish(job, JobState.FAILED)
    page = await _shows(post, "history.page", page=1, find="")
    assert "1 picture ·" in page.text


async def test_a_card_is_a_result_with_its_date_and_a_way_back(post: Post) -> None:
    job = await post.delivered()
    await post.store.sql("UPDATE picture SET created_at = 1763683200")  # the 21st of November 2025
    page = await _shows(post, "history.page", page=1, find="")
    result = post.said[0]
    for index in (3, 0):
        params = {"index": index, "back": "notice-of-page-1"}
        await post.owe(key="view", params=params, job_id=job.id, edit_message_id=page.id, dedupe_key=f"view:{index}")
        await post.turn()
        card = post.person.message(page.id)
        assert "📅 21 November 2025" in card.text
        assert card.labels[-1] == "« History"
        assert {"🔁 Again", "🌱 Same picture", "⬇️ As a file", "✨ With care"} <= set(card.labels)
        assert card.photo_size == ((512, 512) if index else result.photo_size)


async def test_the_menu_offers_what_the_family_has_to_offer(post: Post) -> None:
    nano = await _shows(post, "settings.menu", family="kandinsky-nano")
    assert "128×128, the only one" in nano.text
    assert not nano.button("Size")
    assert nano.button("✓ Always")
    assert not (await _shows(post, "settings.menu", family="kandinsky-3.1-small")).button("✓ Always")
    large = await _shows(post, "settings.menu", family="kandinsky-3.1")
    assert "1024×1024" in large.text
    assert large.button("Size")
    sizes = await _shows(post, "settings.sizes", large, family="kandinsky-3.1")
    assert len(sizes.labels) == 26
    assert "✓ 1024×1024" in sizes.labels


async def test_the_menu_ticks_what_holds(post: Post) -> None:
    menu = await _shows(post, "settings.menu", family="kandinsky-3.1")
    assert [label for label in menu.labels if "✓" in label] == ["✓ Auto", "✓ 4", "✓ Photo", "✓ Always"]
    await _chooses(post, language="en", pictures=2, delivery="file", size="768x1024", beautify="never")
    menu = await _shows(post, "settings.menu", menu, family="kandinsky-3.1")
    assert [label for label in menu.labels if "✓" in label] == ["✓ English", "✓ 2", "✓ File", "✓ Never"]
    assert "2 pictures" in menu.text
    assert "768×1024" in menu.text


async def test_choices_that_are_no_longer_served_are_the_familys_own_again(post: Post) -> None:
    await _chooses(post, language="de", pictures=16, size="64x64")
    menu = await _shows(post, "settings.menu", family="kandinsky-3.1")
    assert [label for label in menu.labels if "✓" in label] == ["✓ Auto", "✓ 4", "✓ Photo", "✓ Always"]
    assert "1024×1024" in menu.text


async def test_the_queue_lists_jobs_with_a_button_each(post: Post) -> None:
    await post.store.job(post.user)
    queue = await _shows(post, "queue.menu")
    assert "1. a red circle" in queue.text
    assert "Nobody else is waiting" in queue.text
    assert queue.labels == ["✖️ 1. a red circle on a blue back…", "🔄 Refresh"]
    await post.store.job(post.user)
    queue = await _shows(post, "queue.menu", queue)
    assert queue.labels[-1] == "✖️ Cancel all"


async def test_the_queue_names_turns_and_nobody(post: Post) -> None:
    other: Store = post.store
    for _ in range(2):
        await other.job(await other.user())
    await post.store.job(post.user)
    assert "you are 3rd of 3 people" in (await _shows(post, "queue.menu")).text


async def test_a_long_queue_is_cut_short(post: Post) -> None:
    for _ in range(13):
        await post.store.job(post.user)
    queue = await _shows(post, "queue.menu")
    assert "And 3 more." in queue.text
    assert len(queue.labels) == 12


async def test_an_empty_queue_says_so(post: Post) -> None:
    assert "Nothing of yours is waiting" in (await _shows(post, "queue.menu")).text


async def test_a_refusal_shows_what_can_be_stopped(post: Post) -> None:
    await post.store.job(post.user)
    refused = await _shows(post, "refused.queue-full", limit=1, value=1)
    assert "already have 1 drawing on its way, out of 1. Wait for one, or stop one here:" in refused.text
    assert refused.labels[0].startswith("✖️ 1.")


async def test_a_refusal_that_comes_late_says_that_there_is_room_again(post: Post) -> None:
    refused = await _shows(post, "refused.queue-full", limit=3, value=3)
    assert "room again" in refused.text
    assert refused.labels == []


async def test_a_screen_whose_message_was_deleted_comes_anew(post: Post) -> None:
    menu = await _shows(post, "settings.menu", family="kandinsky-nano")
    await post.person.deletes(menu.id)
    await post.owe(key="settings.menu", params={"family": "kandinsky-nano"}, dedupe_key="again", edit_message_id=menu.id)
    await post.turns(2)
    assert [message.id > menu.id for message in post.said] == [True]


async def test_a_screen_speaks_the_language_that_was_chosen(post: Post) -> None:
    await _chooses(post, language="ru")
    assert "Настройки" in (await _shows(post, "settings.menu", family="kandinsky-nano")).text


@pytest.mark.parametrize("key", sorted(SCREENS))
async def test_every_screen_is_drawn_for_a_person_without_anything(post: Post, key: str) -> None:
    shown = await _shows(post, key, page=1, family="kandinsky-nano", limit=1, value=1, grace_s=60, receipt="none")
    assert shown.text
