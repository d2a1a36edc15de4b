"""A picture that was drawn again is compared with the one that is kept; what differs is named, and why."""

import io
from typing import Any

import pytest
from PIL import Image

from engine.recipe import Recipe, encode
from engine.requests import TextToImage, to_json
from sandbox.shown import Shown
from storage.domain import Job, Remark
from tests.bot.post import Post
from tests.storage.made import FAMILY, PROMPT

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def proven(post: Post, of: Job, **changes: Any) -> tuple[Job, str]:
    """Draw a job's picture again to compare, as one that differs in `changes`; return what the chat says."""
    ((public_id, name),) = await post.store.sql("SELECT public_id, name FROM picture WHERE job_id = :id", id=of.id)
    again = await post.drawn(1, remarks=(Remark("proof.of", {"picture": public_id, "name": f"k-{name}"}),))
    for column, value in changes.items():
        table = "job" if column == "engine_revision" else "picture"
        where = "id" if table == "job" else "job_id"
        await post.store.sql(f"UPDATE {table} SET {column} = :value WHERE {where} = :id", value=value, id=again.id)  # noqa: S608
    await post.turns(2)
    return again, last(post).text.replace(f"k-{name}", "k-NAME")


def last(post: Post) -> Shown:
    return post.photos[-1]


def drawn_on(post: Post, device: str, colour: tuple[int, int, int]) -> str:
    request = TextToImage(PROMPT, seed=7, num_images_per_prompt=1)
    recipe = Recipe(to_json(request), 0, 7, FAMILY, "toy", device, "1")
    return post.media.put(encode(Image.new("RGB", (128, 128), colour), recipe), ".png")


async def test_the_same_pixels_are_identical_however_often_they_are_shown(post: Post) -> None:
    first = await post.delivered(1)
    again, said = await proven(post, first)
    assert "🧪 k-NAME: identical, to the last pixel." in said
    await post.owe(key="view", job_id=again.id, params={"index": 1}, edit_message_id=last(post).id, dedupe_key="look")
    await post.turn()
    assert "identical" in post.person.message(last(post).id).text


async def test_what_differs_is_counted_and_named(post: Post) -> None:
    first = await post.delivered(1)
    other = io.BytesIO()
    picture = Image.new("RGB", (128, 128), "red")
    picture.paste((251, 0, 0), (0, 0, 64, 64))
    picture.save(other, "PNG")
    _, said = await proven(post, first, media_id=post.media.put(other.getvalue(), ".png"), engine_revision="newer-weights")
    assert "differs in 25.0 % of the pixels, by 4 of 255 at most" in said
    assert "the weights were toy then and are newer-we now" in said
    assert "identical" not in said


async def test_another_device_is_named_and_otherwise_the_file(post: Post) -> None:
    first = await post.delivered(1)
    await post.store.sql("UPDATE picture SET media_id = :id", id=drawn_on(post, "cuda", (255, 0, 0)))
    _, said = await proven(post, first, media_id=drawn_on(post, "cpu", (254, 0, 0)))
    assert "it was drawn on cuda then and on cpu now" in said
    _, said = await proven(post, first, media_id=drawn_on(post, "cuda", (254, 0, 0)))
    assert "the kept file was changed" in said


async def test_what_is_kept_no_more_cannot_be_compared(post: Post) -> None:
    first = await post.delivered(1)
    await post.store.sql("UPDATE picture SET media_id = :id", id="00" * 32 + ".png")
    _, said = await proven(post, first)
    assert "k-NAME is not kept any more" in said
