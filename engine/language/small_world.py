"""What a small world's own reader says of an answer: whether it is a prompt of that world, and keeps what was said.

A small language model may lose a colour or put an object in another place; here that can be seen, unlike in the large world.
"""

from dataclasses import fields

from engine.nano_world import MAX_OBJECTS, Thing, Understanding, parse

_LISTS = ("unknown", "shapes", "things")


def keeps(prompt: str, answer: str) -> bool:
    """Whether an answer has all that was said, of the same objects in the same order, and nothing against it."""
    said, got = parse(prompt), parse(answer)
    if got.unknown or len(said.things) != len(got.things):
        return False
    return all(before is None or before == after for before, after in zip(attributes(said), attributes(got), strict=True))


def adds(prompt: str, answer: str) -> bool:
    """Whether an answer says more than was said, if there is more to say."""
    said, got = (attributes(parse(text)) for text in (prompt, answer))
    return None not in said or got.count(None) < said.count(None)


def same(prompt: str, answer: str) -> bool:
    """Whether an answer says just what was said."""
    return parse(prompt) == parse(answer)


def in_the_world(prompt: str) -> bool:
    """Whether a prompt names something to draw, and nothing that the world has no word or room for."""
    understood = parse(prompt)
    return not understood.unknown and 0 < len(understood.things) <= MAX_OBJECTS


def attributes(understood: Understanding) -> list[object]:
    """Every attribute that a prompt can say: of its objects, then of the picture; None for what it does not."""
    found = [getattr(thing, each.name) for thing in understood.things for each in fields(Thing)]
    return found + [getattr(understood, each.name) for each in fields(Understanding) if each.name not in _LISTS]
