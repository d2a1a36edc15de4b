"""Words about pictures, wherever they come from: read with their parameters, and what they are about kept when they slip."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from aiogram.fsm.context import FSMContext

from engine.requests import Request, RequestError, new_seed
from handlers.parameters import ParameterError, read_about
from handlers.ports import Submit
from storage.domain import Picture, Submitted, Wish

Make = Callable[[str, int], Request]  # of a prompt and a seed
INPAINT, OUTLINE, MIX = "inpaint", "outline", "mix"  # ways that have a question or buttons of their own
REMIX, MEANT = "remix", "meant"  # that are about a result


@dataclass(frozen=True)
class About:
    """What words are about, as a message can keep it.

    way: how they are understood.  pictures: public ids.  mask: its media id.  share: of the first of two pictures, in per cent.
    question: the state of the question that they answer.  offer: a picture that was sent just now, to be offered all the rest.
    job, index: the result that is drawn again with them, and which of its pictures (0: all).  new: with another seed.
    """

    way: str
    pictures: tuple[str, ...] = ()
    mask: str = ""
    share: int = 0
    question: str = ""
    offer: bool = False
    job: str = ""
    index: int = 0
    new: bool = False

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> "About | None":
        """Read it from the values of a message; None where there is none."""
        about = values.get("about")
        return cls(**{**about, "pictures": tuple(about["pictures"])}) if about else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    async def is_asked(self, state: FSMContext) -> bool:
        """Whether the question that these words answer is still open."""
        if not self.question or await state.get_state() != self.question:
            return False
        asked = await state.get_data()
        return bool(asked.get("job") == self.job if self.job else asked.get("picture") == self.pictures[0])


class Misread(Exception):
    """A slip in words about a picture. error: the slip.  text: the whole message.  about: what its suggestions are about, too."""

    def __init__(self, error: RequestError | ParameterError, text: str, about: About) -> None:
        super().__init__(str(error))
        self.error, self.text, self.about = error, text, about


@contextmanager
def about(what: About, text: str) -> Iterator[None]:
    """Raises: Misread for every slip inside."""
    try:
        yield
    except (RequestError, ParameterError) as error:
        raise Misread(error, text, what) from error


async def draw(
    text: str,
    what: About,
    make: Make,
    parent: Picture,
    wish: Wish,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Submitted:
    """Submit what words about a picture ask for, and say with it how they were read. Raises: Misread."""
    with about(what, text):
        asked = read_about(text, make, family, new_seed(), lanes, wordless=what.way == MIX)
        return await submit(replace(wish, remarks=asked.remarks), asked.request, parent)
