"""All that is one person's, packed for them: pictures, recipes and lineage, in as many files as Telegram's limit asks for.

A file is made when it is about to be sent, in a temporary file that has no name, so that a killed process leaves nothing.
It is made of the same pictures however often it must be sent; the next one is owed when it has arrived.
"""

import asyncio
import json
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from aiogram import Bot
from aiogram.types import InputFile

from bot.messages import Messages
from storage.database import Database
from storage.domain import User
from storage.errors import MediaMissing
from storage.media import MediaStore
from storage.names import shown_name
from storage.post import NewNotice, Notice, SendState
from storage.repositories.erasures import ErasureRepository
from storage.repositories.exports import ExportRepository, OwnPicture
from storage.repositories.inbox import InboxRepository
from storage.repositories.outgoing import NoticeRepository

PART = "export"  # key of the notice that one file of an export is
_MB = 1_000_000
_AT_ONCE = 50  # rows
_CHUNK = 1 << 18  # bytes


class OpenFile(InputFile):
    """A file that is open, sent in pieces that are read in a thread."""

    def __init__(self, file: IO[bytes], filename: str) -> None:
        super().__init__(filename, _CHUNK)
        self._file = file

    async def read(self, bot: Bot) -> AsyncGenerator[bytes, None]:
        await asyncio.to_thread(self._file.seek, 0)
        while chunk := await asyncio.to_thread(self._file.read, self.chunk_size):
            yield chunk

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Part:
    """One file of an export, open; `next` is the notice that is owed once it has arrived, if there is more."""

    file: OpenFile
    caption: str
    next: NewNotice | None


class Exports:
    def __init__(self, database: Database, media: MediaStore, messages: Messages, part_mb: int) -> None:
        self._db, self._media, self._messages, self._part = database, media, messages, part_mb * _MB

    async def ask(self, user: User, chat_id: int, inbox_id: int, wish: str) -> bool:
        """Owe this person all that is theirs, and a word that it comes; False if it is on its way already."""
        async with self._db.begin() as session:
            notices = NoticeRepository(session)
            new = not await notices.is_owed(user.id, PART)
            held = await ErasureRepository(session).holdings(user.id)
            key = "export.packing" if new else "export.on-its-way"
            values = {"pictures": held.pictures, "jobs": held.jobs, "mb": self._part // _MB}
            await notices.add(
                NewNotice(bot_id=user.bot_id, chat_id=chat_id, user_id=user.id, key=key, params=values, dedupe_key=f"{wish}:word")
            )
            if new:
                newest = await ExportRepository(session).newest_picture(user.id)
                params = {"export": wish, "part": 1, "after": 0, "until": newest}
                await notices.add(
                    NewNotice(
                        bot_id=user.bot_id, chat_id=chat_id, user_id=user.id, key=PART, params=params, dedupe_key=f"{wish}:1"
                    )
                )
            await InboxRepository(session).done(inbox_id)
        return new

    async def part(self, notice: Notice, language: str) -> Part:
        """Pack the part that a notice stands for. Raises: MediaAway."""
        user_id, number, until = int(notice.user_id or 0), int(notice.params["part"]), int(notice.params["until"])
        spool = await asyncio.to_thread(tempfile.TemporaryFile)
        try:
            archive = zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED)
            packed, left_out, more = await self._pictures(archive, user_id, int(notice.params["after"]), until)
            async with self._db.read() as session:
                own = ExportRepository(session)
                jobs = await own.jobs(user_id, {picture.job_id for picture in packed if picture.job_id is not None})
                jobs += await own.jobs_without_pictures(user_id) if number == 1 else []
                person = await own.person(user_id) if number == 1 else None
            readme = self._messages.label(language)("export.readme")
            await asyncio.to_thread(_write_texts, archive, packed, left_out, jobs, person, readme)
            await asyncio.to_thread(archive.close)
        except BaseException:
            spool.close()
            raise
        last = packed[-1].id if packed else until
        following = _following(notice, number + 1, last) if more else None
        values = {"part": number, "pictures": len(packed) - len(left_out), "left_out": len(left_out)}
        return Part(OpenFile(spool, _name(notice, number, more)), self._caption(notice, language, values, more), following)

    async def _pictures(
        self, archive: zipfile.ZipFile, user_id: int, after: int, until: int
    ) -> tuple[list[OwnPicture], set[str], bool]:
        """Pack pictures until the part is full; return which, which of them are left out, and whether there are more."""
        packed: list[OwnPicture] = []
        left_out: set[str] = set()
        size = 0
        while True:
            async with self._db.read() as session:
                found = await ExportRepository(session).pictures(user_id, packed[-1].id if packed else after, until, _AT_ONCE)
            for picture in found:
                try:
                    data = await asyncio.to_thread(self._media.get, picture.media_id)
                except MediaMissing:
                    data = b""
                if size and size + len(data) > self._part:
                    return packed, left_out, True
                if not data or len(data) > self._part:
                    left_out.add(picture.public_id)
                else:
                    await asyncio.to_thread(_write_picture, archive, picture, data)
                    size += len(data)
                packed.append(picture)
            if len(found) < _AT_ONCE:
                return packed, left_out, False

    def _caption(self, notice: Notice, language: str, values: dict[str, int], more: bool) -> str:
        lines = [self._messages.text(language, "export.caption", values)]
        if values["left_out"]:
            lines.append(self._messages.text(language, "export.left-out", {**values, "mb": self._part // _MB}))
        lines.append(self._messages.text(language, "export.more" if more else "export.all"))
        if notice.state == SendState.UNKNOWN:
            lines.append(self._messages.text(language, "result.sent-again"))
        return "\n".join(lines)


def failed_word(notice: Notice) -> NewNotice:
    """What a person is told when a part could not be sent: the rest does not follow."""
    word = _following(notice, int(notice.params["part"]), 0)
    params = {"part": notice.params["part"]}
    return NewNotice(**{**word.__dict__, "key": "export.failed", "params": params, "dedupe_key": f"{word.dedupe_key}:failed"})


def _following(notice: Notice, number: int, after: int) -> NewNotice:
    export = str(notice.params["export"])
    return NewNotice(
        bot_id=notice.bot_id,
        chat_id=notice.chat_id,
        user_id=notice.user_id,
        key=PART,
        params={**notice.params, "part": number, "after": after},
        dedupe_key=f"{export}:{number}",
    )


def _name(notice: Notice, number: int, more: bool) -> str:
    return "kandinsky-export.zip" if number == 1 and not more else f"kandinsky-export-{number}.zip"


def _file(picture: OwnPicture) -> str:
    return f"pictures/{picture.public_id}.{picture.media_id.partition('.')[2]}"


def _write_picture(archive: zipfile.ZipFile, picture: OwnPicture, data: bytes) -> None:
    archive.writestr(_file(picture), data, zipfile.ZIP_STORED)  # it is compressed already


def _write_texts(
    archive: zipfile.ZipFile,
    pictures: Sequence[OwnPicture],
    left_out: set[str],
    jobs: Sequence[dict[str, Any]],
    person: dict[str, Any] | None,
    readme: str,
) -> None:
    lineage = [
        {
            "id": picture.public_id,
            "name": shown_name(picture.name),
            "file": None if picture.public_id in left_out else _file(picture),
            "recipe": picture.job,
            "number": picture.ordinal + 1,
            "made_from": picture.parent,
            "operation": picture.operation,
            "seed": picture.seed,
            "width": picture.width,
            "height": picture.height,
            "favourite": picture.favourite,
            "words_sent_with_it": picture.caption,
            "made_at": _time(picture.created_at),
        }
        for picture in pictures
    ]
    recipes = [
        {
            **job,
            "request": json.loads(job["request"]),
            "wording": json.loads(job["wording"] or "null"),
            "asked_at": _time(job["asked_at"]),
            "finished_at": _time(job["finished_at"]),
        }
        for job in jobs
    ]
    _write_json(archive, "lineage.json", lineage)
    _write_json(archive, "recipes.json", recipes)
    if person is not None:
        said = {what: [{**each, "at": _time(each["at"])} for each in person[what]] for what in ("reports", "appeals")}
        about = {
            **person, "settings": json.loads(person["settings"]), "first_seen": _time(person["first_seen"]), **said,
        }  # fmt: skip
        _write_json(archive, "person.json", about)
    archive.writestr("README.txt", readme + "\n")


def _write_json(archive: zipfile.ZipFile, name: str, value: object) -> None:
    archive.writestr(name, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
