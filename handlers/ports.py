"""What handlers are handed: who acts, and the few things they may ask for. No handler knows who answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiogram.fsm.state import State
from aiogram.fsm.storage.base import StorageKey

from engine.requests import Request
from storage.domain import Erasure, Job, Picture, Submitted, User, Wish


@dataclass(frozen=True)
class Actor:
    """The person behind an update, and where it happened.

    pressed: it is a button.  dialog: the name of what the bot asks this person here.  ends: what answers this update ends that
    question, in the same moment.
    """

    user: User
    chat_id: int
    message_id: int | None
    inbox_id: int
    update_id: int
    pressed: bool = False
    dialog: str = ""
    ends: bool = False
    usual_beautify: str = "always"  # what happens to short prompts of who chose nothing

    @property
    def beautify(self) -> str:
        """What happens to this person's short prompts."""
        return self.user.settings.beautify or self.usual_beautify

    def ending(self) -> "Actor":
        """The same, whose answer ends the open question: a crash leaves both, or neither."""
        return replace(self, ends=True)

    def wish(self, action: str | None = None) -> Wish:
        """What this update asks for: a message is one wish, a button one per finished job."""
        where = f"{self.user.bot_id}:{self.chat_id}:{self.message_id}"
        ends = self.dialog if self.ends else None
        if action is None:
            return Wish(self.user, self.chat_id, self.inbox_id, f"m:{where}", self.message_id, ends=ends)
        button = f"cb:{where}:{action}"
        return Wish(self.user, self.chat_id, self.inbox_id, button, self.message_id, button, ends=ends)


@dataclass(frozen=True)
class Toast:
    """The answer to a press: a short text at the top of the chat, or a window to close."""

    key: str
    alert: bool = False


def unless_new(new: bool) -> Toast | None:
    """The answer to a press that brings a message: none, or where it came already, where to look."""
    return None if new else Toast("toast.look-below")


@dataclass(frozen=True)
class SentFile:
    """A picture as Telegram announces it. size: in bytes.  album: what several that were sent as one share."""

    file_id: str
    size: int | None = None
    album: str | None = None
    caption: str | None = None


@dataclass(frozen=True)
class TakenMask:
    """A mask as it was kept: its media id. read: how a file was understood, one of `MASK_READINGS`; "" for a pencil's."""

    media_id: str
    read: str = ""


class Submit(Protocol):
    """Accept a request; `parent` is the picture that it starts from."""

    async def __call__(self, wish: Wish, request: Request, parent: Picture | None = None) -> Submitted: ...


class TakePicture(Protocol):
    """Fetch, decode and keep what a person sent. Raises: Refused with the reason and its numbers."""

    async def __call__(self, actor: Actor, file: SentFile) -> Picture: ...


class FindPicture(Protocol):
    """Find a picture of this person's. Raises: Refused when it is not theirs or not there."""

    async def __call__(self, user: User, public_id: str) -> Picture: ...


class FindAlbum(Protocol):
    """This person's pictures of one album, in the order in which they were sent."""

    async def __call__(self, user: User, album: str) -> list[Picture]: ...


class FindShown(Protocol):
    """This person's pictures that a message shows, one that they sent or one of the bot's; none of somebody else's."""

    async def __call__(self, actor: Actor, message_id: int) -> list[Picture]: ...


class TakeMask(Protocol):
    """Keep what a person marked on a picture, by a pencil or in a file. Raises: Refused, RequestError with the reason."""

    async def __call__(self, actor: Actor, picture: Picture, file: SentFile) -> TakenMask: ...


class ChangeMask(Protocol):
    """Change a mask (a media id) of a picture in one of the ways of `MASK_CHANGES`; returns the new one's media id.

    Raises: Refused if nothing or everything would be marked.
    """

    async def __call__(self, picture: Picture, mask: str, change: str) -> str: ...


class FindParent(Protocol):
    """The picture that a job started from; None if there is none."""

    async def __call__(self, job: Job) -> Picture | None: ...


class FindDrawn(Protocol):
    """Picture `index` (from 1) of a job. Raises: Refused if there is none, which may have been withheld."""

    async def __call__(self, job: Job, index: int) -> Picture: ...


class FindNamed(Protocol):
    """This person's picture of a name, however that is spelled; None if it is not theirs or not there."""

    async def __call__(self, user: User, name: str) -> Picture | None: ...


class FindNewest(Protocol):
    """This person's newest picture; None before the first."""

    async def __call__(self, user: User) -> Picture | None: ...


class FindOrigin(Protocol):
    """What a picture was made from. Raises: Refused when that is gone, or when it was made from none."""

    async def __call__(self, picture: Picture) -> Picture: ...


class Recognise(Protocol):
    """The drawn picture of the same person that a sent one shows; None if there is none."""

    async def __call__(self, picture: Picture) -> Picture | None: ...


class Favour(Protocol):
    """Put picture `index` (from 1) of a job among its person's favourites, or take it out. Raises: Refused if there is none."""

    async def __call__(self, job: Job, index: int, favourite: bool) -> None: ...


class ShowCard(Protocol):
    """Owe the person a picture's card; `back` puts it in the place of the message that was pressed, as in `Show`."""

    async def __call__(self, actor: Actor, picture: Picture, back: str | None = None) -> None: ...


class OfferAlbum(Protocol):
    """Owe the person one answer to a whole album, a moment after its last picture."""

    async def __call__(self, actor: Actor, album: str) -> None: ...


class FindSeed(Protocol):
    """The seed of a job's index-th picture, from 1; None if there is no such picture, which may have been withheld."""

    async def __call__(self, job: Job, index: int) -> int | None: ...


class Say(Protocol):
    """Owe the person a text: a key of `locales/`; `choices` are buttons whose words are drawn when tapped."""

    async def __call__(
        self, actor: Actor, key: str, values: Mapping[str, Any] | None = None, choices: Sequence["Choice"] = ()
    ) -> None: ...


class Cancel(Protocol):
    """Cancel a job of this person's if it is not done; returns it as it was."""

    async def __call__(self, user: User, public_id: str, inbox_id: int | None, message_id: int | None = None) -> Job: ...


class ActiveJobs(Protocol):
    async def __call__(self, user: User) -> list[Job]: ...


class FindJob(Protocol):
    """Find a job of this person's. Raises: Refused when it is not theirs or not there."""

    async def __call__(self, user: User, public_id: str) -> Job: ...


class FindChoice(Protocol):
    """Find the words behind a choice button of a message that the bot sent to this person."""

    async def __call__(self, user: User, notice: str, index: int) -> str | None: ...


class Show(Protocol):
    """Show picture `index` of a job (0: the whole sheet) in the message that was pressed.

    `back` makes it a card: it names the history page that the person came from.
    """

    async def __call__(self, actor: Actor, job: Job, index: int, back: str | None = None) -> None: ...


class Screen(Protocol):
    """Owe the person a message by the key of its text; some are drawn from SQL at the moment they are sent.

    `edit`: it takes the place of the message that was pressed.  `reply`: it comes under that message.  Without
    either, a button that is pressed twice at once brings it once; then this returns False.
    """

    async def __call__(
        self, actor: Actor, key: str, values: Mapping[str, Any] | None = None, edit: bool = False, reply: bool = False
    ) -> bool: ...


class Ask(Protocol):
    """Owe the person a question, and in the same moment know that their next message may be its answer.

    about: what the answer will need, as values of JSON.  A button that is pressed twice at once asks once; then this
    returns False.
    """

    async def __call__(
        self, actor: Actor, key: str, dialog: StorageKey, answer: State, about: Mapping[str, Any] | None = None
    ) -> bool: ...


class FindScreen(Protocol):
    """Find the values behind a message that the bot sent to this person; none where there is no such message."""

    async def __call__(self, user: User, notice: str) -> Mapping[str, Any]: ...


class CountPictures(Protocol):
    """How many pictures this person has drawn, or has drawn of prompts with all words of `find`."""

    async def __call__(self, user: User, find: str = "") -> int: ...


class ChangeSettings(Protocol):
    """Store what a person chose; None forgets a choice."""

    async def __call__(self, user: User, changes: Mapping[str, Any]) -> None: ...


class SendFile(Protocol):
    """Send picture `index` of a job (0: the whole sheet) as a file; return False if it is on its way, or has just come."""

    async def __call__(self, actor: Actor, job: Job, index: int) -> bool: ...


class Export(Protocol):
    """Owe the person all that is theirs as files; return False, and say so, if it is on its way already."""

    async def __call__(self, actor: Actor) -> bool: ...


class Forget(Protocol):
    """Note that a person wants to be forgotten, and cancel what they have under way; asked again, it is the same wish."""

    async def __call__(self, user: User) -> Erasure: ...


class KeepAll(Protocol):
    """Take that wish back; return False if there is none."""

    async def __call__(self, user: User) -> bool: ...


class FindErasure(Protocol):
    """Find what a receipt stands for: a wish of this person's, or one that is done and so nobody's."""

    async def __call__(self, user: User, receipt: str) -> Erasure | None: ...


class Report(Protocol):
    """Keep what a person says of picture `index` of a job (0: the whole sheet); return False if they said so before.

    The job is theirs, or its pictures are in this chat. Raises: Refused.
    """

    async def __call__(self, actor: Actor, job: str, index: int, reason: str) -> bool: ...


class Appeal(Protocol):
    """Keep that this person thinks the judge was wrong about what it withheld of their job; False if they have said so before.

    Raises: Refused where nothing was withheld.
    """

    async def __call__(self, user: User, job: str) -> bool: ...


@dataclass(frozen=True)
class Choice:
    """A button that speaks for the person: its label, and the prompt that a tap draws. key: a text in place of the label."""

    label: str
    prompt: str
    key: str | None = None
