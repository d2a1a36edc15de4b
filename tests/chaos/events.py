"""What may happen to the job machine: good days, and faults of every kind."""

from typing import Any

from hypothesis import strategies as st

from tests.chaos.chats import End

PEOPLE = st.sampled_from((101, 102, 103))
ANY = st.integers(0, 11)  # one of whatever there is, counted from the newest
HAND = st.sampled_from((0, 1))
ENDS = st.one_of(
    st.lists(st.sampled_from(End), max_size=4),
    st.just([End.REFUSED]),
    st.tuples(st.sampled_from((End.UNANSWERED, End.KILLED_AFTER, End.UNNOTED)), st.sampled_from((End.FLOOD, End.DOWN))).map(list),
)
ACTS = st.sampled_from(("beat", "step", "stopped", "failed", "broke", "full"))


def ordinary() -> list[st.SearchStrategy[tuple[Any, ...]]]:
    """What happens on a good day."""
    return [
        st.tuples(st.just("writes"), PEOPLE, st.booleans()),
        st.tuples(st.just("presses"), PEOPLE, st.sampled_from((1, 2))),
        st.tuples(st.just("works"), HAND, st.sampled_from(("beat", "step", "step", "stopped"))),
        st.tuples(st.just("delivers"), st.sampled_from((1, 2))),
        st.tuples(st.just("sweeps"), st.sampled_from((2.0, 11.0, 29.0))),
    ]


FAULTS: list[st.SearchStrategy[tuple[Any, ...]]] = [
    st.tuples(st.just("telegram_repeats"), ANY, st.booleans()),
    st.tuples(st.just("update_waits"), PEOPLE, st.booleans()),
    st.tuples(st.just("handlers_fail"), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("cancels"), ANY),
    st.tuples(st.just("cancels_drawing"), ANY, ACTS),
    st.tuples(st.just("stranger_cancels"), ANY),
    st.tuples(st.just("blocks"), PEOPLE),
    st.tuples(st.just("deletes_a_message"), ANY),
    st.tuples(st.just("drawing_fails"), ANY, st.sampled_from(("failed", "broke", "full"))),
    st.tuples(st.just("zombie_writes"), ANY, ACTS),
    st.tuples(st.just("process_ends"), ANY, st.booleans()),
    st.tuples(st.just("lease_ends"), ANY, ACTS),
    st.tuples(st.just("was_away"), st.booleans()),
    st.tuples(st.just("deadline_passes"), ANY, st.booleans(), ENDS),
    st.tuples(st.just("broker_forgets"), st.booleans()),
    st.tuples(st.just("telegram_fails"), ENDS),
    st.tuples(st.just("results_fail"), st.booleans(), ENDS),
]

# One rule for all: of many rules Hypothesis leaves half out of each example, and then nothing is ever drawn or brought.
EVENTS = st.one_of(*ordinary(), *ordinary(), *ordinary(), *FAULTS)
