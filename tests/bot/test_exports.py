"""All that is one's own, packed: every picture once, in files that Telegram takes, however often one must be sent."""

import io
import json
import zipfile
from typing import Any

from sandbox.shown import Shown
from storage.domain import Remark, Wording
from tests.bot.post import Post


async def ask(post: Post, wish: str = "export:1") -> bool:
    inbox_id = await post.store.update(hash(wish) % 2**31, post.person.id)
    return await post.deliverer.exports.ask(post.user, post.person.id, inbox_id, wish)


def parts(post: Post) -> list[Shown]:
    return [message for message in post.said if message.has_document]


def unpacked(message: Shown) -> dict[str, Any]:
    """The files of an archive by name, JSON as values."""
    with zipfile.ZipFile(io.BytesIO(message.document)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    return {name: json.loads(data) if name.endswith(".json") else data for name, data in files.items()}


def pictures(files: dict[str, Any]) -> list[str]:
    return sorted(name for name in files if name.startswith("pictures/"))


async def test_what_is_too_much_for_one_file_comes_in_several(post: Post) -> None:
    for _ in range(3):
        await post.delivered(4)
    await post.store.job(post.user)  # brought nothing yet
    size = max(len(post.media.get(media_id)) for (media_id,) in await post.store.sql("SELECT media_id FROM picture"))
    post.deliverer.exports._part = 5 * size
    await ask(post)
    await post.turns(5)
    assert [message.document_name for message in parts(post)] == [f"kandinsky-export-{number}.zip" for number in (1, 2, 3)]
    assert ["The next part follows." in message.text for message in parts(post)] == [True, True, False]
    assert "Part 3: 2 pictures.\nThat is everything." in parts(post)[-1].text
    files = [unpacked(message) for message in parts(post)]
    assert [len(pictures(each)) for each in files] == [5, 5, 2]
    mine = {str(public_id) for (public_id,) in await post.store.sql("SELECT public_id FROM picture")}
    assert {picture["id"] for each in files for picture in each["lineage.json"]} == mine
    assert [len(each["recipes.json"]) for each in files] == [3, 2, 1]  # a job's recipe comes with each of its pictures
    assert ["person.json" in each for each in files] == [True, False, False]
    for each in files:
        assert pictures(each) == sorted(picture["file"] for picture in each["lineage.json"])
        assert {picture["recipe"] for picture in each["lineage.json"]} <= {recipe["id"] for recipe in each["recipes.json"]}


async def test_a_persons_own_words_are_in_it_beside_those_that_were_drawn(post: Post) -> None:
    await post.drawn(1, wording=Wording("круг <i>", "a circle", "a red circle"), remarks=(Remark("changed.beautify-late"),))
    await post.turns(2)
    assert "круг <i>" in post.said[0].text
    assert "💬 Understood as: a circle\n🪄 With more: a red circle\n☝️ Adding to your words" in post.said[0].text
    await ask(post)
    await post.turns(2)
    (recipe,) = unpacked(parts(post)[0])["recipes.json"]
    assert recipe["wording"] == {"said": "круг <i>", "understood": "a circle", "beautified": "a red circle"}


async def test_nothing_of_anybody_elses_is_in_it(post: Post) -> None:
    await post.delivered(2)
    boris = await post.store.user(77)
    await post.store.sql("UPDATE picture SET user_id = :id WHERE ordinal = 1", id=boris.id)
    await post.store.sql("UPDATE picture SET parent_id = (SELECT min(id) FROM picture WHERE ordinal = 1) WHERE ordinal = 0")
    await ask(post)
    await post.turns(2)
    (lineage,) = unpacked(parts(post)[0])["lineage.json"]
    assert (lineage["number"], lineage["made_from"]) == (1, None)


async def test_a_part_whose_answer_is_lost_comes_once_more_and_says_so(post: Post) -> None:
    await post.delivered(2)
    post.deliverer.exports._part = 1 + max(
        len(post.media.get(m)) for (m,) in await post.store.sql("SELECT media_id FROM picture")
    )
    post.box.faults.drop_after_applying("sendDocument")
    await ask(post)
    await post.turns(5)
    first, again, second = parts(post)
    assert unpacked(first) == unpacked(again)
    assert "(sent again" in again.text
    assert "Part 2" in second.text
    assert "(sent again" not in first.text + second.text


async def test_a_killed_deliverers_part_is_sent_by_the_next(post: Post) -> None:
    await post.delivered(1)
    await ask(post)
    await post.turn()  # the word that it comes
    await post.store.sql("UPDATE notice SET state = 'sending' WHERE key = 'export'")
    await post.hand_over()
    await post.turns(3)
    assert len(parts(post)) == 1


async def test_asking_again_waits_for_the_first(post: Post) -> None:
    await post.delivered(1)
    assert await ask(post, "export:1")
    assert not await ask(post, "export:2")
    await post.turns(4)
    assert len(parts(post)) == 1
    assert any("on its way already" in message.text for message in post.said)
    assert await ask(post, "export:3")


async def test_what_has_no_file_or_is_too_large_is_named(post: Post) -> None:
    job = await post.delivered(3)
    [(lost,), *_] = await post.store.sql("SELECT media_id FROM picture ORDER BY id")
    post.media.remove(str(lost))
    await ask(post)
    await post.turns(2)
    (sent,) = parts(post)
    assert "Part 1: 2 pictures.\n1 picture is not in it" in sent.text
    lineage = unpacked(sent)["lineage.json"]
    assert [picture["file"] is None for picture in lineage] == [True, False, False]
    assert {picture["recipe"] for picture in lineage} == {job.public_id}
    post.deliverer.exports._part = 10
    await ask(post, "export:2")
    await post.turns(2)
    assert pictures(unpacked(parts(post)[1])) == []


async def test_a_part_that_telegram_refuses_is_told(post: Post) -> None:
    await post.delivered(1)
    post.box.faults.refuse("sendDocument", description="Bad Request: file is too big")
    await ask(post)
    await post.turns(4)
    assert parts(post) == []
    assert "Part 1 could not be sent" in post.said[-1].text


async def test_somebody_without_pictures_gets_what_there_is(post: Post) -> None:
    await ask(post)
    await post.turns(2)
    files = unpacked(parts(post)[0])
    assert (files["lineage.json"], files["recipes.json"]) == ([], [])
    assert files["person.json"]["telegram_id"] == post.person.id
    assert b"lineage.json" in files["README.txt"]
