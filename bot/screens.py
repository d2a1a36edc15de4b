"""Messages that show what SQL says at the moment they are sent: a page of the history, the settings, the queue."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import MappingProxyType

from bot import family_tree
from bot.jobs import Jobs
from bot.marking import Marks
from bot.messages import Messages
from bot.presentation import as_gallery, as_photo, as_thumbnail
from bot.said import Said, moment, span
from bot.texts import LANGUAGES, shorten
from engine.requests import from_json
from handlers import history, inpaint, lineage, privacy, settings, waiting
from storage.database import Database
from storage.domain import FAVOURITE, Job, JobState, Kept, Picture, UserSettings
from storage.errors import MediaMissing, NotFound
from storage.media import MediaStore
from storage.names import shown_name
from storage.post import Notice
from storage.repositories.erasures import ErasureRepository
from storage.repositories.history import HistoryRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.lineage import Family, LineageRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.users import UserRepository

log = logging.getLogger(__name__)

_PROMPT_IN_QUEUE = 200  # UTF-16 units
_PROMPT_IN_BUTTON = 28
_LISTED = 10  # jobs of one person


class Screens:
    def __init__(self, database: Database, jobs: Jobs, messages: Messages, media: MediaStore) -> None:
        self._db, self._jobs, self._messages, self._media = database, jobs, messages, media
        self._marks = Marks(database, media)

    async def draw(self, notice: Notice, language: str) -> Said:
        """Draw a notice whose key is one of `SCREENS` for the person it belongs to."""
        return await SCREENS[notice.key](self, notice, language)

    async def history(self, notice: Notice, language: str) -> Said:
        """A page of small pictures; one that has become too high a number is the last."""
        user_id, find, label = int(notice.user_id or 0), str(notice.params.get("find", "")), self._messages.label(language)
        async with self._db.read() as session:
            pictures = HistoryRepository(session)
            count = await pictures.count(user_id, find)
            pages = max(1, -(-count // history.PAGE))
            page = min(int(notice.params["page"]), pages)
            kept = await pictures.page(user_id, page, history.PAGE, find)
        if not kept:
            return Said(self._messages.text(language, "history.no-favourites" if find == FAVOURITE else "history.empty"))
        values = {"pictures": count, "page": page, "pages": pages, "find": find}
        key = "history.favourites" if find == FAVOURITE else "history.found" if find else "history.page"
        text = self._messages.text(language, key, values)
        stars = {place for place, each in enumerate(kept) if each.picture.favourite}
        photo = await asyncio.to_thread(as_gallery, await self._thumbnails(user_id, kept), history.layout(len(kept)), stars)
        return Said(text, history.page_keyboard(kept, notice.public_id, page, pages, find, label), photo)

    async def settings(self, notice: Notice, language: str) -> Said:
        """The menu, or (`settings.sizes`) its list of sizes."""
        family, label = str(notice.params["family"]), self._messages.label(language)
        async with self._db.read() as session:
            chosen = await UserRepository(session).settings(int(notice.user_id or 0))
        width, height = settings.size(chosen, family)
        size = f"{width}×{height}"
        if notice.key == "settings.sizes":
            text = self._messages.text(language, notice.key, {"size": size})
            return Said(text, settings.sizes_keyboard(chosen, family, label))
        text = self._messages.text(language, notice.key, self._values(chosen, family, size, label))
        lanes, usual = self._messages.lanes, self._messages.usual_beautify
        if settings.can_beautify(family, lanes):
            beautify = label(f"settings.beautify-{chosen.beautify or usual}")
            text += "\n" + self._messages.text(language, "settings.beautify", {"beautify": beautify})
        return Said(text, settings.keyboard(chosen, family, LANGUAGES, label, lanes, usual))

    def _values(self, chosen: UserSettings, family: str, size: str, label: Callable[..., str]) -> dict[str, object]:
        language = chosen.language if chosen.language in LANGUAGES else "auto"
        return {
            "language": label(f"settings.language-{language}"),
            "pictures": settings.pictures(chosen, family),
            "size": size if settings.many_sizes(family) else label("settings.one-size", {"size": size}),
            "delivery": label(f"settings.delivery-{chosen.delivery}"),
        }

    async def queue(self, notice: Notice, language: str) -> Said:
        """What waits and is drawn of this person's; after a refusal, below what was refused."""
        user_id = int(notice.user_id or 0)
        async with self._db.read() as session:
            jobs = await JobRepository(session).active_of(user_id)
        if notice.key == "refused.queue-full":
            refusal = self._messages.text(language, notice.key, notice.params)
            room = len(jobs) < int(notice.params["limit"])  # some were drawn before this could be said, or since
            parts = [f"{refusal} {self._messages.text(language, 'queue.done-meanwhile' if room else 'queue.stop-one')}"]
            if not jobs:
                return Said(parts[0])
        elif jobs:
            parts = [self._messages.text(language, notice.key)]
        else:
            return Said(self._messages.text(language, "queue.empty"))
        lines = []
        for number, job in enumerate(jobs[:_LISTED], start=1):
            prompt = self._messages.title(from_json(job.drawing), language)
            lines.append(waiting.Line(number, shorten(prompt, _PROMPT_IN_BUTTON), job))
            values = {"number": number, "prompt": shorten(prompt, _PROMPT_IN_QUEUE), "status": await self._status(job, language)}
            parts.append(self._messages.text(language, "queue.line", values))
        if len(jobs) > _LISTED:
            parts.append(self._messages.text(language, "queue.more", {"count": len(jobs) - _LISTED}))
        parts.append(await self._turn(jobs, language))
        about = frozenset((job.id, job.state) for job in jobs)
        return Said("\n\n".join(filter(None, parts)), waiting.queue_keyboard(lines, self._messages.label(language)), about=about)

    async def pictures(self, notice: Notice, language: str) -> Said:
        """Several pictures together, an album or two that were sent one after the other."""
        user_id = int(notice.user_id or 0)
        async with self._db.read() as session:
            repository = PictureRepository(session)
            if "album" in notice.params:
                pictures = await repository.of_album(user_id, str(notice.params["album"]))
            else:
                pictures = await repository.owned_of(notice.params.get("pictures", ()), user_id)
        if not pictures:  # forgotten meanwhile
            return self._gone(language)
        return self._messages.offer_pictures(notice, pictures, language)

    async def ways_to_a_mask(self, notice: Notice, language: str) -> Said:
        """How to mark a part of a picture."""
        picture = await self._picture(notice)
        return self._messages.ways_to_a_mask(picture, language) if picture else self._gone(language)

    async def mask(self, notice: Notice, language: str) -> Said:
        """A picture with a mask over it, the one that this message is of, to be looked at before anything is drawn."""
        picture = await self._picture(notice)
        mask = notice.params.get("mask")
        if picture is None or mask is None:
            return self._gone(language)
        photo, share = await self._marks.preview(picture, str(mask))
        text = self._messages.text(language, notice.key, {"share": max(1, round(100 * share))})
        if read := notice.params.get("read"):
            text += "\n" + self._messages.text(language, f"mask.read-{read}")
        return Said(text, inpaint.preview_keyboard(notice.public_id, self._messages.label(language)), photo)

    async def tree(self, notice: Notice, language: str) -> Said:
        """A picture's family, with a button for each of its members."""
        picture = await self._picture(notice)
        if picture is None:
            return self._gone(language)
        async with self._db.read() as session:
            family = await LineageRepository(session).family(picture, lineage.MEMBERS)
        small = await self._thumbnails(picture.user_id, list(family.members))
        members = _members(family, small)
        photo = await asyncio.to_thread(family_tree.draw, members, picture.id)
        own = [(each.picture, each.parent is not None) for each in members if each.picture is not None]
        ways = {family_tree.sign(*each): self._messages.mode(*each, language) for each in own}
        values = {"count": family.count, "name": shown_name(picture.name), "shown": len(own)}
        lines = [self._messages.text(language, "tree.page" if family.count == len(own) else "tree.part", values)]
        lines += [self._messages.text(language, "tree.way", {"sign": sign, "mode": mode}) for sign, mode in ways.items()]
        if family.orphan:
            lines.append(self._messages.text(language, "tree.orphan"))
        keyboard = lineage.tree_keyboard([(family_tree.sign(*each), each[0]) for each in own])
        return Said("\n".join(lines), keyboard, photo)

    async def upload(self, notice: Notice, language: str) -> Said:
        """The card of a picture that was sent."""
        picture = await self._picture(notice)
        if picture is None:
            return self._gone(language)
        async with self._db.read() as session:
            kin = await LineageRepository(session).kin(picture, lineage.CHILDREN)
        data = await asyncio.to_thread(self._media.get, picture.media_id)
        said = self._messages.upload(picture, kin, str(notice.params.get("back", "")), language)
        return replace(said, photo=await asyncio.to_thread(as_photo, data))

    async def known(self, notice: Notice, language: str) -> Said:
        """A picture that was sent is one of the person's own."""
        picture = await self._picture(notice)
        if picture is None or picture.job_id is None:
            return self._gone(language)
        async with self._db.read() as session:
            job = await JobRepository(session).get(picture.job_id)
            pictures = await PictureRepository(session).of_job(job.id)
        index = [each.id for each in pictures].index(picture.id) + 1
        return self._messages.known(job, pictures, index, str(notice.params["sent"]), language)

    async def remix(self, notice: Notice, language: str) -> Said:
        """The question what to change in a result."""
        try:
            async with self._db.read() as session:
                job = await JobRepository(session).owned(str(notice.params.get("job", "")), int(notice.user_id or 0))
        except NotFound:
            return self._gone(language)
        return self._messages.remix(job, int(notice.params["index"]), bool(notice.params["new"]), language)

    async def _picture(self, notice: Notice) -> Picture | None:
        async with self._db.read() as session:
            pictures = PictureRepository(session)
            found = await pictures.owned_of([str(notice.params.get("picture", ""))], int(notice.user_id or 0))
        return found[0] if found else None

    def _gone(self, language: str) -> Said:
        return Said(self._messages.text(language, "refused.not-found"))

    async def words(self, notice: Notice, language: str) -> Said:
        """What was added to a person's words, with what they dropped of it."""
        try:
            async with self._db.read() as session:
                job = await JobRepository(session).owned(str(notice.params.get("job", "")), int(notice.user_id or 0))
        except NotFound:
            return self._gone(language)
        return self._messages.question(job, language, int(notice.params["dropped"]))

    async def forget(self, notice: Notice, language: str) -> Said:
        """The question whether all shall be deleted, or, once it is answered, until when that can be taken back."""
        user_id, label, refused = int(notice.user_id or 0), self._messages.label(language), notice.key.startswith("refused.")
        parts = [self._messages.text(language, notice.key)] if refused else []
        if notice.chat_id < 0:  # before others, not a word more
            return Said(parts[0])
        async with self._db.read() as session:
            erasure = await ErasureRepository(session).of(user_id)
            held = await ErasureRepository(session).holdings(user_id) if erasure is None else None
        if erasure is not None:
            values = {"when": moment(erasure.due_at, language), "receipt": erasure.public_id, "jobs": erasure.stopped}
            parts.append(self._messages.text(language, "forget.waiting", values))
            if erasure.stopped:
                parts.append(self._messages.text(language, "forget.stopped", values))
            return Said("\n\n".join(parts), privacy.undo_keyboard(erasure.public_id, label))
        if held is None or notice.key != "forget.ask":  # a wish may be taken back before its refusal is said
            return Said(self._messages.text(language, "forget.kept"))
        grace = span(float(notice.params["grace_s"]), language)
        return Said(self._messages.text(language, "forget.ask", {**vars(held), "grace": grace}), privacy.ask_keyboard(label))

    async def forgotten(self, notice: Notice, language: str) -> Said:
        """A receipt: when everything of somebody was deleted, and how much it was."""
        receipt = str(notice.params["receipt"])
        async with self._db.read() as session:
            erasure = await ErasureRepository(session).find(receipt, int(notice.user_id or 0))
        if erasure is None or erasure.done_at is None:
            return Said(self._messages.text(language, "forget.kept"))
        values = {**vars(erasure.erased), "when": moment(erasure.done_at, language), "receipt": receipt}
        text = self._messages.text(language, "forget.done", values)
        if erasure.files_left:
            text += "\n\n" + self._messages.text(language, "forget.files-left", {"files": erasure.files_left})
        return Said(text)

    async def _status(self, job: Job, language: str) -> str:
        waits = job.state == JobState.QUEUED
        view, timing = await self._jobs.queue_view(job, asked=True) if waits else (None, None)
        return self._messages.status_text(job, language, view, timing)

    async def _turn(self, jobs: list[Job], language: str) -> str:
        """Where this person stands among all who wait, by people."""
        waits = next((job for job in jobs if job.state == JobState.QUEUED), jobs[0])
        view, _ = await self._jobs.queue_view(waits, asked=True)
        return self._messages.turn(view, waits.state == JobState.QUEUED, language)

    async def _thumbnails(self, user_id: int, kept: list[Kept]) -> list[bytes | None]:
        """The small copies, made once and kept; None for a picture that is gone."""
        small = await asyncio.gather(*(asyncio.to_thread(self._thumbnail, each) for each in kept))
        made = {each.picture.id: new for each, (_, new) in zip(kept, small, strict=True) if new is not None}
        if made:
            async with self._db.begin() as session:
                await PictureRepository(session).remember_thumbnails(user_id, made)
        return [data for data, _ in small]

    def _thumbnail(self, kept: Kept) -> tuple[bytes | None, str | None]:
        """A small copy, and its media id if it was made just now."""
        if kept.thumbnail_id is not None:
            try:
                return self._media.get(kept.thumbnail_id), None
            except MediaMissing:
                pass
        try:
            data = as_thumbnail(self._media.get(kept.picture.media_id))
        except (MediaMissing, OSError) as error:
            log.warning("picture %s is not to be had: %s", kept.picture.public_id, type(error).__name__)
            return None, None
        return data, self._media.put(data, ".jpg")


def _members(family: Family, small: Sequence[bytes | None]) -> list[family_tree.Member]:
    """What the tree is drawn of; what the first was made from, and is gone, stands above it."""
    gone = [family_tree.Member(None, None)] if family.orphan else []
    place = {kept.picture.id: number for number, kept in enumerate(family.members, start=len(gone))}
    first = 0 if gone else None

    def parent(picture: Picture) -> int | None:
        return place.get(picture.parent_id, first) if picture.parent_id else first

    members = [
        family_tree.Member(kept.picture, parent(kept.picture), data) for kept, data in zip(family.members, small, strict=True)
    ]
    return [*gone, *members]


SCREENS: MappingProxyType[str, Callable[[Screens, Notice, str], Awaitable[Said]]] = MappingProxyType(
    {
        "history.page": Screens.history,
        "settings.menu": Screens.settings,
        "settings.sizes": Screens.settings,
        "queue.menu": Screens.queue,
        "refused.queue-full": Screens.queue,
        "mix.offer": Screens.pictures,
        "inpaint.how": Screens.ways_to_a_mask,
        "mask.preview": Screens.mask,
        "words.question": Screens.words,
        "tree.page": Screens.tree,
        "card.upload": Screens.upload,
        "photo.known": Screens.known,
        "remix.ask": Screens.remix,
        "forget.ask": Screens.forget,
        "forget.kept": Screens.forget,
        "refused.being-forgotten": Screens.forget,
        "forget.done": Screens.forgotten,
    }
)
