"""What is known of a queue: how long drawings take, and where somebody who waits stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Measured seconds from claim to picture for one queue and size."""

    p50: float
    p90: float


@dataclass(frozen=True)
class InHand:
    """A drawing that a worker is at: how long so far, and at which of its steps (`steps` is 0 before the first)."""

    elapsed_s: float
    step: int
    steps: int


@dataclass(frozen=True)
class QueueView:
    """What a waiting person may know: place 1 is next; of the workers alive, some still load, some have a drawing in hand."""

    place: int
    people_before: int
    people: int
    workers: int
    loading: int
    in_hand: tuple[InHand, ...] = ()
