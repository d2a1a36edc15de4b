"""Everything that is no prompt gets one clear answer in the person's language, costs nothing and loses nothing."""

from collections.abc import Awaitable, Callable

import pytest

from sandbox.person import Person
from tests.line import Line

Act = Callable[[Person], Awaitable[object]]

BAD: dict[str, tuple[Act, str, str]] = {
    "whitespace": (lambda p: p.says("  \n\t "), "no words", "нет слов"),
    "zero width": (lambda p: p.says("\u200b\u2800\u200b"), "words", "слов"),
    "emoji only": (lambda p: p.says("🙂🙂🎨"), "symbols but no words", "не вижу слов"),
    "4,096 characters": (
        lambda p: p.says("circle " * 585 + "x"),
        "4096 characters; I read at most 2000",
        "4096 символов, а я читаю не больше 2000",
    ),
    "4,096 emoji": (lambda p: p.says("🙂" * 2048), "at most 2000", "не больше 2000"),
    "control characters": (lambda p: p.says("\x00\x01\x07\x1b"), "words", "слов"),
    "sticker": (lambda p: p.sends_sticker(), "no picture that I can read", "не картинка"),
    "voice": (lambda p: p.sends_voice(), "cannot listen", "Слушать"),
    "video": (lambda p: p.sends_video(), "video", "видео"),
    "location": (lambda p: p.sends_location(), "words and pictures", "слова и картинки"),
    "30 MB file": (lambda p: p.sends_document_of_size("big.zip", 30_000_000), "cannot open such files", "не открываю"),
    "30 MB picture": (lambda p: p.sends_document_of_size("big.png", 30_000_000), "29 MB; 20 MB is the most", "29 МБ"),
    "small file": (lambda p: p.sends_document("a.txt", b"x"), "JPEG, PNG or WebP", "JPEG, PNG или WebP"),
    "unknown command": (lambda p: p.says("/paint <b>"), "do not know the command /paint", "не знаю команды /paint"),
    "too many": (lambda p: p.says("a circle, a star and a heart"), "at most 2", "не больше 2"),
    "too many of one": (lambda p: p.says("three red stars"), "no room for: three, stars", "нет места: three, stars"),
    "no object": (lambda p: p.says("red"), "Name a shape", "Назовите фигуру"),
    "contradiction": (lambda p: p.says("a red circle on a red background"), "do not fit", "не помещаются"),
    "sql": (lambda p: p.says("'; DROP TABLE job;--"), "drop", "drop"),
    "format": (lambda p: p.says("{0} %s ${jndi:x}"), "jndi", "jndi"),
    "markup": (lambda p: p.says("<b>unclosed <a href='x'>"), "unclosed", "unclosed"),
    "forwarded": (lambda p: p.forwards("a purple hippopotamus"), "hippopotamus", "hippopotamus"),
}


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", BAD)
async def test_one_clear_answer(line: Line, new_person: Callable[..., Person], name: str, language: str) -> None:
    act, english, russian = BAD[name]
    person = new_person(language)
    jobs = await line.sql("SELECT count(*) FROM job")
    await act(person)
    await person.sees_text(english if language == "en" else russian)
    await person.says("/cancel")  # answered after whatever else that update might have brought
    await person.sees_text("nothing to cancel" if language == "en" else "Отменять нечего")
    assert len([message for message in person.chat if message.from_bot]) == 2
    assert await line.sql("SELECT count(*) FROM job") == jobs


async def test_markup_around_known_words_is_drawn_as_words(line: Line, anna: Person) -> None:
    await anna.says("<b>*red* circle</b> & `star`")
    assert "<b>*red* circle</b> & `star`" in (await anna.sees_photo()).text


@pytest.mark.long
async def test_an_edited_message_is_not_drawn_again(line: Line, anna: Person) -> None:
    asked = await anna.says("a red circle")
    result = await anna.sees_photo()
    await anna.edits(asked.id, "a blue circle")
    await anna.sees_text("edited messages")
    assert [message.id for message in anna.chat if message.has_photo] == [result.id]


async def test_a_forwarded_prompt_is_drawn(line: Line, anna: Person) -> None:
    await anna.forwards("a white star")
    assert "a white star" in (await anna.sees_photo()).text
