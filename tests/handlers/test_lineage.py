"""What came of what: favourites, other words, back to the source, the tree, a picture by its name, and known again."""

import io
import re
from collections.abc import Callable

from PIL import Image, ImageChops

from sandbox.pencil import drawn_on
from sandbox.person import Person
from sandbox.shown import Shown
from tests.line import Line


def name_of(shown: Shown) -> str:
    found = re.search(r"🔖 k-([0-9A-Z]{4,12})", shown.text)
    assert found, shown.text
    return found[1]


def pixels(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


async def opened(person: Person, prompt: str, number: str = "1") -> Shown:
    await person.says(prompt)
    sheet = await person.sees_photo()
    await person.presses(number, sheet.id)
    return await person.sees_text("🔖", message_id=sheet.id)


async def test_a_star_is_set_in_place_and_found_again(line: Line, anna: Person) -> None:
    picture = await opened(anna, "a red star", "2")
    await anna.says("/history ⭐️")
    await anna.sees_text("No favourites yet")
    for _ in range(2):  # an impatient press says the same
        tap = await anna.presses_data(str((picture.button("☆ Favourite") or {})["callback_data"]), picture.id)
        assert (await tap.answered()).text == "⭐ In your favourites."
    starred = await anna.sees_button("⭐ Favourite")
    assert (starred.id, name_of(starred)) == (picture.id, name_of(picture))
    await anna.says("/history")
    page = await anna.sees_photo()
    await anna.presses("Favourites", page.id)
    favourites = await anna.sees_text("Your favourites\n1 picture ·", message_id=page.id)
    await anna.presses("1", favourites.id)
    card = await anna.sees_text("📅", message_id=page.id)
    assert name_of(card) == name_of(picture)
    await anna.presses("⭐ Favourite", card.id)
    again = await anna.sees_button("☆ Favourite")
    assert "📅" in again.text  # still the card, with its way back
    await anna.presses("History", card.id)
    await anna.sees_text("No favourites yet")


async def test_other_words_keep_the_rest_and_the_way_back(line: Line, anna: Person, new_person: Callable[..., Person]) -> None:
    first = await opened(anna, "a red star on a white background")
    seed = re.findall(r"🌱 (\d+)", first.text)[0]
    await anna.presses("Other words", first.id)
    question = await anna.sees_text("It was drawn from:\na red star on a white background")
    copy = question.button("Copy the words")
    assert copy is not None
    assert copy["copy_text"] == {"text": "a red star on a white background"}
    await anna.says("a red star on a white background")
    await anna.sees_text("would be identical")
    await anna.says("a blue star on a white background")
    changed = await anna.sees_photo()
    assert f"🌱 {seed} " in changed.text
    assert changed.photo_size == (512, 512)  # the one picture that was open, not four
    await anna.presses("Its source", changed.id)
    card = await anna.sees_text("📅")
    assert name_of(card) == name_of(first)
    assert {"Again", "Repaint", "Other words"} <= {label.partition(" ")[2] for label in card.labels}
    assert f"🌿 k-{name_of(changed)}" in card.labels

    await anna.presses(f"k-{name_of(changed)}", card.id)
    child = await anna.sees_text(f"🌿 From k-{name_of(first)}: ✏️ other words", message_id=card.id)
    await anna.presses("Draw it again and compare", child.id)
    proven = await anna.sees_photo()
    assert f"k-{name_of(changed)}: identical, to the last pixel." in proven.text
    assert ImageChops.difference(pixels(proven.photo), pixels(changed.photo)).getbbox() is None

    await anna.says(f"/tree {name_of(first)}")
    tree = await anna.sees_photo()
    assert "3 pictures" in tree.text
    eve = new_person()
    await eve.says("/start")
    await eve.sees_text("Hi")
    for shown in (anna.message(card.id), tree, question):
        presses = [str(button["callback_data"]) for row in shown.buttons for button in row if "callback_data" in button]
        for data in presses:
            if not data.startswith("v1h:"):  # everybody has a history
                answer = await (await eve.presses_data(data)).answered()
                assert (answer.show_alert, "not yours" in answer.text) == (True, True), data
    assert len(eve.chat) == 2
    assert [label.split(" k-")[0] for label in tree.labels] == ["⚪", "🟡", "🟡"]
    await anna.presses(tree.labels[0], tree.id)
    assert name_of(await anna.sees_text("📅")) == name_of(first)


async def test_a_seed_is_chosen_under_the_question_and_parameters_may_stand_alone(line: Line, boris: Person) -> None:
    first = await opened(boris, "красная звезда")
    await boris.presses("Другие слова", first.id)
    question = await boris.sees_text("Нарисовано по словам:\nкрасная звезда")
    for _ in range(2):
        await boris.presses("Новое зерно", question.id)
    await boris.sees_button("● Новое зерно")
    await boris.says("красная звезда")
    other = await boris.sees_photo()
    assert re.findall(r"🌱 (\d+)", other.text) != re.findall(r"🌱 (\d+)", first.text)
    await boris.presses("Другие слова", other.id)
    await boris.sees_text("Нарисовано по словам")
    await boris.says("—seed 77")
    assert "красная звезда\n🌱 77 " in (await boris.sees_photo()).text


async def test_a_name_is_read_however_it_is_spelled_and_only_by_its_person(
    line: Line, boris: Person, new_person: Callable[..., Person]
) -> None:
    picture = await opened(boris, "синий круг", "3")
    name = name_of(picture)
    cyrillic = name.translate(str.maketrans("ABCEHMPTXY", "АВСЕНМРТХУ"))
    for spelled in (f"к-{cyrillic.lower()}", f"K{name}", f"k {name.lower()}"):
        await boris.says(f"/show {spelled}")
        card = await boris.sees_text("📅")
        assert (name_of(card), card.photo_size) == (name, (512, 512))
    eve = new_person()
    await opened(eve, "a red star")
    answers = []
    for wanted in (f"k-{name}", "k-0000", "nonsense!"):
        await eve.says(f"/show {wanted}")
        answers.append((await eve.sees_text("You have no picture")).text.replace(wanted, ""))
    assert len(set(answers)) == 1


async def test_a_picture_that_is_sent_back_is_known(line: Line, anna: Person) -> None:
    picture = await opened(anna, "a green heart on a pink background", "4")
    await anna.sends_photo(drawn_on(picture.photo, [], quality=70))
    offer = await anna.sees_text("This is your k-")
    assert f"k-{name_of(picture)}: a green heart on a pink background" in offer.text
    assert {"Again", "Repaint", "Extend"} <= {label.partition(" ")[2] for label in offer.labels}
    await anna.says("a blue heart", reply_to=offer.id)  # words about the picture that is known
    assert (await anna.sees_photo()).photo_size == (512, 512)
    await anna.presses("Take it as a new photo", offer.id)
    await anna.sees_text("1280×1280. What shall I make of it?")
    await anna.sends_photo(drawn_on(picture.photo, [], crop=(0.2, 0.2, 0.9, 0.9)))
    await anna.sees_text("What shall I make of it?")
