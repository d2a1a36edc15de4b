"""Whatever names something of Anna's gets Boris what it gets him for a name that was never given: the same refusal, and no more.

A handler that is not in the matrix fails a test: whoever adds one says here what it can be told.
"""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiogram.dispatcher.event.handler import HandlerObject
from aiogram.filters.callback_data import CallbackData, CallbackQueryFilter
from aiogram.fsm.storage.base import StorageKey

from bot import dispatch
from bot.marking import EditorDesk, Marks
from sandbox.person import Person
from storage.repositories.erasures import ErasureRepository
from tests.bot.house import House
from tests.bot.test_photos import does, marked, picture
from tests.storage.made import BOT

MASK = marked((320, 200), (40, 40, 120, 140))
GROUP = {"id": -1001234567890, "type": "supergroup", "title": "Friends"}
EDITS = ("vary", "wander", "up2", "up4", "tile5", "top", "left", "right", "bottom", "zoom15", "zoom2")


@dataclass(frozen=True)
class Press:
    """A button with this data, in private or in a group."""

    data: str
    group: bool = False


@dataclass(frozen=True)
class Words:
    """A text; `reply` answers the message with this id; `state` and `about` are a question that is open."""

    text: str = "a lighthouse"
    reply: str = ""
    state: str = ""
    about: str = "{{}}"


@dataclass(frozen=True)
class Photo:
    """A picture sent while this question is open."""

    state: str
    about: str


_ABOUT = '{{"picture": "{picture}"}}'
_RESULT = '{{"job": "{job}", "index": 1, "new": false}}'
_NAMED = tuple[Press | Words | Photo, ...]
MATRIX: dict[str, _NAMED] = {
    "asking.leave_it": (Words("/cancel", state="Repaint:mask", about=_ABOUT),),
    "asking.something_else": (Words("/help", state="Repaint:mask", about=_ABOUT),),
    "history.history": (Words("/history {job}"),),
    "history.search": (Words("{job}", state="Search:words"),),
    "history.turn_page": (Press("v1h:{page}:0"), Press("v1h:{page}:1")),
    "history.open_card": (Press("v1k:{page}:{job}:0"), Press("v1k:{page}:{job}:1")),
    "history.ask_for_words": (),
    "start.start": (Words("/start {picture}"), Words("/start {job}")),
    "start.show_help": (),
    "history.favourites": (Press("v1hs:{page}"),),
    "waiting.show_queue": (),
    "waiting.cancel_newest": (Words("/cancel {queued}"), Words("/cancel all")),
    "waiting.refresh": (Press("v1q:refresh:{queued}"),),
    "waiting.cancel_listed": (Press("v1q:cancel:{queued}"),),
    "waiting.ask_from_queue": (Press("v1q:all:{queued}"),),
    "waiting.cancel_all": (Press("v1ca:1"),),
    "waiting.press_cancel": (Press("v1c:{queued}"), Press("v1c:{job}")),
    "settings.show_settings": (),
    "settings.open_part": (),
    "settings.choose": (),
    "privacy.terms": (),
    "privacy.show_privacy": (),
    "privacy.export_all": (),
    "privacy.forget_all": (Words("/forget {receipt}"),),
    "privacy.press_export": (),
    "privacy.press_forget": (),
    "privacy.confirm": (),
    "privacy.refrain": (),
    "privacy.undo": (Press("v1fo:undo:{receipt}"),),
    "report.in_private": (Press("v1r:{job}:0:"), Press("v1r:{job}:1:unsafe")),
    "report.in_a_group": (Press("v1r:{job}:1:", group=True),),
    "result.open_picture": (Press("v1:open:{job}:1"), Press("v1:open:{job}:1", group=True)),
    "result.as_file": (Press("v1:file:{job}:1"), Press("v1:file:{job}:0")),
    "result.again": (Press("v1:again:{job}:0"), Press("v1:again:{job}:0", group=True)),
    "result.same_seed": (Press("v1:same:{job}:0"), Press("v1:same:{job}:1")),
    "result.draw_carefully": (Press("v1:careful:{job}:0"),),
    "rewording.as_written": (Press("v1bw:plain:{job}:0"), Press("v1bw:plain:{job}:1")),
    "rewording.richer": (Press("v1bw:richer:{job}:0"), Press("v1bw:richer:{job}:0", group=True)),
    "rewording.another_reading": (Press("v1br:0:{job}:0"),),
    "rewording.ask_what_was_meant": (Press("v1bw:fix:{job}:1"),),
    "rewording.fix": (Words(state="Fix:words", about=_RESULT),),
    "rewording.drop": (Press("v1b:drop:{job}:1"),),
    "rewording.draw": (Press("v1b:draw:{job}:0"), Press("v1b:always:{job}:1")),
    "rewording.draw_as_written": (Press("v1b:plain:{job}:0"), Press("v1b:never:{job}:0")),
    "favourites.star": (Press("v1st:{job}:1:1:0:"), Press("v1st:{job}:1:1:1:{page}")),
    "remix.ask_what": (Press("v1e:{job}:0"), Press("v1e:{job}:1")),
    "remix.choose_seed": (Press("v1es:{job}:0:1"),),
    "remix.draw": (Words(state="Remix:words", about=_RESULT),),
    "remix.anew": (Press("v1en:{job}:1"),),
    "lineage.show_named": (Words("/show {name}"), Words("/show", reply="{message}")),
    "lineage.show_tree": (Words("/tree {name}"), Words("/tree", reply="{message}")),
    "lineage.open_node": (Press("v1n:{picture}:0:"), Press("v1n:{picture}:1:{page}")),
    "lineage.undo": (Press("v1u:{picture}"),),
    "lineage.open_tree": (Press("v1nt:{picture}"),),
    "lineage.prove": (Press("v1np:{job}:1"),),
    "withheld.another_seed": (Press("v1j:seed:{job}"),),
    "withheld.against_the_judge": (Press("v1j:appeal:{job}"),),
    "edits.edit": tuple(Press(f"v1p:{action}:{{picture}}") for action in EDITS),
    "inpaint.mask_came": (Photo("Repaint:mask", _ABOUT),),
    "inpaint.draw": (Words(state="Repaint:words", about='{{"picture": "{picture}", "mask": "{mask}"}}'),),
    "inpaint.ask_for_mask": (Press("v1p:inpaint:{picture}"),),
    "inpaint.look": (Press("v1m:look:{picture}"), Press("v1m:grow:{picture}")),
    "inpaint.change": (Press("v1mp:grow:{preview}"), Press("v1mp:invert:{preview}")),
    "inpaint.ask_for_words": (Press("v1mp:use:{preview}"),),
    "extend.ask_where": (Press("v1p:extend:{picture}"),),
    "upscale.ask_which_part": (Press("v1p:try:{picture}"),),
    "upscale.another_part": (Press("v1t:{job}:5"), Press("v1t:{job}:0")),
    "outline.draw": (Words(state="Outline:words", about=_ABOUT),),
    "outline.ask_for_words": (Press("v1p:outline:{picture}"),),
    "mix.ask_for_second": (Press("v1p:mix:{picture}"),),
    "mix.mix": (Press("v1x:{album}:50"),),
    "ways.reply": (Words(reply="{message}"),),
    "ways.this_one": (Press("v1wh:{which}:1"),),
    "ways.ask_which_way": (Press("v1ws:{worded}"),),
    "ways.another_way": (Press("v1w:over:{worded}"), Press("v1w:outline:{worded}")),
    "photo.second": (Photo("Second:picture", _ABOUT),),
    "photo.photo": (),
    "photo.offer_one": (Press("v1p:offer:{picture}"),),
    "suggest.draw_again": (Press("say:{mended}:0"),),
    "suggest.draw_choice": (Press("say:{choice}:0"),),
    "imagine.imagine": (Words("/imagine {picture}"),),
    "imagine.plain_text": (Words("{picture}"),),
    "fallback.unknown_command": (Words("/unknown {picture}"),),
    "fallback.picture_or_file": (),
    "fallback.voice": (),
    "fallback.anything_else": (),
    "fallback.not_before_others": (),
    "fallback.edited": (),
    "fallback.unknown_button": (Press("v9:{job}"),),
}


def registered() -> Iterator[tuple[str, HandlerObject]]:
    """Every handler that the dispatcher has, by its module and name."""
    for module in (*dispatch.FIRST, *dispatch.FEATURES, *dispatch.LAST):
        for observer in module.router.observers.values():
            for each in observer.handlers if observer.event_name != "error" else ():
                yield f"{module.__name__.partition('.')[2]}.{each.callback.__name__}", each


def test_no_two_kinds_of_buttons_begin_alike() -> None:
    modules = {inspect.getmodule(handler.callback) for _, handler in registered()}
    kinds = {
        each for module in modules for each in vars(module).values() if inspect.isclass(each) and issubclass(each, CallbackData)
    }
    prefixes = sorted(each.__prefix__ for each in kinds if each is not CallbackData)
    assert len(prefixes) > 20
    assert prefixes == sorted(set(prefixes))


def test_every_handler_has_its_row() -> None:
    assert sorted(MATRIX) == sorted(name for name, _ in registered())


NAMES = {"job", "picture", "notice", "back", "receipt"}  # fields of buttons that name something


def test_every_button_that_names_something_is_pressed() -> None:
    unpressed = set()
    for name, handler in registered():
        for each in handler.filters or ():
            fields = each.callback.callback_data.model_fields if isinstance(each.callback, CallbackQueryFilter) else {}
            if NAMES & fields.keys() and not MATRIX[name]:
                unpressed.add(name)
    assert unpressed <= {"privacy.confirm", "privacy.refrain"}  # whose receipt is empty


async def hers(house: House) -> dict[str, str]:
    """One of everything of Anna's that has a name."""

    async def newest(key: str) -> str:
        found = await house.store.sql("SELECT public_id FROM notice WHERE key = :key ORDER BY id DESC LIMIT 1", key=key)
        return str(found[0][0])

    anna = house.anna
    job = await house.post.delivered(2)
    await does(house, anna.says("/history"))
    sent = await anna.sends_photo(picture())
    await house.gets(house.last())
    offer = house.said()[-1]
    await does(house, anna.presses("Repaint", offer.id))
    await does(house, anna.sends_document("mask.png", MASK, "image/png"))
    await does(house, anna.sends_album(picture((90, 90)), picture((91, 90))))
    await does(house, anna.says("a secret harbour", reply_to=house.post.photos[0].id))
    await does(house, anna.says("a lighthouse --seed soon"))
    choice = await newest("refused.parameter-whole")
    await does(house, anna.presses_data(f"v1e:{job.public_id}:1", house.post.photos[0].id))
    await does(house, anna.says("a hidden cave --seed soon"))
    mended = await newest("refused.parameter-whole")
    await does(house, anna.says("/cancel"))
    await does(house, anna.says("a hidden cove", reply_to=sent.id))
    worded = (await house.store.sql("SELECT public_id FROM job ORDER BY id DESC LIMIT 1"))[0][0]
    await does(house, anna.says("a quiet barn"))
    queued = (await house.store.sql("SELECT public_id FROM job ORDER BY id DESC LIMIT 1"))[0][0]
    where = "SELECT public_id, mask_id, name FROM picture WHERE mask_id IS NOT NULL"
    (public_id, mask, name) = (await house.store.sql(where))[0]
    async with house.application._db.begin() as session:
        await ErasureRepository(session).ask(house.post.user, 86400)
    receipt = (await house.store.sql("SELECT public_id FROM erasure"))[0][0]
    return {
        "picture": str(public_id), "mask": str(mask), "job": job.public_id, "worded": str(worded), "queued": str(queued),
        "preview": await newest("mask.preview"), "album": await newest("mix.offer"), "page": await newest("history.page"),
        "which": await newest("ways.which"), "choice": choice, "mended": mended, "receipt": str(receipt),
        "message": str(sent.id), "name": f"k-{name}",
    }  # fmt: skip


KEPT = (
    "id, state, cancel_requested, params FROM job", "* FROM picture", "id, key, params, state FROM notice", "* FROM report",
    "id, due_at FROM erasure", "id, entry FROM quota_ledger",
)  # fmt: skip


async def kept_of_anna(house: House) -> list[Any]:
    user = house.post.user.id
    return [sorted(map(str, await house.store.sql(f"SELECT {what} WHERE user_id = :user", user=user))) for what in KEPT]


async def tries(house: House, boris: Person, told: Press | Words | Photo, names: dict[str, str]) -> list[str]:
    """What Boris is told; every name in it is written as the same word."""
    since, states = boris.now, house.application._dialogs
    key = StorageKey(bot_id=BOT, chat_id=boris.id, user_id=boris.id)
    await states.set_state(key, getattr(told, "state", "") or None)
    await states.set_data(key, json.loads(getattr(told, "about", "{{}}").format(**names)))
    said: list[str] = []
    if isinstance(told, Press):
        await boris.presses_data(told.data.format(**names), 1)
        event = dict(house.last())
        if told.group:
            message = {"message_id": 5, "date": 1, "chat": GROUP, "text": "x"}
            event = {"callback_query": event["callback_query"] | {"message": message}}
        await house.gets(event)
        said.append(str((house.answer() or {}).get("text")))
    elif isinstance(told, Words):
        await boris.says(told.text.format(**names))
        event = dict(house.last())
        if told.reply:
            about = {"message_id": int(told.reply.format(**names)), "date": 1, "chat": event["message"]["chat"], "text": "x"}
            event = {"message": event["message"] | {"reply_to_message": about}}
        await house.gets(event)
    else:
        await boris.sends_photo(picture((77, 77)))
        await house.gets(house.last())
    done = "UPDATE job SET state = 'cancelled' WHERE user_id <> :user AND state = 'queued'"
    await house.store.sql(done, user=house.post.user.id)  # so that the next try finds as many waiting
    said += [message.text for message in boris.history(since)]  # beside some words stand examples, others each time
    return [re.sub("|".join(map(re.escape, names.values())), "NAME", each) for each in said]


async def test_what_is_annas_is_for_boris_as_if_it_were_not_there(full_house: House) -> None:
    names = await hers(full_house)
    unknown = dict.fromkeys(names, "A" * 16) | {"mask": f"{'0' * 64}.png", "message": "999999", "name": "k-0000"}
    boris = full_house.box.person("Boris", "en", patience=10)
    await does(full_house, boris.says("/start"))
    before = await kept_of_anna(full_house)
    for name, row in MATRIX.items():
        for told in row:
            theirs = await tries(full_house, boris, told, names)
            nobodys = await tries(full_house, boris, told, unknown)
            assert theirs, (name, told)
            assert theirs == nobodys, (name, told)
            assert await kept_of_anna(full_house) == before, (name, told)
    user = full_house.post.user.id
    secrets = {str(row[0]) for row in await full_house.store.sql("SELECT media_id FROM picture WHERE user_id = :u", u=user)}
    secrets |= {names["mask"], "secret harbour", "hidden cove", "hidden cave", "quiet barn"}
    theirs = "SELECT params FROM job WHERE user_id <> :u UNION ALL SELECT params FROM notice WHERE user_id <> :u"
    leaked = [text for (text,) in await full_house.store.sql(theirs, u=user) if any(secret in str(text) for secret in secrets)]
    assert leaked == []
    parents = "SELECT count(*) FROM job JOIN picture ON picture.id = job.parent_picture_id WHERE job.user_id <> picture.user_id"
    assert await full_house.store.number(parents) == 0


async def test_the_editor_knows_no_picture_but_ones_own(full_house: House) -> None:
    await does(full_house, full_house.anna.sends_photo(picture()))
    (public_id,) = (await full_house.store.sql("SELECT public_id FROM picture"))[0]
    boris = full_house.box.person("Boris", "en", patience=10)
    await does(full_house, boris.says("/start"))
    database = full_house.application._db
    desk = EditorDesk(database, BOT, Marks(database, full_house.post.media), full_house.application._dialogs, lambda: None)
    assert await desk.find(full_house.anna.id, str(public_id)) is not None
    for named in (str(public_id), "A" * 16):
        assert await desk.find(boris.id, named) is None
