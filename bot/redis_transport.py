"""Redis as Celery's broker, made to outlive a restart of Redis in the middle of a drawing.

The stock transport counts a message as in hand until Redis has heard that it was done. If Redis is away just then, it counts
for ever; a worker that may hold one message at a time never asks for another, though everything is back.
"""

from kombu.transport import TRANSPORT_ALIASES, redis, virtual


class QoS(redis.QoS):
    def ack(self, delivery_tag: str) -> None:
        """Let go of a message, whether Redis hears of it or not: bells may be lost or repeated."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The same for a message that nobody can use."""
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


class Channel(redis.Channel):
    QoS = QoS


class Transport(redis.Transport):
    Channel = Channel


def register() -> None:
    """Make `redis://` and `rediss://` mean this transport."""
    for name in ("redis", "rediss"):
        TRANSPORT_ALIASES[name] = "bot.redis_transport:Transport"
