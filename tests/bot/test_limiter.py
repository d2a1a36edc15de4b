"""How fast the bot may speak, by a clock that the test turns."""

from dataclasses import dataclass

import pytest

from bot.limiter import Limiter
from bot.settings import LimitSettings


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(clock)


def _taken(limiter: Limiter, chat_id: int, tries: int) -> int:
    return sum(limiter.take(chat_id) for _ in range(tries))


def test_a_chat_gets_three_at_once_then_one_a_second(limiter: Limiter, clock: Clock) -> None:
    assert _taken(limiter, 1, 10) == 3
    clock.now += 0.9
    assert not limiter.take(1)
    clock.now += 0.2
    assert _taken(limiter, 1, 10) == 1


def test_a_group_gets_eighteen_a_minute(limiter: Limiter, clock: Clock) -> None:
    sent = _taken(limiter, -1, 10)
    for _ in range(60):
        clock.now += 1
        sent += _taken(limiter, -1, 2)
    assert 20 <= sent <= 3 + 18


def test_the_bot_gets_twenty_five_a_second_over_all_chats(limiter: Limiter, clock: Clock) -> None:
    assert sum(limiter.take(chat_id) for chat_id in range(100)) == 25
    clock.now += 1
    assert sum(limiter.take(chat_id) for chat_id in range(100, 200)) == 25


def test_an_operator_who_may_say_more_says_so(clock: Clock) -> None:
    limits = LimitSettings(messages_per_s=100, chat_messages_per_s=5, group_messages_per_min=60)
    limiter = Limiter(clock, limits)
    assert sum(limiter.take(chat_id) for chat_id in range(1, 201)) == 100
    clock.now += 1
    assert [_taken(limiter, chat_id, 10) for chat_id in (1, -1)] == [3, 3]
    clock.now += 0.5
    assert [_taken(limiter, chat_id, 10) for chat_id in (1, -1)] == [2, 0]
    clock.now += 0.6
    assert _taken(limiter, -1, 10) == 1


def test_a_quiet_hour_saves_up_no_more_than_the_burst(limiter: Limiter, clock: Clock) -> None:
    limiter.take(1)
    clock.now += 3600
    assert _taken(limiter, 1, 10) == 3
    assert sum(limiter.take(chat_id) for chat_id in range(100, 200)) == 22


def test_a_refused_try_costs_nothing(limiter: Limiter, clock: Clock) -> None:
    assert _taken(limiter, 1, 1000) == 3
    clock.now += 1.01
    assert limiter.take(1)


def test_a_reserve_is_kept_for_weightier_messages(limiter: Limiter) -> None:
    progress = sum(limiter.take(chat_id, reserve=8) for chat_id in range(100))
    assert progress == 17
    assert sum(limiter.take(chat_id) for chat_id in range(100, 200)) == 8


def test_a_chat_told_to_wait_waits_a_little_longer_than_told(limiter: Limiter, clock: Clock) -> None:
    limiter.pause(1, 30)
    clock.now += 30.5
    assert not limiter.take(1)
    clock.now += 5.6  # at most a fifth longer
    assert limiter.take(1)


def test_one_chats_pause_does_not_stop_the_others(limiter: Limiter) -> None:
    limiter.pause(1, 30)
    assert limiter.take(2)


def test_two_chats_told_within_a_second_stop_the_bot(limiter: Limiter, clock: Clock) -> None:
    limiter.pause(1, 30)
    clock.now += 0.9
    limiter.pause(2, 30)
    assert not limiter.take(3)
    clock.now += 36.1
    assert limiter.take(3)


def test_what_a_pause_says_rests_the_same_chats_elsewhere(limiter: Limiter, clock: Clock) -> None:
    other = Limiter(clock)
    other.rest(limiter.pause(1, 30))
    assert (other.take(1), other.take(3)) == (False, True)
    other.rest(limiter.pause(2, 30))
    assert not other.take(3)
    clock.now += 33.1
    assert other.take(1)


def test_two_chats_told_long_after_each_other_do_not_stop_the_bot(limiter: Limiter, clock: Clock) -> None:
    limiter.pause(1, 30)
    clock.now += 20
    limiter.pause(2, 30)
    assert limiter.take(3)


def test_one_chat_told_twice_does_not_stop_the_bot(limiter: Limiter) -> None:
    limiter.pause(1, 30)
    limiter.pause(1, 30)
    assert limiter.take(2)


def test_idle_chats_are_forgotten_and_busy_ones_are_not(limiter: Limiter, clock: Clock) -> None:
    for chat_id in range(1, 6):
        limiter.take(chat_id)
    limiter.pause(9, 1)
    clock.now += 60
    _taken(limiter, 1, 3)
    limiter.forget_idle()
    assert not limiter.take(1)
    assert set(limiter._chats) == {1}


def test_what_can_wait_leaves_a_token_to_its_chat(limiter: Limiter) -> None:
    assert [limiter.take(1, spare=1) for _ in range(3)] == [True, True, False]
    assert limiter.take(1)


def test_what_is_no_message_counts_for_the_bot_alone_and_rests_with_its_chat(limiter: Limiter, clock: Clock) -> None:
    _taken(limiter, 1, 3)
    assert not limiter.take(1)
    assert limiter.take_aside(1)
    limiter.pause(1, 30)
    assert not limiter.take_aside(1)
    assert sum(limiter.take_aside(2) for _ in range(50)) < 30
