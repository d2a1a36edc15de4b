"""Redis as a broker, through a real kombu connection, on a server that dies and comes back."""

from collections.abc import Iterator

import pytest
from kombu.connection import Connection

from bot import redis_transport
from tests.servers import Redis, running

QUEUE = "kandinsky-nano.flash"


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """One that this test may kill."""
    with running(Redis) as server:
        yield server


@pytest.mark.parametrize("end", ["ack", "reject", "requeue"])
def test_a_message_that_ended_while_redis_was_away_is_no_longer_in_hand(own_redis: Redis, end: str) -> None:
    redis_transport.register()
    with Connection(own_redis.url) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        channel.queue_declare(QUEUE)
        producer = connection.Producer(channel, routing_key=QUEUE)
        producer.publish({"number": 1})
        in_hand = channel.basic_get(QUEUE)
        assert not channel.qos.can_consume()
        own_redis.kill()

        with pytest.raises(connection.connection_errors):
            getattr(in_hand, end)()

        assert channel.qos.can_consume()
        own_redis.start()
        producer.publish({"number": 2})
        again = channel.basic_get(QUEUE)
        assert again.payload == {"number": 2}
        again.ack()
        assert channel.qos.can_consume()
