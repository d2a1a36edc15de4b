"""Five hundred wishes, twenty kills: nothing lost, nothing doubled, nobody charged twice."""

import random
from pathlib import Path

import pytest

from tests.chaos.run import SIZES, chaos
from tests.servers import Postgres, Rabbit, Redis, Server, require

_NEEDS: dict[str, tuple[type[Server], ...]] = {
    "postgresql+redis": (Postgres, Redis),
    "postgresql+rabbitmq": (Postgres, Rabbit),
    "sqlite+filesystem": (),
}


@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "side",
    [
        "postgresql+redis",
        pytest.param("postgresql+rabbitmq", marks=pytest.mark.long),
        pytest.param("sqlite+filesystem", marks=pytest.mark.long),
    ],
)
async def test_nothing_is_lost_or_doubled_whatever_is_killed(
    side: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in _NEEDS[side]:
        require(kind)
    seed = random.SystemRandom().randrange(10**6)
    report = await chaos(side, SIZES["commit"], seed, tmp_path)
    with capsys.disabled():
        print(f"\n{report}")
    assert report.held, f"{report}\nAgain: python -m tests.chaos --size commit --side {side} --seed {seed}"
