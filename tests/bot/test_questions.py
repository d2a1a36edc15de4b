"""Questions and what answers them: once, whole, and never forgotten half-way."""

import io
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from bot.marking import EditorDesk, Marks
from handlers.worded import About
from storage.wording import Wording
from tests.bot.house import House
from tests.bot.test_photos import does, marked, picture, presses, wishes
from tests.storage.made import BOT

MASK = marked((320, 200), (40, 40, 120, 140))


async def questions(house: House) -> list[str]:
    return [str(key) for (key,) in await house.store.sql("SELECT key FROM notice WHERE key LIKE 'inpaint.%' ORDER BY id")]


async def masked(house: House) -> Any:
    """A photo of Anna's with a mask; its preview."""
    await does(house, house.anna.sends_photo(picture()))
    await does(house, presses(house, "Repaint"))
    return await does(house, house.anna.sends_document("mask.png", MASK, "image/png"))


async def test_two_taps_ask_once(full_house: House) -> None:
    offer = await does(full_house, full_house.anna.sends_photo(picture()))
    told = []
    for label in ("Repaint", "Repaint", "Extend", "Extend"):
        await does(full_house, full_house.anna.presses(label, offer.id))
        told.append((full_house.answer() or {})["text"])
    assert told == ["", "See the message below."] * 2
    assert await questions(full_house) == ["inpaint.how"]
    assert len(full_house.said()) == 3
    await does(full_house, full_house.anna.presses("Outline", offer.id))
    await does(full_house, full_house.anna.presses("Repaint", offer.id))  # the open question was another one
    assert await questions(full_house) == ["inpaint.how"] * 2


async def test_a_button_of_a_preview_acts_on_the_mask_that_it_shows_however_often(full_house: House) -> None:
    preview = await masked(full_house)
    old = next(data for data in _data(preview) if ":grow:" in data)
    grown = await does(full_house, presses(full_house, "Grow"))
    again = await does(full_house, full_house.anna.presses_data(old, preview.id))
    assert again.text == grown.text
    twice = await does(full_house, presses(full_house, "Grow"))
    assert twice.text != grown.text
    use = next(data for data in _data(preview) if ":use:" in data)
    await does(full_house, full_house.anna.presses_data(use, preview.id))
    await does(full_house, full_house.anna.says("a lighthouse"))
    (wish,) = await wishes(full_house)
    first = await full_house.store.sql("SELECT params FROM notice WHERE key = 'mask.preview' ORDER BY id LIMIT 1")
    assert wish["mask_image"] in str(first[0][0])


def _data(message: Any) -> list[str]:
    rows = message.raw["reply_markup"]["inline_keyboard"]
    return [button["callback_data"] for row in rows for button in row if "callback_data" in button]


@pytest.mark.parametrize(("question", "state"), [("v1e:{job}:1", "Remix"), ("v1bw:fix:{job}:1", "Fix")])
async def test_a_slip_in_other_words_for_a_result_is_mended_for_that_result(house: House, question: str, state: str) -> None:
    job = await house.post.delivered(1)
    told = Wording("красная звезда", "a red star").to_json()
    await house.store.sql("UPDATE job SET wording = :told, seed = 7", told=told)
    await does(house, house.anna.presses_data(question.format(job=job.public_id), house.post.photos[0].id))
    slip = await does(house, house.anna.says("a blue waterfall"))
    assert "waterfall" in slip.text
    await does(house, house.anna.presses(slip.labels[0]))
    first, mended = await wishes(house)
    assert (mended["kind"], mended["seed"]) == ("text-to-image", first["seed"])
    assert mended["prompt"].startswith("a blue ")
    assert await house.store.number("SELECT count(*) FROM job WHERE wording LIKE '%красная звезда%'") == 1 + (state == "Fix")
    assert (mended["from"] != (None, None)) == (state == "Remix")
    await does(house, house.anna.says("a red heart"))  # and the question is answered
    assert (await wishes(house))[-1]["prompt"] == "a red heart"
    assert await house.store.number("SELECT count(*) FROM dialog") == 0


async def test_a_crash_after_the_answer_leaves_no_question_open(full_house: House) -> None:
    await masked(full_house)
    await does(full_house, presses(full_house, "Use it"))
    with mock.patch.object(full_house.application._dialogs, "_write", side_effect=OSError("the process is gone")):
        await full_house.anna.says("a lighthouse")
        await full_house.gets(full_house.last())
    await does(full_house, full_house.anna.says("a barn"))
    assert [wish["kind"] for wish in await wishes(full_house)] == ["inpaint", "text-to-image"]


async def test_a_refused_answer_leaves_the_question_open(full_house: House) -> None:
    await masked(full_house)
    await does(full_house, presses(full_house, "Use it"))
    assert "no words" in (await does(full_house, full_house.anna.says("\u200b"))).text
    await does(full_house, full_house.anna.says("a barn"))
    assert [wish["kind"] for wish in await wishes(full_house)] == ["inpaint"]


async def test_the_editors_mask_answers_the_question_for_one(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    await does(full_house, presses(full_house, "Repaint"))
    (public_id,) = (await full_house.store.sql("SELECT public_id FROM picture"))[0]
    database, dialogs = full_house.application._db, full_house.application._dialogs
    desk = EditorDesk(database, BOT, Marks(database, full_house.post.media), dialogs, lambda: None)
    await desk.take(full_house.anna.id, public_id, MASK, "a")
    await full_house.post.turns(2)
    await does(full_house, full_house.anna.sends_photo(picture((90, 90))))  # a photo like any other
    assert "90×90" in full_house.said()[-1].text


async def test_a_slip_in_the_answer_offers_what_the_answer_can_be(house: House) -> None:
    """Nano knows few words; what it suggests is drawn where the mask is."""
    await masked(house)
    await does(house, presses(house, "Use it"))
    refused = await does(house, house.anna.says("a blue waterfall --seed 5"))
    assert "waterfall" in refused.text
    await does(house, house.anna.presses(refused.labels[0]))
    (wish,) = await wishes(house)
    assert (wish["kind"], wish["from"], wish["seed"]) == ("inpaint", (320, 200), 5)
    await does(house, house.anna.says("a red star"))  # and the question is answered
    assert [wish["kind"] for wish in await wishes(house)] == ["inpaint", "text-to-image"]


async def test_a_parameter_that_cannot_be_read_keeps_the_picture_too(full_house: House) -> None:
    refused = await does(full_house, full_house.anna.sends_photo(picture(), caption="a lighthouse --seed soon"))
    assert "--seed" in refused.text
    assert await full_house.jobs() == 0
    assert refused.labels[-1] == "🖼 All that can be made of it"
    await does(full_house, full_house.anna.presses("Draw without it"))
    (wish,) = await wishes(full_house)
    assert (wish["kind"], wish["prompt"], wish["from"]) == ("mix", "a lighthouse", (320, 200))
    assert "320×200" in (await does(full_house, full_house.anna.presses("All that can be made of it"))).text


async def test_parameters_in_words_about_a_picture_are_understood(full_house: House) -> None:
    told = "--seed 7 --n 2 --no boats --size 99x99 --flash"
    photo = await full_house.anna.sends_photo(picture(), caption=f"a lighthouse {told}")
    await full_house.gets(full_house.last())
    await does(full_house, full_house.anna.says(f"a lighthouse {told}", reply_to=photo.id))
    await does(full_house, full_house.anna.sends_document("a.png", picture(form="PNG"), "image/png"))
    await does(full_house, presses(full_house, "Outline"))
    status = await does(full_house, full_house.anna.says(f"a lighthouse {told}"))
    for said in ("seed 7", "2 pictures", "without boats", "as large as the picture", "always draw with care"):
        assert said in status.text
    by_look, in_reply, outlined = await wishes(full_house)
    assert [wish["kind"] for wish in (by_look, in_reply, outlined)] == ["mix", "mix", "keep-outline"]
    for wish in (by_look, in_reply, outlined):
        assert (wish["prompt"], wish["seed"], wish["num_images_per_prompt"]) == ("a lighthouse", 7, 2)
        assert wish["negative_prompt"] == "boats"


async def test_parameters_under_an_album_count_for_the_mix(full_house: House) -> None:
    sizes = [(100, 100), (90, 90)]
    await does(full_house, full_house.anna.sends_album(*map(picture, sizes), caption="--seed 7"))
    await does(full_house, presses(full_house, "80/20"))
    (wish,) = await wishes(full_house)
    assert (wish["kind"], wish["prompt"], wish["seed"], wish["weights"]) == ("mix", "", 7, [0.8, 0.2])


def test_what_words_are_about_can_be_stored() -> None:
    about = About("mix", ("a", "b"), share=20)
    assert About.stored({"about": about.to_json()}) == about
    assert About.stored({}) is None


@pytest.mark.parametrize("colour", ["black", "white"])
async def test_a_mask_with_transparency_marks_what_is_painted(full_house: House, colour: str) -> None:
    canvas = Image.new("RGBA", (320, 200))
    canvas.paste(colour, (40, 40, 120, 140))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    await does(full_house, full_house.anna.sends_photo(picture()))
    await does(full_house, presses(full_house, "Repaint"))
    preview = await does(full_house, full_house.anna.sends_document("mask.png", buffer.getvalue(), "image/png"))
    assert "12 % of the picture" in preview.text
    assert "what is painted" in preview.text
