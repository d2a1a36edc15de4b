"""Pictures that people send: kept, offered, and turned into requests. Nobody draws here; what is asked for is what counts."""

import io
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from PIL import Image, ImageDraw

from bot.marking import EditorDesk, Marks
from sandbox.pencil import Stroke, circle
from sandbox.person import Person
from sandbox.shown import Shown
from storage.errors import NotFound
from storage.repositories.erasures import ErasureRepository
from storage.wording import Then
from tests.bot.house import House
from tests.storage.made import BOT


def picture(size: tuple[int, int] = (320, 200), colour: str = "teal", form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form)
    return buffer.getvalue()


async def does(house: House, act: Awaitable[Any]) -> Shown:
    """Something that Anna does, and what the bot says to it."""
    before = len(house.box.world.updates.sent)
    await act
    await house.gets(*map(dict, house.box.world.updates.sent[before:]))
    return house.said()[-1]


async def wishes(house: House) -> list[dict[str, Any]]:
    """What was asked to be drawn so far, each with the size of the picture that it starts from."""
    rows = await house.store.sql(
        'SELECT job.params, job."then", picture.width, picture.height'
        " FROM job LEFT JOIN picture ON picture.id = job.parent_picture_id ORDER BY job.id"
    )
    drawn = [(then.request if (then := Then.from_json(after)) else params, size) for params, after, *size in rows]
    return [json.loads(request) | {"from": tuple(size)} for request, size in drawn]


def presses(house: House, label: str) -> Awaitable[Any]:
    return house.anna.presses(label)


async def test_a_photo_alone_is_kept_and_offered_everything(full_house: House) -> None:
    offer = await does(full_house, full_house.anna.sends_photo(picture()))
    assert "320×200" in offer.text
    labels = [label.split(" ", 1)[1] for label in offer.labels]
    assert labels == ["Variation", "Freer", "Repaint", "Extend", "Outline", "Mix", "×2", "×4", "Try a part"]
    assert await full_house.jobs() == 0


@pytest.mark.parametrize(
    ("label", "kind", "values"),
    [
        ("Variation", "variation", {"ip_adapter_scale": 1.0}),
        ("Freer", "variation", {"ip_adapter_scale": 0.5}),
        ("×2", "upscale", {"scale": 2}),
        ("×4", "upscale", {"scale": 4}),
    ],
)
async def test_one_tap_is_one_wish(full_house: House, label: str, kind: str, values: dict[str, Any]) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    await does(full_house, presses(full_house, label))
    await does(full_house, presses(full_house, label))
    (wish,) = await wishes(full_house)
    assert wish["kind"] == kind
    assert wish.items() >= values.items()
    assert wish["from"] == (320, 200)
    assert wish["image"]


@pytest.mark.parametrize(
    ("label", "values"),
    [("Up", {"top": 100, "left": 0}), ("Right", {"right": 160, "top": 0}), ("2× around", {"zoom": 2.0, "left": 0})],
)
async def test_extending_asks_where(full_house: House, label: str, values: dict[str, Any]) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    assert "which side" in (await does(full_house, presses(full_house, "Extend"))).text
    await does(full_house, presses(full_house, label))
    (wish,) = await wishes(full_house)
    assert wish["kind"] == "outpaint"
    assert wish.items() >= values.items()


@pytest.mark.parametrize(
    ("size", "label", "says"),
    [((1400, 1300), "×4", "5600×5200, and 27 megapixels"), ((2100, 600), "×4", "8400×2400, and a side may have 8192")],
)
async def test_what_would_be_too_large_is_refused_before_it_is_drawn(
    full_house: House, size: tuple[int, int], label: str, says: str
) -> None:
    await does(full_house, full_house.anna.sends_document("a.png", picture(size, form="PNG"), "image/png"))
    assert says in (await does(full_house, presses(full_house, label))).text
    assert await full_house.jobs() == 0


def marked(size: tuple[int, int], box: tuple[int, int, int, int]) -> bytes:
    """A black file with a white box."""
    canvas = Image.new("L", size)
    canvas.paste(255, box)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_mask_is_looked_at_changed_and_used(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    assert "pencil" in (await does(full_house, presses(full_house, "Repaint"))).text
    mask = marked((320, 200), (40, 40, 120, 140))
    preview = await does(full_house, full_house.anna.sends_document("mask.png", mask, "image/png"))
    assert "12 % of the picture" in preview.text
    grown = await does(full_house, presses(full_house, "Grow"))
    assert (grown.id, grown.text) != (preview.id, preview.text)
    assert "What should be here" in (await does(full_house, presses(full_house, "Use it"))).text
    await does(full_house, full_house.anna.says("a lighthouse"))
    (wish,) = await wishes(full_house)
    assert (wish["kind"], wish["prompt"], wish["from"]) == ("inpaint", "a lighthouse", (320, 200))
    drawn = Image.open(io.BytesIO(full_house.post.media.get(wish["mask_image"])))
    async with full_house.application._db.read() as session:
        named = await ErasureRepository(session)._files_of(full_house.post.user.id)
    stored = {path.rsplit("/", 1)[-1] for path in full_house.post.media._fs.find(full_house.post.media._root)}
    assert stored == named  # who leaves takes the mask as it was before, too
    left, top, right, bottom = drawn.getbbox() or (0, 0, 0, 0)
    assert 25 <= left < 40
    assert 120 < right <= 135
    assert (top < 40, bottom > 140) == (True, True)


async def test_a_pencil_on_white_paper_is_no_mask_file(full_house: House) -> None:
    canvas = Image.new("RGB", (320, 320), "white")
    ImageDraw.Draw(canvas).ellipse((20, 110, 120, 210), fill="red")
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    photo = await full_house.anna.sends_photo(buffer.getvalue())
    await full_house.gets(full_house.last())
    await does(full_house, presses(full_house, "Repaint"))
    drawn = Stroke(circle(0.75, 0.5, 0.18), "#34c759")
    preview = await does(full_house, full_house.anna.draws_on(photo.id, drawn))
    share = int(re.findall(r"(\d+) % of the picture", preview.text)[0])
    assert 9 <= share <= 13


async def test_a_mask_is_remembered_for_another_try(full_house: House) -> None:
    offer = await does(full_house, full_house.anna.sends_photo(picture()))
    await does(full_house, presses(full_house, "Repaint"))
    mask = marked((320, 200), (40, 40, 120, 140))
    await does(full_house, full_house.anna.sends_document("mask.png", mask, "image/png"))
    await does(full_house, full_house.anna.presses("Repaint", offer.id))
    assert "12 % of the picture" in (await does(full_house, presses(full_house, "The last mask"))).text


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (marked((320, 200), (0, 0, 0, 0)), "Nothing is marked"),
        (marked((320, 200), (0, 0, 320, 200)), "100 %"),
        (marked((200, 320), (40, 40, 120, 140)), "200x320"),
        (picture((320, 200), "navy"), "not look like that picture"),
    ],
    ids=["empty", "everything", "another shape", "another picture"],
)
async def test_what_is_no_mask_gets_its_reason_and_the_question_stays(full_house: House, mask: bytes, says: str) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    await does(full_house, presses(full_house, "Repaint"))
    assert says in (await does(full_house, full_house.anna.sends_document("mask.png", mask, "image/png"))).text
    again = marked((320, 200), (40, 40, 120, 140))
    assert "12 %" in (await does(full_house, full_house.anna.sends_document("mask.png", again, "image/png"))).text


async def test_an_outline_asks_for_words(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    assert "outlines" in (await does(full_house, presses(full_house, "Outline"))).text
    await does(full_house, full_house.anna.says("a lighthouse"))
    await does(full_house, full_house.anna.says("a barn"))  # the question is answered: these are words like any other
    outlined, plain = await wishes(full_house)
    assert (outlined["kind"], outlined["prompt"], outlined["from"]) == ("keep-outline", "a lighthouse", (320, 200))
    assert (plain["kind"], plain["prompt"]) == ("text-to-image", "a barn")


async def test_a_question_can_be_left(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    await does(full_house, presses(full_house, "Mix"))
    assert "leave it" in (await does(full_house, full_house.anna.says("/cancel"))).text
    assert "What shall I make" in (await does(full_house, full_house.anna.sends_photo(picture((64, 64))))).text


async def test_words_under_a_photo_are_drawn_with_it_and_can_be_understood_otherwise(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture(), caption="a lighthouse"))
    (wish,) = await wishes(full_house)
    assert (wish["kind"], wish["prompt"], len(wish["images"]), wish["from"]) == ("mix", "a lighthouse", 1, (320, 200))


async def test_words_in_reply_to_a_picture_are_about_it(full_house: House) -> None:
    photo = await full_house.anna.sends_photo(picture())
    await full_house.gets(full_house.last())
    await does(full_house, full_house.anna.says("a lighthouse", reply_to=photo.id))
    await does(full_house, full_house.anna.says("a barn", reply_to=full_house.said()[0].id))  # which offers what to do with it
    await does(full_house, full_house.anna.says("a boat", reply_to=full_house.said()[1].id))  # which only says that it waits
    *about, plain = await wishes(full_house)
    assert [(wish["kind"], wish["from"]) for wish in about] == [("mix", (320, 200))] * 2
    assert plain["kind"] == "text-to-image"


async def test_a_second_picture_is_mixed_with_the_first(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    assert "second" in (await does(full_house, presses(full_house, "Mix"))).text
    offer = await does(full_house, full_house.anna.sends_photo(picture((100, 100), "red")))
    assert offer.labels == ["20/80", "35/65", "50/50", "65/35", "80/20", "1", "2"]
    await does(full_house, presses(full_house, "80/20"))
    (wish,) = await wishes(full_house)
    assert (wish["kind"], wish["weights"], len(set(wish["images"])), wish["from"]) == ("mix", [0.8, 0.2], 2, (320, 200))


@pytest.mark.parametrize(
    ("count", "says", "mixed"), [(2, "How much of the first", 2), (3, "equal parts", 3), (6, "the first 4 count", 4)]
)
async def test_an_album_gets_one_answer(full_house: House, count: int, says: str, mixed: int) -> None:
    sizes = [(100 + number, 100) for number in range(count)]
    offer = await does(full_house, full_house.anna.sends_album(*map(picture, sizes), caption="a lighthouse"))
    assert len(full_house.said()) == 1
    assert says in offer.text
    await does(full_house, presses(full_house, "50/50" if count == 2 else "Mix them all"))
    (wish,) = await wishes(full_house)
    assert (wish["kind"], wish["prompt"], len(wish["images"])) == ("mix", "a lighthouse", mixed)
    assert "101×100" in (await does(full_house, full_house.anna.presses("2", offer.id))).text


SENT: dict[str, Callable[[Person], Awaitable[Any]]] = {
    "a PNG as a file": lambda anna: anna.sends_document("a.png", picture(form="PNG"), "image/png"),
    "a sticker": lambda anna: anna.sends_sticker(picture(form="WEBP")),
    "M31 a JPEG that says it is a PNG": lambda anna: anna.sends_document("a.png", picture(), "image/png"),
    "a file whose type nobody told": lambda anna: anna.sends_document("A.JPG", picture()),
    "M30 a name that leads elsewhere": lambda anna: anna.sends_document("../../\u202egnp.exe", picture(), "image/jpeg"),
    "forwarded": lambda anna: anna.forwards(picture()),
}


@pytest.mark.parametrize("name", SENT)
async def test_every_way_to_send_a_picture_is_one(full_house: House, name: str) -> None:
    assert "320×200" in (await does(full_house, SENT[name](full_house.anna))).text


BAD: dict[str, tuple[bytes, str]] = {
    "no picture": (b"%PDF-1.7 nothing to see", "no picture that I can read"),
    "half a picture": (picture((800, 800), form="PNG")[:1200], "damaged"),
    "too small": (picture((8, 300), form="PNG"), "8×300 pixels; its shorter side must have 16"),
    "too narrow": (picture((4000, 20), form="PNG"), "at most"),
    "empty": (b"", "empty"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_file_that_is_not_taken_gets_its_reason(full_house: House, name: str) -> None:
    data, says = BAD[name]
    assert says in (await does(full_house, full_house.anna.sends_document("a.png", data, "image/png"))).text
    assert await full_house.store.number("SELECT count(*) FROM picture") == 0
    assert await full_house.inbox() == [("done", 0, None)]


async def test_m33_an_album_with_one_bad_file_is_an_album_of_the_others(full_house: House) -> None:
    files = [("a.png", picture((100 + n, 100), form="PNG"), "image/png") for n in range(3)]
    files[1] = ("b.png", b"%PDF-1.7", "image/png")
    before = len(full_house.box.world.updates.sent)
    await full_house.anna.sends_documents(*files)
    await full_house.gets(*map(dict, full_house.box.world.updates.sent[before:]))
    refused, offer = sorted(full_house.said(), key=lambda message: "2 pictures" in message.text)
    assert "no picture that I can read" in refused.text
    assert "2 pictures" in offer.text


@pytest.mark.parametrize("kind", ["video_note", "animation"])
async def test_m32_what_moves_is_no_picture(full_house: House, kind: str) -> None:
    file = {"file_id": "x", "file_unique_id": "y", "length": 10, "width": 10, "height": 10, "duration": 1}
    document = {"document": {"file_id": "x", "file_unique_id": "y", "mime_type": "image/gif"}} if kind == "animation" else {}
    message = {key: value for key, value in full_house.last()["message"].items() if key != "text"}
    await full_house.gets({"message": message | {kind: file, "message_id": 50} | document})
    assert "cannot work with video" in full_house.said()[-1].text


async def test_a_message_brings_its_picture_once(full_house: House) -> None:
    await full_house.anna.sends_photo(picture())
    update = full_house.last()
    await full_house.gets(update, update)
    assert await full_house.store.number("SELECT count(*) FROM picture") == 1


async def test_somebody_elses_picture_is_as_absent_as_none(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    (public_id,) = (await full_house.store.sql("SELECT public_id FROM picture"))[0]
    boris = full_house.box.person("Boris", "en", patience=10)
    await does(full_house, boris.says("/start"))
    for action in ("vary", "up4", "extend", "outline", "mix", "offer", "left"):
        said = len(full_house.said()), len(boris.chat)
        await boris.presses_data(f"v1p:{action}:{public_id}", boris.chat[-1].id)
        await full_house.gets(full_house.last())
        assert (full_house.answer() or {}).get("show_alert"), action
        assert (len(full_house.said()), len(boris.chat)) == said
    assert await full_house.jobs() == 0


async def test_a_mask_from_the_editor_is_shown_once_and_nobody_elses_picture_is_there(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    public_id = (await full_house.store.sql("SELECT public_id FROM picture"))[0][0]
    database = full_house.application._db
    desk = EditorDesk(database, BOT, Marks(database, full_house.post.media), full_house.application._dialogs, lambda: None)
    boris = full_house.box.person("Boris", "en", patience=10)
    assert await desk.find(boris.id, public_id) is None
    with pytest.raises(NotFound):
        await desk.take(boris.id, public_id, marked((320, 200), (40, 40, 120, 140)), "b")
    found = await desk.find(full_house.anna.id, public_id)
    assert found
    assert (found.width, found.height, found.mask_id, found.language) == (320, 200, None, "en")
    for _ in range(2):
        await desk.take(full_house.anna.id, public_id, marked((320, 200), (40, 40, 120, 140)), "a")
        await full_house.post.turns(2)
    assert [message.text for message in full_house.said() if "12 % of the picture" in message.text]
    assert len(full_house.said()) == 2
    known = await desk.find(full_house.anna.id, public_id)
    assert known
    assert known.mask_id
