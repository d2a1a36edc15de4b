"""Play the main flows in the demo's chat page, as a person with a phone would, and take the README's pictures of them.

`python docs/take_pictures.py [FLOW...]` writes docs/pictures/*.png, 390 pixels wide. Chromium has to be installed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import FrameLocator, Locator, Page, ViewportSize, expect, sync_playwright

_HERE = Path(__file__).parent
_PHONE: ViewportSize = {"width": 390, "height": 844}
_CHROMIUM = "/usr/bin/chromium"
_PORT = "8139"
_PATIENCE_MS = 180_000  # of a drawing
_COLOURS = 224  # of a picture's palette: all that a chat needs, and half of the bytes

Points = list[tuple[float, float]]  # shares of width and height
_LEFT: Points = [(0.06, 0.3), (0.44, 0.28), (0.46, 0.72), (0.08, 0.74), (0.06, 0.3)]
_AROUND: Points = [(0.1, 0.1), (0.5, 0.06), (0.9, 0.1), (0.94, 0.5), (0.9, 0.9), (0.5, 0.94), (0.1, 0.9), (0.06, 0.5), (0.1, 0.1)]


class Chat:
    """The chat page of a person who has just found the bot."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.page.locator("#start").click()
        self.said("Kandinsky")

    @property
    def editor(self) -> FrameLocator:
        return self.page.frame_locator("#mini-app iframe")

    def say(self, text: str) -> None:
        self.page.locator("#text").fill(text)
        self.page.locator("#send").click()

    def press(self, label: str) -> None:
        self.page.locator(".key", has_text=label).last.click()

    def said(self, words: str) -> Locator:
        """Wait for an answer with these words."""
        message = self.page.locator("#log li:not(.own)", has_text=words).last
        expect(message).to_be_visible()
        return message

    def drawn(self, words: str) -> Locator:
        """Wait for the pictures whose caption has these words."""
        message = self.page.locator("#log li:not(.own):has(.photo)", has_text=words).last
        expect(message).to_be_visible()
        for image in message.locator("img").all():
            expect(image).to_have_js_property("complete", True)
        return message

    def first_of_four(self, prompt: str) -> None:
        """Draw four pictures and open the first."""
        self.say(prompt)
        self.drawn(prompt)
        self.press("1")
        self.key("Repaint")

    def key(self, label: str) -> None:
        expect(self.page.locator(".key", has_text=label).last).to_be_visible()

    def stroke(self, on: Locator, points: Points) -> None:
        place = on.bounding_box()
        if place is None:
            raise RuntimeError("There is nothing to draw on.")
        for number, (x, y) in enumerate(points):
            self.page.mouse.move(place["x"] + x * place["width"], place["y"] + y * place["height"], steps=8)
            if number == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def shot(self, name: str) -> None:
        path = _HERE / "pictures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        self.page.mouse.move(0, 0)
        self.page.evaluate("document.querySelector('#scroll').scrollTo(0, 1e9)")
        self.page.screenshot(path=path, animations="disabled")
        Image.open(path).convert("RGB").quantize(_COLOURS).save(path, optimize=True)
        print(f"{name}: {path.stat().st_size // 1000} kB")


def words(chat: Chat) -> None:
    chat.say("большой красный круг на белом фоне")
    chat.drawn("большой красный круг")
    chat.key("As I wrote it")
    chat.shot("words")


def repaint(chat: Chat) -> None:
    chat.first_of_four("a small red circle on the right, white background")
    chat.press("Repaint")
    chat.press("Open the editor")
    expect(chat.editor.locator("#sheet")).to_be_visible()
    chat.editor.get_by_text("Lasso").click()
    chat.stroke(chat.editor.locator("#mask"), _LEFT)
    expect(chat.editor.locator("#done")).to_have_attribute("aria-disabled", "false")
    chat.shot("repaint-editor")
    chat.editor.locator("#done").click()
    chat.key("Use it")
    chat.shot("repaint-mask")
    chat.press("Use it")
    chat.said("What")
    chat.say("a blue star")
    chat.drawn("a blue star")
    chat.shot("repaint-drawn")


def pencil(chat: Chat) -> None:
    chat.first_of_four("a big yellow triangle on a black background")
    chat.page.locator("#log .photo").last.click()
    chat.page.locator("#lightbox .draw").click()
    canvas = chat.page.locator("#pencil canvas")
    chat.page.wait_for_function("document.querySelector('#pencil canvas').width > 300")
    chat.stroke(canvas, _AROUND)
    chat.shot("pencil")
    chat.page.locator("#pencil").get_by_role("button", name="Send").click()
    chat.key("Use it")
    chat.shot("pencil-mask")


def photo(chat: Chat) -> None:
    chat.page.locator("#pick-photo").set_input_files([_photo()])
    chat.page.locator("#sending .strong").click()
    chat.key("Try a part")
    chat.shot("photo")
    chat.press("Try a part")
    chat.press("5")
    chat.key("Whole picture")
    chat.shot("photo-part")


def extend(chat: Chat) -> None:
    chat.first_of_four("a green heart on a yellow background")
    chat.press("Extend")
    chat.press("1.5×")
    chat.drawn("Extended")
    chat.shot("extend")


def mix(chat: Chat) -> None:
    chat.first_of_four("a red circle on a white background")
    chat.press("Variation")
    chat.drawn("ariation")
    chat.shot("variation")


def tree(chat: Chat) -> None:
    chat.first_of_four("a blue cross on a white background")
    chat.press("Outline")
    chat.said("along its outlines")
    chat.say("a red cross on a yellow background")
    chat.drawn("a red cross")
    chat.press("Extend")
    chat.press("Left")
    chat.drawn("Extended")
    chat.say("/tree")
    chat.drawn("tree")
    chat.shot("tree")
    chat.say("/history")
    chat.drawn("istory")
    chat.shot("history")


FLOWS: dict[str, Callable[[Chat], None]] = {each.__name__: each for each in (words, repaint, pencil, photo, extend, mix, tree)}


def _photo() -> Path:
    """A photograph in the public domain, as small as those that people want enlarged."""
    from skimage import data  # of the development tools

    path = Path(tempfile.mkdtemp()) / "photo.jpg"
    Image.fromarray(data.astronaut()).crop((96, 0, 352, 256)).save(path, quality=92)  # type: ignore[no-untyped-call]
    return path


@contextmanager
def demo() -> Iterator[str]:
    """The address of the chat page of a new demo, which goes at the end."""
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "bot.cli", "demo", "--port", _PORT, "--data", data]
        environment = {**os.environ, "PYTHONPATH": str(_HERE.parent), "BROWSER": "/bin/true"}
        process = subprocess.Popen(command, cwd=_HERE.parent, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603
        try:
            yield next(found.group() for line in process.stdout or () if (found := re.search(r"http://\S+", line)))
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("flow", nargs="*", help=f"of: {', '.join(FLOWS)}")
    flows = parser.parse_args().flow or list(FLOWS)
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        for name in flows:
            with demo() as address:
                page = browser.new_page(viewport=_PHONE, color_scheme="light")
                page.goto(address)
                FLOWS[name](Chat(page))
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
