"""A hand in the open mask editor, what the editor must look like, and the same shapes drawn without it."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageChops, ImageDraw
from playwright.async_api import Browser, CDPSession, FrameLocator, Page, expect

from sandbox.person import Person
from tests.bot.editing import BUTTON, Editing
from tests.sandbox.browser import opened

Place = tuple[float, float]  # share of the picture's width and height


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


class Fingers:
    """Touches, as the browser gets them from a screen."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    async def touch(self, kind: str, *places: Place) -> None:
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
        await self._session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
