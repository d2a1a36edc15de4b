"""Launch data of Mini Apps: what Telegram signed, and everything that looks like it (I1 to I16)."""

import json
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from aiogram.utils.web_app import check_webapp_signature

from bot.init_data import LONGEST, OLDEST_S, BadInitData, read_init_data
from sandbox.mini_apps import signed

TOKEN = "4242:TEST-token-that-opens-nothing-else-at-all"
NOW = 1_800_000_000.0
USER = {"id": 7_000_000_001, "first_name": "Anna", "language_code": "ru"}


def launched(token: str = TOKEN, **changes: str | None) -> str:
    """Launch data as Telegram makes it, but for these fields."""
    user = json.dumps(USER, ensure_ascii=False)
    fields = {"query_id": "AAHdF6IQ", "user": user, "auth_date": str(int(NOW)), "signature": "c2ln", **changes}
    return signed({name: value for name, value in fields.items() if value is not None}, token)


def test_what_telegram_signed_says_who_it_is() -> None:
    text = launched()
    assert check_webapp_signature(TOKEN, text)  # aiogram agrees that this is how it is signed
    launch = read_init_data(text, TOKEN, NOW)
    assert (launch.user_id, launch.language_code) == (7_000_000_001, "ru")


def test_one_opening_has_one_name_and_another_has_another() -> None:
    first, again = read_init_data(launched(), TOKEN, NOW), read_init_data(launched(), TOKEN, NOW)
    assert first.signed == again.signed != read_init_data(launched(query_id="AAHdF6IR"), TOKEN, NOW).signed


SAME = {
    "I13 reordered": urlencode(sorted(parse_qsl(launched()), reverse=True)),
    "I12 plus for space": launched(user=json.dumps(USER | {"first_name": "Anna Maria"})).replace("%20", "+"),
    "I12 lower-case hex": launched().replace("%7B", "%7b"),
    "I16 blank value": launched(query_id=""),
    "I15 without signature": launched(signature=None),
    "unicode": launched(user=json.dumps(USER | {"first_name": "Анна 😀 é\u2028"}, ensure_ascii=False)),
    "a field we do not know": launched(chat_instance="-8293"),
    "a minute ahead": launched(auth_date=str(int(NOW) + 60)),
    "59 minutes old": launched(auth_date=str(int(NOW) - 59 * 60)),
}


@pytest.mark.parametrize("name", SAME)
def test_what_says_the_same_is_taken(name: str) -> None:
    assert read_init_data(SAME[name], TOKEN, NOW).user_id == 7_000_000_001


GOOD = launched()
FORGED: dict[str, str] = {
    "I1 empty": "",
    "I2 no hash": GOOD.partition("&hash=")[0],
    "I3 short hash": GOOD[:-1],
    "I3 upper case": GOOD[:-64] + GOOD[-64:].upper(),
    "I3 not ASCII": GOOD[:-1] + quote("é"),
    "I3 lone surrogate": GOOD[:-1] + "\ud800",
    "I3 bad UTF-8": GOOD[:-1] + "%ff",
    "I4 another bot's token": launched(token="4243:TEST-token-that-opens-nothing-else-at-all"),
    "one letter changed": GOOD.replace("Anna", "Anne"),
    "a field added": GOOD + "&chat_type=private",
    "a field taken away": GOOD.replace("query_id=AAHdF6IQ&", ""),
    "I15 signature taken away": GOOD.replace("&signature=c2ln", ""),
    "I6 an hour ahead": launched(auth_date=str(int(NOW) + 3600)),
    "I7 no auth_date": launched(auth_date=None),
    "I7 words": launched(auth_date="abc"),
    "I7 other digits": launched(auth_date="１８００００００００"),
    "I7 negative": launched(auth_date="-5"),
    "I7 endless": launched(auth_date="9" * 400),
    "I8 no user": launched(user=None),
    "I8 not JSON": launched(user="{"),
    "I8 nested deeply": launched(user="[" * 1000),
    "I8 list": launched(user="[1]"),
    "I8 id is text": launched(user='{"id": "7"}'),
    "I8 id is negative": launched(user='{"id": -7}'),
    "I8 id is a bool": launched(user='{"id": true}'),
    "I8 id is huge": launched(user=f'{{"id": {2**63}}}'),
    "I9 user twice": GOOD + "&" + urlencode({"user": json.dumps(USER)}),
    "I9 hash twice": GOOD + "&hash=" + GOOD[-64:],
    "I10 many fields": "&".join(f"a{n}=1" for n in range(100_000)),
    "I10 33 fields": "&".join(f"a{n}=1" for n in range(33)),
    "too long": launched(query_id="A" * LONGEST),
    "no pairs": "hello",
    "one field that is signed as two": launched(query_id="x\nuser={}"),
    "a strange name": signed({"auth_date": str(int(NOW)), "a=b": "c", "user": json.dumps(USER)}, TOKEN),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_telegram_did_not_sign_is_nobody(name: str) -> None:
    with pytest.raises(BadInitData) as bad:
        read_init_data(FORGED[name], TOKEN, NOW)
    assert bad.value.reason == "unsigned"


@pytest.mark.parametrize("age_s", [OLDEST_S + 1, 10 * 365 * 86400], ids=["61 minutes", "I5 ten years"])
def test_what_telegram_signed_long_ago_has_expired(age_s: int) -> None:
    with pytest.raises(BadInitData) as bad:
        read_init_data(launched(auth_date=str(int(NOW) - age_s)), TOKEN, NOW)
    assert bad.value.reason == "expired"


def test_what_was_forged_has_not_expired() -> None:
    """Who cannot sign learns nothing about ages."""
    with pytest.raises(BadInitData) as bad:
        read_init_data(launched(token="1:x", auth_date="1"), TOKEN, NOW)
    assert bad.value.reason == "unsigned"


def test_fields_that_are_signed_in_one_piece_cannot_be_read_in_two() -> None:
    """What is signed are lines: a field with a line feed in it would have the lines of two."""
    fields: dict[str, Any] = dict(parse_qsl(launched()))
    one = {"auth_date": fields["auth_date"] + "\nquery_id=" + fields["query_id"]}
    rest = {name: value for name, value in fields.items() if name not in ("auth_date", "query_id")}
    joined = urlencode(one | rest)
    assert check_webapp_signature(TOKEN, joined)  # the signature itself does not notice
    with pytest.raises(BadInitData):
        read_init_data(joined, TOKEN, NOW)
