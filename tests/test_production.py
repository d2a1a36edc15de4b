"""The same line on the servers of a large installation: PostgreSQL, Redis or RabbitMQ, an object store."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.line import Line, new_line
from tests.servers import TEMPLATE, Postgres, Rabbit, Redis

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["redis", pytest.param("rabbit", marks=pytest.mark.long)])
async def production(
    request: pytest.FixtureRequest, postgres: Postgres, bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Line]:
    broker: Redis | Rabbit = request.getfixturevalue(request.param)
    servers = {"database_url": postgres.url(postgres.fresh(TEMPLATE)), "broker_url": broker.url, "media_url": bucket}
    async with new_line(tmp_path_factory.mktemp("production"), **servers) as line, line.children_running("run", "worker"):
        yield line


@pytest.mark.asyncio(loop_scope="module")
async def test_a_sentence_becomes_a_picture(production: Line) -> None:
    anna = production.sandbox.person(f"Anna {next(_numbers)}", patience=60)
    await anna.says("a red circle on a blue background")
    picture = await anna.sees_photo()
    await anna.presses("As a file", picture.id)
    await anna.sees(lambda message: message.has_document)


@pytest.mark.long
@pytest.mark.asyncio(loop_scope="module")
async def test_a_drawing_is_cancelled(production: Line) -> None:
    anna = production.sandbox.person(f"Anna {next(_numbers)}", patience=60)
    await anna.says("a red star")
    await anna.sees_photo()
    await anna.presses("With care")
    status = await anna.sees_text("Drawing")
    await anna.presses("Cancel", status.id)
    await anna.sees_text("Cancelled", message_id=status.id)
