"""The editor's server: who may see and send what, and what a refusal says."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from bot import miniapp
from bot.drawn_masks import LARGEST_FILE
from bot.miniapp import TEXTS, MiniApp, Turns, editor_url, given, policy
from bot.settings import MiniAppSettings
from bot.texts import Texts
from sandbox.person import Person
from sandbox.server import Sandbox
from tests.bot.editing import Editing, editing, landscape
from tests.bot.test_drawn_masks import as_file, painted

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "bot" / "editor"
SIZE = (96, 64)
MASK = as_file(painted(SIZE))


@pytest.fixture
async def edits(box: Sandbox, tmp_path: Path) -> AsyncIterator[Editing]:
    async with editing(box, tmp_path) as edits:
        yield edits


@pytest.fixture
async def anna(box: Sandbox, edits: Editing) -> Person:
    person = box.person("Анна & Ко", "ru")
    await person.says("hello")
    edits.has_picture(person, size=SIZE)
    return person


class Client:
    """Calls the editor's server as the page does."""

    def __init__(self, edits: Editing, session: aiohttp.ClientSession, init_data: str) -> None:
        self._base, self._session, self.init_data = edits.settings.url, session, init_data

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, Any]:
        sent = {
            "Authorization": f"tma {self.init_data}",
            **({"Content-Type": "image/png"} if body is not None else {}),
            **headers,
        }
        async with self._session.request(method, f"{self._base}/{path}", data=body, headers=sent) as response:
            return response.status, await response.read(), response.headers

    async def refusal(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        status, answer, _ = await self.ask(method, path, body, **headers)
        return status, json.loads(answer)["error"]

    async def sends(self, body: Any = MASK, picture: str = "pic1", **headers: str) -> tuple[int, str | None]:
        status, answer, _ = await self.ask("POST", f"pictures/{picture}/mask", body, **headers)
        return status, json.loads(answer).get("error")


@pytest.fixture
async def client(edits: Editing, anna: Person) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(edits, session, (await edits.opened_by(anna)).init_data)


async def test_the_page_loads_nothing_but_its_own_files_and_telegrams_script(client: Client, edits: Editing) -> None:
    status, page, headers = await client.ask("GET", "")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'self' {edits.settings.script}"
    assert rules["style-src"] == rules["connect-src"] == "'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert edits.settings.script in page.decode()
    named = set(re.findall(r'(?:href|src)="([^#"]+)"', page.decode())) - {edits.settings.script}
    for script in PAGE.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))
    assert named == {path.name for path in PAGE.iterdir()} - {"index.html"} | {"given.js"}
    for name in named:
        assert (await client.ask("GET", name))[0] == 200, name


def test_telegram_alone_may_frame_the_page_or_whoever_stands_for_it() -> None:
    assert policy(MiniAppSettings().script).endswith("frame-ancestors https://*.telegram.org")
    assert policy("http://127.0.0.1:8082/x.js").endswith("frame-ancestors http://127.0.0.1:8082 http://localhost:8082")


def test_there_is_a_text_for_everything_that_page_and_server_say() -> None:
    code = {path.name: path.read_text() for path in PAGE.glob("*.js")}
    said = {key for text in code.values() for key in re.findall(r'\bt\("([a-z-]+)"', text)}
    ids = set(re.findall(r'data-tool="([a-z]+)"', (PAGE / "index.html").read_text()))
    labels = re.search(r"for \(const id of (\[[^]]+\])\) label", code["main.js"])
    assert labels
    ids |= set(json.loads(labels[1]))
    server = (ROOT / "bot" / "miniapp.py").read_text() + (ROOT / "bot" / "drawn_masks.py").read_text()
    reasons = set(re.findall(r'(?:Refusal\(\d+, |BadMask\(|BadInitData\()"([a-z-]+)"', server)) | {"expired"}
    reasons |= set(re.findall(r'Refusal\((?:error \?\? )?"([a-z-]+)"', "".join(code.values())))
    sending = {"sending", "done"}  # t(sending ? ... : ...)
    assert {f"editor.{key}" for key in said | ids | sending | {f"error-{reason}" for reason in reasons}} == set(TEXTS)
    assert len(reasons) > 8


def test_the_page_gets_texts_in_every_language_with_their_places_to_fill() -> None:
    words = json.loads(given(Texts()).decode().partition("TEXTS = ")[2].partition(";\n")[0])
    assert words.keys() == {"en", "ru"}
    assert words["en"].keys() == words["ru"].keys() == {key.partition(".")[2] for key in TEXTS}
    assert "{share}%" in words["ru"]["full"]
    filled = set(re.findall(r"{(\w+)}", json.dumps(words)))
    assert filled == set(miniapp._VALUES)


async def test_the_owner_gets_the_picture_its_size_and_language(client: Client, edits: Editing, anna: Person) -> None:
    status, data, headers = await client.ask("GET", "pictures/pic1")
    assert (status, headers["Picture-Size"], headers["Content-Language"]) == (200, "96x64", "ru")
    assert (headers["Picture-Mask"], headers["Cache-Control"]) == ("none", "no-store")
    assert headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(data)).tobytes() == Image.open(io.BytesIO(landscape(SIZE))).tobytes()
    assert await client.refusal("GET", "pictures/pic1/mask") == (404, "not-found")


async def test_a_large_picture_comes_no_larger_than_the_editor_needs(client: Client, edits: Editing, anna: Person) -> None:
    edits.has_picture(anna, "large", size=(4096, 3072))
    _, data, headers = await client.ask("GET", "pictures/large")
    assert (headers["Picture-Size"], headers["Content-Type"]) == ("4096x3072", "image/jpeg")
    assert Image.open(io.BytesIO(data)).size == (2048, 1536)


async def test_the_last_mask_is_there_for_another_try(client: Client, edits: Editing, anna: Person) -> None:
    edits.has_picture(anna, size=SIZE, mask=MASK)
    assert (await client.ask("GET", "pictures/pic1"))[2]["Picture-Mask"] == "there"
    status, data, _ = await client.ask("GET", "pictures/pic1/mask")
    assert (status, data) == (200, MASK)


async def test_a_mask_is_taken_for_its_sender_and_picture(client: Client, edits: Editing, anna: Person) -> None:
    assert await client.sends() == (200, None)
    [(user, picture, _, key)] = edits.taken
    assert (user, picture) == (anna.id, "pic1")
    assert key.startswith(f"wa:{anna.id}:")
    assert edits.last_mask().getbbox() == (10, 10, 41, 31)


async def test_k8_the_same_mask_of_the_same_opening_is_one_wish(client: Client, edits: Editing, anna: Person) -> None:
    other = as_file(painted(SIZE, (0, 0, 50, 50)))
    again = Client(edits, client._session, (await edits.opened_by(anna)).init_data)
    for sent in (client.sends(), client.sends(), client.sends(other), again.sends()):
        assert await sent == (200, None)
    keys = [key for *_, key in edits.taken]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


async def test_nobody_sees_or_edits_what_is_somebody_elses(client: Client, edits: Editing, box: Sandbox) -> None:
    """K9, K10: a foreign picture and one that never was look the same."""
    boris = box.person("Boris")
    await boris.says("hello")
    edits.has_picture(boris, "his", size=SIZE, mask=MASK)
    for picture in ("his", "none"):
        assert await client.refusal("GET", f"pictures/{picture}") == (404, "not-found")
        assert await client.refusal("GET", f"pictures/{picture}/mask") == (404, "not-found")
        assert await client.sends(picture=picture) == (404, "not-found")
    assert edits.taken == []


@pytest.mark.parametrize("header", ["", "tma", "tma ", "Bearer {}", "tma  {}", "{}", "tma {}x"])
async def test_without_telegrams_word_there_is_nothing(client: Client, edits: Editing, header: str) -> None:
    authorization = header.format(client.init_data)
    for method, path in (("GET", "pictures/pic1"), ("GET", "pictures/pic1/mask"), ("POST", "pictures/pic1/mask")):
        body = MASK if method == "POST" else None
        assert await client.refusal(method, path, body, Authorization=authorization) == (401, "unsigned")
    assert edits.taken == []


async def test_after_an_hour_the_editor_is_to_be_opened_anew(client: Client, edits: Editing, anna: Person) -> None:
    client.init_data = (await edits.opened_by(anna, age_s=59 * 60)).init_data
    assert (await client.ask("GET", "pictures/pic1"))[0] == 200
    client.init_data = (await edits.opened_by(anna, age_s=61 * 60)).init_data
    assert await client.refusal("GET", "pictures/pic1") == (401, "expired")
    assert await client.sends() == (401, "expired")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


BODIES: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "K3 a JPEG": (as_file(painted(SIZE), "JPEG"), {}, 422, "no-mask"),
    "K4 empty": (as_file(painted(SIZE, None)), {}, 422, "empty"),
    "K12 named HTML": (MASK, {"Content-Type": "text/html"}, 415, "no-mask"),
    "compressed": (MASK, {"Content-Encoding": "gzip"}, 415, "no-mask"),
    "K7 a byte too much": (MASK.ljust(LARGEST_FILE + 1, b"\0"), {}, 413, "too-large"),
    "no body": (b"", {}, 422, "no-mask"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_no_mask_is_refused_by_name(client: Client, edits: Editing, name: str) -> None:
    body, headers, status, error = BODIES[name]
    assert await client.sends(body, **headers) == (status, error)
    assert edits.taken == []


async def test_a_body_without_end_is_cut_off(client: Client, edits: Editing, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await client.sends(chunks(MASK, *[bytes(512 * 1024)] * 5)) == (413, "too-large")
    monkeypatch.setattr(miniapp, "_BODY_S", 0.1)
    never = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield MASK
        await never.wait()

    assert await client.sends(waiting()) == (400, "network")
    assert edits.taken == []


async def test_what_is_away_is_said_and_the_mask_may_come_again(client: Client, edits: Editing, anna: Person) -> None:
    edits.broken = True
    assert await client.sends() == (503, "away")
    edits.broken = False
    assert await client.sends() == (200, None)
    edits.pictures[anna.id, "gone"] = replace(edits.pictures[anna.id, "pic1"], media_id="ab" * 32 + ".png")
    assert await client.refusal("GET", "pictures/gone") == (404, "not-found")


async def test_one_person_may_not_ask_without_end(client: Client, edits: Editing, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(miniapp._WRITES):
        assert await client.sends(b"") == (422, "no-mask")
    status, answer, headers = await client.ask("POST", "pictures/pic1/mask", MASK)
    told = json.loads(answer)
    assert (status, told["error"]) == (429, "too-often")
    assert 0 < told["values"]["seconds"] == int(headers["Retry-After"]) <= 60
    assert (await client.ask("GET", "pictures/pic1"))[0] == 200


def test_turns_come_back_and_are_each_persons_own() -> None:
    now = [0.0]
    turns = Turns(2, 10.0, lambda: now[0])
    assert [turns.wait_s(1), turns.wait_s(1), turns.wait_s(1), turns.wait_s(2)] == [0, 0, 11, 0]
    now[0] = 10.0
    assert turns.wait_s(1) == 0


def test_without_an_address_there_is_no_button() -> None:
    for url in ("https://example.org/edit/", "https://example.org/edit"):
        assert editor_url(url, "abc") == "https://example.org/edit/?picture=abc"


@pytest.mark.parametrize(
    ("url", "base"), [("https://example.org", ""), ("https://example.org/", ""), ("https://x.org/a/b/", "/a/b")]
)
async def test_the_editor_lies_where_its_address_says(edits: Editing, url: str, base: str) -> None:
    app = MiniApp(MiniAppSettings(url=url), "1:x", edits.media, edits.find_picture, edits.take_mask, Texts())
    assert {getattr(route, "path", "") for route in app.routes()} >= {f"{base}/", f"{base}/main.js"}
