"""The mask editor in a real browser, opened from the chat page: what a hand draws arrives, pixel by pixel."""

import io
import math
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image, ImageChops
from playwright.async_api import Browser, expect

from sandbox.server import Sandbox
from tests.bot.editing import BUTTON, Editing, editing
from tests.bot.hands import Fingers, Place, drawn, editor, looks_right, overlap, rectangle, reopened
from tests.sandbox.browser import chromium

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all of them

WIDE, TALL = (640, 480), (480, 640)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def edits(box: Sandbox, tmp_path: Path) -> AsyncIterator[Editing]:
    async with editing(box, tmp_path) as edits:
        yield edits


LINE: list[Place] = [(0.2, 0.3), (0.5, 0.35), (0.55, 0.7)]
LASSO: list[Place] = [(0.6, 0.1), (0.9, 0.15), (0.85, 0.4), (0.65, 0.35)]


COMBINATIONS = [
    pytest.param(size, scheme, language, marks=[] if (size, scheme) == ("phone", "dark") else [pytest.mark.long])
    for size in ("phone", "desktop")
    for scheme, language in (("light", "en"), ("dark", "ru"))
]


@pytest.mark.parametrize(("size", "scheme", "language"), COMBINATIONS)
async def test_what_a_hand_draws_arrives(
    browser: Browser, edits: Editing, box: Sandbox, size: str, scheme: str, language: str
) -> None:
    """Brush, lasso and box, in the client's colours and the person's language; the panel shuts and the chat is there again."""
    person = box.person("Anna", language, patience=20)
    shape = TALL if size == "phone" else WIDE
    edits.has_picture(person, size=shape)
    async with editor(browser, edits, person, size, scheme) as each:
        await expect(each.frame.locator("#done")).to_have_text("Готово" if language == "ru" else "Done")
        await expect(each.frame.locator("#done")).to_have_attribute("aria-disabled", "true")
        await looks_right(each, scheme)
        brush = await each.brush()
        await each.draws(*LINE)
        await each.chooses("lasso")
        await each.draws(*LASSO)
        await each.chooses("box")
        await each.draws((0.1, 0.8), (0.4, 0.95))
        await expect(each.frame.locator("#done")).to_have_attribute("aria-disabled", "false")
        await looks_right(each, scheme)
        mask = await each.done()
    assert overlap(mask, drawn(shape, [LINE], brush, [LASSO, rectangle(0.1, 0.8, 0.4, 0.95)])) > 0.97


@pytest.mark.long
async def test_every_step_can_be_taken_back_and_done_again(browser: Browser, edits: Editing, box: Sandbox) -> None:
    """Eraser, invert, clear, undo and redo by button and by key, also where the keys are Russian; empty and full say why not."""
    person = box.person("Anna", patience=20)
    edits.has_picture(person, size=WIDE)
    async with editor(browser, edits, person) as each:
        status, done, keys = each.frame.locator("#status"), each.frame.locator("#done"), each.page.keyboard
        await each.chooses("box")
        await each.draws((0.1, 0.1), (0.9, 0.6))
        await expect(status).to_have_text("40% will be drawn anew")
        await each.chooses("eraser")
        brush = await each.brush()
        await each.draws((0.2, 0.3), (0.8, 0.3))
        await each.chooses("invert")
        await expect(status).not_to_contain_text("40%")
        inverted = await status.text_content()
        for key in ("Control+Z", "Control+Z"):
            await keys.press(key)
        await expect(status).to_have_text("40% will be drawn anew")
        await each.chooses("undo")
        await expect(status).to_contain_text("Nothing is painted yet")
        await expect(each.frame.locator("#undo")).to_be_disabled()
        await done.click(force=True)
        await expect(status).to_have_class("nudged")
        assert edits.taken == []
        await each.chooses("invert")
        await expect(status).to_have_text("100% is painted, 95% is the most: leave something to keep")
        await expect(done).to_have_attribute("aria-disabled", "true")
        await each.chooses("undo")
        for key in ("Control+Shift+Z", "Control+Y"):
            await keys.press(key)
        await expect(status).to_contain_text("100%")  # what was undone was replaced by the second inversion
        await each.chooses("undo")
        await each.chooses("box")
        await each.draws((0.1, 0.1), (0.9, 0.6))
        await each.chooses("eraser")
        await each.draws((0.2, 0.3), (0.8, 0.3))
        await each.page.keyboard.press("i")
        await expect(status).to_have_text(inverted or "")
        await each.chooses("clear")
        await expect(status).to_contain_text("Nothing is painted yet")
        await keys.press("Control+Z")
        mask = await each.done()
    erased = drawn(WIDE, [[(0.2, 0.3), (0.8, 0.3)]], brush)
    wanted = ImageChops.invert(ImageChops.subtract(drawn(WIDE, areas=[rectangle(0.1, 0.1, 0.9, 0.6)]), erased))
    assert overlap(mask, wanted) > 0.985


@pytest.mark.long
async def test_a_mouse_zooms_where_it_points_and_draws_finely_there(browser: Browser, edits: Editing, box: Sandbox) -> None:
    """Wheel, space and drag, full screen, and back to the whole picture."""
    person = box.person("Anna", patience=20)
    edits.has_picture(person, size=WIDE)
    async with editor(browser, edits, person) as each:
        await each.frame.locator("#full-screen").click()
        await expect(each.page.locator("#mini-app.full")).to_have_count(1)
        await expect(each.frame.locator("#sheet")).to_be_in_viewport()
        await looks_right(each, "light")
        whole = await each.frame.locator("#sheet").bounding_box()
        assert whole is not None
        pointed = await each.at((0.64, 0.3))
        await each.page.mouse.move(*pointed)
        for _ in range(4):
            await each.page.mouse.wheel(0, -250)
        await expect(each.frame.locator("#fit")).to_be_visible()
        assert await each.at((0.64, 0.3)) == pytest.approx(pointed, abs=4)  # the mouse is at whole pixels of the frame
        near = await each.frame.locator("#sheet").bounding_box()
        assert near is not None
        assert 4 < near["width"] / whole["width"] < 6
        await each.page.keyboard.down("Space")
        await each.page.mouse.down()
        await each.page.mouse.move(pointed[0] + 40, pointed[1] + 30, steps=3)
        await each.page.mouse.up()
        await each.page.keyboard.up("Space")
        assert await each.at((0.64, 0.3)) == pytest.approx((pointed[0] + 40, pointed[1] + 30), abs=4)
        brush = await each.brush()
        await each.draws((0.6, 0.25), (0.62, 0.26))
        await expect(each.frame.locator("#status")).to_contain_text("0.1% is the least")
        await each.draws((0.62, 0.26), (0.68, 0.3), (0.68, 0.24))
        await each.chooses("fit")
        await expect(each.frame.locator("#fit")).to_be_hidden()
        assert await each.frame.locator("#sheet").bounding_box() == pytest.approx(whole, abs=1)
        mask = await each.done()
    assert overlap(mask, drawn(WIDE, [[(0.6, 0.25), (0.62, 0.26), (0.68, 0.3), (0.68, 0.24)]], brush)) > 0.93


@pytest.mark.long
async def test_one_finger_draws_and_two_zoom_and_move(browser: Browser, edits: Editing, box: Sandbox) -> None:
    """The first of two fingers leaves no mark, and the one that stays does not draw."""
    person = box.person("Anna", patience=20)
    edits.has_picture(person, size=TALL)
    async with editor(browser, edits, person, "phone") as each:
        fingers = Fingers(await each.page.context.new_cdp_session(each.page))
        status = each.frame.locator("#status")
        x, y = await each.at((0.5, 0.5))
        await fingers.touch("Start", (x - 40, y))
        await fingers.touch("Start", (x - 40, y), (x + 40, y))
        for n in range(1, 9):
            await fingers.touch("Move", (x - 40 - 5 * n, y + 5 * n), (x + 40 + 5 * n, y + 5 * n))
        await fingers.touch("End", (x - 80, y + 40))
        await fingers.touch("Move", (x - 20, y + 90))
        await fingers.touch("End")
        await expect(status).to_contain_text("Nothing is painted yet")
        await expect(each.frame.locator("#fit")).to_be_visible()
        assert await each.at((0.5, 0.5)) == pytest.approx((x, y + 40), abs=3)

        brush = await each.brush()
        line: list[Place] = [(0.4, 0.5), (0.5, 0.45), (0.6, 0.5)]
        places = [await each.at(place) for place in line]
        await fingers.touch("Start", places[0])
        for before, after in pairwise(places):
            for n in range(1, 7):
                await fingers.touch(
                    "Move", (before[0] + (after[0] - before[0]) * n / 6, before[1] + (after[1] - before[1]) * n / 6)
                )
        await fingers.touch("End")
        await expect(status).to_contain_text("will be drawn anew")
        mask = await each.done()
    assert overlap(mask, drawn(TALL, [line], brush)) > 0.93


async def test_nothing_drawn_is_lost(browser: Browser, edits: Editing, box: Sandbox) -> None:
    """A network that fails, a bot that is away, a page that is shut: the drawing is there, and is sent in the end."""
    person = box.person("Boris", "ru", patience=20)
    edits.has_picture(person, size=WIDE)
    async with editor(browser, edits, person, refused=True) as each:
        await each.chooses("box")
        await each.draws((0.2, 0.2), (0.6, 0.6))
        await each.page.locator("#mini-app .shut").click()

        each = await reopened(each.page, edits, person)
        await expect(each.frame.locator("#toast")).to_have_text("Неотправленный рисунок на месте.")
        await expect(each.frame.locator("#status")).to_have_text("Заново будет нарисовано 16%")
        edits.broken = True
        notice, again = each.frame.locator("#notice p"), each.frame.locator("#notice button")
        await each.frame.locator("#done").click()
        await expect(notice).to_contain_text("Бот сейчас не может ответить", timeout=20_000)
        edits.broken = False
        await each.page.route("**/mask", lambda route: route.abort("connectionfailed"))
        await again.click()
        await expect(notice).to_contain_text("Нет связи с ботом")
        await each.page.unroute("**/mask")
        await again.click()
        await expect(each.page.locator("#mini-app iframe")).to_have_count(0, timeout=30_000)
        mask = edits.last_mask()
    assert overlap(mask, drawn(WIDE, areas=[rectangle(0.2, 0.2, 0.6, 0.6)])) > 0.985


@pytest.mark.long
async def test_a_refusal_that_lasts_says_what_to_do_and_keeps_the_drawing(browser: Browser, edits: Editing, box: Sandbox) -> None:
    """An hour passes while somebody draws: the editor says to open it anew, and the drawing is there then."""
    person = box.person("Anna", patience=20)
    edits.has_picture(person, size=WIDE)
    now = box.world.clock
    async with editor(browser, edits, person, refused=True) as each:
        await each.chooses("box")
        await each.draws((0.2, 0.2), (0.6, 0.6))
        edits.pictures.clear()
        await each.frame.locator("#done").click()
        await expect(each.frame.locator("#notice p")).to_contain_text("is not among yours")
        await expect(each.frame.locator("#notice button")).to_be_hidden()
        await each.page.locator("#mini-app .shut").click()
        box.world.clock = lambda: now() - 3700
        edits.has_picture(person, size=WIDE)
        await each.page.locator(".key", has_text=BUTTON).last.click()
        await expect(each.frame.locator("#notice p")).to_contain_text("open for more than an hour")
        await each.page.locator("#mini-app .shut").click()
        box.world.clock = now
        each = await reopened(each.page, edits, person)
        await expect(each.frame.locator("#status")).to_have_text("16% will be drawn anew")


@pytest.mark.long
async def test_the_last_mask_is_there_to_go_on_with(browser: Browser, edits: Editing, box: Sandbox) -> None:
    person = box.person("Anna", patience=20)
    first = io.BytesIO()
    drawn(WIDE, areas=[rectangle(0.2, 0.2, 0.6, 0.6)]).save(first, "PNG")
    edits.has_picture(person, size=WIDE, mask=first.getvalue())
    async with editor(browser, edits, person) as each:
        await expect(each.frame.locator("#status")).to_have_text("16% will be drawn anew")
        await expect(each.frame.locator("#undo")).to_be_disabled()
        await each.chooses("box")
        await each.draws((0.5, 0.5), (0.8, 0.8))
        mask = await each.done()
    assert overlap(mask, drawn(WIDE, areas=[rectangle(0.2, 0.2, 0.6, 0.6), rectangle(0.5, 0.5, 0.8, 0.8)])) > 0.985


@pytest.mark.long
async def test_a_mask_is_seen_on_any_picture(browser: Browser, edits: Editing, box: Sandbox) -> None:
    """A pink mask on a red picture would not be: what is painted differs from what is not by a third of all there is."""
    for colour in ("#e02020", "#ff2d6f", "#2040e0", "#20c040", "#f0e020", "#000000", "#ffffff", "#808080"):
        person = box.person("Anna", patience=20)
        edits.has_picture(person, size=WIDE, colour=colour)
        async with editor(browser, edits, person) as each:
            await each.draws((0.2, 0.5), (0.5, 0.5))
            await each.page.mouse.move(0, 0)
            seen = Image.open(io.BytesIO(await each.page.screenshot())).convert("RGB")
            places = [await each.at(place) for place in ((0.35, 0.5), (0.35, 0.8))]
            painted, bare = (seen.getpixel((round(x), round(y))) for x, y in places)
            assert math.dist(painted, bare) > 100, colour
