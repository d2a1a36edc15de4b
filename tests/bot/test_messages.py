"""What a person reads with a job: how their parameters were understood, and what became of them."""

import html
import re
from dataclasses import replace

import pytest

from bot.messages import Messages
from bot.texts import LANGUAGES, Texts
from engine import catalog
from engine.requests import ImageToImage, Request, Upscale, to_json
from handlers.parameters import Asked, read, read_about
from storage.domain import Job, Picture
from tests.bot.wishes import job_of

FAMILY = "kandinsky-3.1"
LONGEST = "9" * 40


def asked(text: str) -> Asked:
    return read(text, FAMILY, 99, catalog.family(FAMILY).default_size, 4)


def picture(job: Job) -> Picture:
    return Picture(1, "p", job.user_id, job.id, 0, "m.png", job.seed, 1024, 768, None, "text-to-image", 0.0)


def seen(text: str) -> str:
    return html.unescape(re.sub("</?[a-z]+>", "", text))


def test_the_parameters_are_echoed_while_a_job_waits(texts: Texts) -> None:
    job = job_of(1, asked=asked("a fox --engine flash --seed 7 --n 2 --size 999x999"))
    lines = seen(Messages(texts).status(job, "en", None, None).text).splitlines()
    assert lines[1:] == [
        "⚙️ flash · 1024×1024 · seed 7 · 2 pictures",
        "☝️ --size 999x999 became 1024×1024, the nearest size that I draw well.",
    ]
    lines = seen(Messages(texts).status(job, "ru", None, None).text).splitlines()
    assert lines[1] == "⚙️ быстро (flash) · 1024×1024 · сид 7 · 2 картинки"


def test_without_parameters_a_status_is_one_line(texts: Texts) -> None:
    assert "\n" not in Messages(texts).status(job_of(1, asked=asked("a fox")), "en", None, None).text


def test_a_caption_says_what_the_careful_sampler_was_told(texts: Texts) -> None:
    job = job_of(1, asked=asked("a fox --steps 30 --no hat --cfg 3,5"))
    lines = seen(Messages(texts).result(job, [picture(job)], "en", 1).text).splitlines()
    assert lines[2] == "⚙️ 30 steps · cfg 3.5 · without hat"
    assert lines[3] == "☝️ Flash does not hear --no, --steps, --cfg, so I draw with care."


def test_an_enlarged_picture_has_two_sizes_and_no_seed(texts: Texts) -> None:
    job = replace(job_of(1), kind="upscale", params=to_json(catalog.make(Upscale, FAMILY, image="m.png", seed=7, scale=4)))
    lines = seen(Messages(texts).result(job, [picture(job)], "en", 1).text).splitlines()
    assert lines == ["🔼 Enlarged", "256×192 → 1024×768 · Kandinsky 3.1 · 12345.6 s"]


def test_words_about_a_picture_are_echoed_like_any_others(texts: Texts) -> None:
    def make(prompt: str, seed: int) -> Request:
        return catalog.make(ImageToImage, FAMILY, image="m.png", prompt=prompt, seed=seed)

    about = read_about("a fox --seed 7 --no hat --steps 30 --cfg 3,5", make, FAMILY, 99)
    job = replace(job_of(1), kind="image-to-image", params=to_json(about.request), remarks=about.remarks)
    lines = seen(Messages(texts).status(job, "en", None, None).text).splitlines()
    assert lines[1] == "⚙️ with care · seed 7 · 30 steps · cfg 3.5 · without hat"
    assert "⚙️ 30 steps · cfg 3.5 · without hat" in seen(Messages(texts).result(job, [picture(job)], "en", 1).text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("words", ["ж" * 1000, "<a&b>" * 200])
def test_a_caption_with_everything_fits(texts: Texts, language: str, words: str) -> None:
    typed = f"{words} --n {LONGEST} --seed {LONGEST} --steps {LONGEST} --cfg {LONGEST} --no {words} --size 999999x999999"
    job = job_of(1, asked=asked(typed))
    assert len(job.remarks) > 10
    said = Messages(texts).result(job, [picture(job)], language, 1, again=True, back="page")
    assert len(seen(said.text).encode("utf-16-le")) // 2 <= 1024
