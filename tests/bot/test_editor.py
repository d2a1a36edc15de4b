"""The mask editor in a real browser, opened from the chat page: what a hand draws arrives, pixel by pixel."""

import io
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image, ImageChops, ImageDraw
from playwright.async_api import Browser, CDPSession, FrameLocator, Page, expect

from sandbox.person import Person
from sandbox.server import Sandbox
from tests.bot.editing import BUTTON, Editing, editing
from tests.sandbox.browser import chromium, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all of them

Place = tuple[float, float]  # share of the picture's width and height
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


@dataclass
class Editor:
    """The open editor, and a hand that draws in it."""

    page: Page
    frame: FrameLocator
    edits: Editing
    person: Person

    async def at(self, place: Place) -> Place:
        """A place of the picture on the screen."""
        box = await self.frame.locator("#sheet").bounding_box()
        assert box is not None
        return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]

    async def draws(self, *places: Place) -> None:
        """Draw one line with the mouse."""
        await self.page.mouse.move(*await self.at(places[0]))
        await self.page.mouse.down()
        for place in places[1:]:
            await self.page.mouse.move(*await self.at(place), steps=6)
        await self.page.mouse.up()

    async def chooses(self, tool: str) -> None:
        await self.frame.locator(f"[data-tool={tool}], #{tool}").click()

    async def brush(self) -> float:
        """The brush's diameter as a share of the picture's width."""
        box = await self.frame.locator("#sheet").bounding_box()
        assert box is not None
        return float(await self.frame.locator("input").input_value()) / box["width"]

    async def done(self) -> Image.Image:
        """Press Done, and wait until the panel is shut and the mask is there."""
        before = len(self.edits.taken)
        await self.frame.locator("#done").click()
        await expect(self.page.locator("#mini-app iframe")).to_have_count(0, timeout=30_000)
        assert len(self.edits.taken) == before + 1
        assert self.edits.taken[-1][:2] == (self.person.id, "pic1")
        return self.edits.last_mask()


@asynccontextmanager
async def editor(
    browser: Browser, edits: Editing, person: Person, size: str = "desktop", scheme: str = "light", refused: bool = False
) -> AsyncIterator[Editor]:
    """A person's chat with the button, and the editor that the button opens; `refused` if the bot is to refuse something."""
    await person.says("hello")
    await edits.offers(person)
    async with opened(browser, f"{edits.settings.script.rpartition('/')[0]}/#{person.id}", size, scheme, refused) as page:
        yield await reopened(page, edits, person)


async def reopened(page: Page, edits: Editing, person: Person) -> Editor:
    await page.locator(".key", has_text=BUTTON).last.click()
    frame = page.frame_locator("#mini-app iframe")
    await frame.locator("#sheet").wait_for()
    await expect(frame.locator("#tools")).not_to_have_class("tools off")
    return Editor(page, frame, edits, person)


def drawn(
    size: tuple[int, int], lines: Sequence[Sequence[Place]] = (), brush: float = 0.0, areas: Sequence[Sequence[Place]] = ()
) -> Image.Image:
    """The same shapes drawn by Pillow, four times as large and then brought to size."""
    width, height = size[0] * 4, size[1] * 4
    picture = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(picture)
    radius = brush * width / 2
    for line in lines:
        points = [(x * width, y * height) for x, y in line]
        for (x0, y0), (x1, y1) in pairwise(points):
            steps = max(1, round(math.hypot(x1 - x0, y1 - y0)))
            for n in range(steps + 1):
                x, y = x0 + (x1 - x0) * n / steps, y0 + (y1 - y0) * n / steps
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    for area in areas:
        pen.polygon([(x * width, y * height) for x, y in area], fill=255)
    return picture.resize(size, Image.Resampling.BOX).point(lambda value: 255 if value >= 128 else 0)


def overlap(a: Image.Image, b: Image.Image) -> float:
    """Intersection over union."""
    assert a.size == b.size
    both, either = ImageChops.darker(a, b).histogram()[255], ImageChops.lighter(a, b).histogram()[255]
    return both / either


def rectangle(left: float, top: float, right: float, bottom: float) -> list[Place]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


LINE: list[Place] = [(0.2, 0.3), (0.5, 0.35), (0.55, 0.7)]
LASSO: list[Place] = [(0.6, 0.1), (0.9, 0.15), (0.85, 0.4), (0.65, 0.35)]


async def looks_right(each: Editor, scheme: str) -> None:
    """Nothing overlaps, nothing lies outside, nothing is too small for a thumb, and text can be read."""
    found = await each.frame.locator("body").evaluate(
        """(body) => {
            const shown = [...body.querySelectorAll("button, #status, .size")].filter((e) => e.getClientRects().length);
            const boxes = shown.map((e) => [e.id || e.dataset.tool || e.className, e.getBoundingClientRect()]);
            const wrong = [];
            for (const [name, box] of boxes) {
                const outside = box.left < 0 || box.top < 0 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5;
                if (outside) wrong.push(`${name} lies outside`);
                for (const [other, b] of boxes)
                    if (name < other && Math.min(box.right, b.right) - Math.max(box.left, b.left) > 1
                        && Math.min(box.bottom, b.bottom) - Math.max(box.top, b.top) > 1) wrong.push(`${name} overlaps ${other}`);
            }
            for (const e of body.querySelectorAll("button")) {
                const box = e.getBoundingClientRect();
                if (box.width && (box.width < 40 || box.height < 40)) wrong.push(`${e.id} is too small`);
                if (e.scrollWidth > e.clientWidth + 1) wrong.push(`${e.id || e.dataset.tool} is cut off`);
            }
            if (document.documentElement.scrollWidth > innerWidth) wrong.push("scrolls sideways");
            const grey = (colour) => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
                return 0.3 * r + 0.6 * g + 0.1 * b;
            };
            const [back, text] = [getComputedStyle(body).backgroundColor, getComputedStyle(body).color].map(grey);
            return { wrong, back, text };
        }"""
    )
    assert found["wrong"] == []
    assert (found["back"] > 200 and found["text"] < 60) if scheme == "light" else (found["back"] < 60 and found["text"] > 200)


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


class Fingers:
    """Touches, as the browser gets them from a screen."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    async def touch(self, kind: str, *places: Place) -> None:
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
        await self._session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})


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
