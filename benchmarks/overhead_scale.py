"""The rows about what grows: a long queue (B6), many people and a long history (B7)."""

import asyncio
import itertools
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from sqlalchemy import Table, delete, insert, text

from benchmarks.overhead_rig import PROMPT, SIDES, Backends, Row, Servers, cpu_s
from bot.jobs import Jobs
from bot.settings import JobSettings, StorageSettings
from engine.requests import TextToImage, new_seed
from storage.database import Database
from storage.domain import Job, JobState, NewPicture, User, Wish
from storage.post import SendState
from storage.repositories.history import HistoryRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import DeliveryRepository, NoticeRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.users import UserRepository
from storage.tables import Base, DeliveryRow, JobRow, PictureRow, QuotaLedgerRow, UserRow

_BOT = 424242
_PAIR_WARM = 10
_OWN = 1000  # pictures of the measured person, in the small history and in the large
_PER_JOB = 4


async def _nobody(queue: str, times: int) -> None:
    """Bells are no part of these rows."""


@dataclass
class House:
    """One database with its use cases, and a request from the message to the end of its delivery."""

    database: Database
    jobs: Jobs
    backends: Backends
    numbers: "itertools.count[int]"

    @classmethod
    async def open(cls, storage: StorageSettings) -> "House":
        database = Database(storage.database)
        limits = JobSettings(max_active=10**6)
        return cls(database, Jobs(database, limits, _nobody), Backends(), itertools.count(1))

    async def user(self, number: int) -> User:
        async with self.database.begin() as session:
            return await UserRepository(session).ensure(_BOT, number, "en")

    async def submit(self, user: User) -> Job:
        wish = Wish(user, user.telegram_id, 0, f"bench:{next(self.numbers)}", 1)
        return (await self.jobs.submit(wish, TextToImage(PROMPT, seed=new_seed(), num_images_per_prompt=_PER_JOB))).job

    async def request(self) -> None:
        """All SQL of one request: its person, acceptance, place, claim, result, what is due, delivery."""
        waiting = await self.submit(await self.user(next(self.numbers) % 50 + 1))
        await self.jobs.queue_view(waiting)
        async with self.database.begin() as session:
            job = await JobRepository(session).claim("bench", "kandinsky-nano", ("flash", "base"), 30)
        assert job is not None  # noqa: S101  one was just submitted
        digest = "ab" * 32
        async with self.database.begin() as session:
            await JobRepository(session).rendered(job, "fake", digest)
            pictures = [NewPicture(index, f"{digest}.png", index, 128, 128) for index in range(_PER_JOB)]
            await PictureRepository(session).add_results(job, pictures)
        async with self.database.begin() as session:
            deliveries = DeliveryRepository(session)
            await deliveries.mark(job.id, 0, SendState.SENT, message_id=1)
        async with self.database.read() as session:
            await DeliveryRepository(session).due(_BOT, 1)
            await NoticeRepository(session).due(_BOT)
        async with self.database.begin() as session:
            await DeliveryRepository(session).mark(job.id, 1, SendState.SENT, message_id=1)
            rendered = await JobRepository(session).get(job.id)
            await JobRepository(session).finish(rendered, JobState.DELIVERED, "delivered", refund=False)

    async def fill(self, rows: type[Base], count: int, **changed: str) -> None:
        """Multiply a table's first row; `changed` are expressions of its number n, from 1."""
        table = cast(Table, rows.__table__)
        columns = {column.name: changed.get(column.name, f't."{column.name}"') for column in table.columns}
        if "id" in columns:
            columns["id"] = changed.get("id", "t.id + n.n")
        names, values = ", ".join(f'"{name}"' for name in columns), ", ".join(columns.values())
        key = "t.id" if "id" in columns else "t.job_id"
        statement = (
            f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count}) "  # noqa: S608
            f'INSERT INTO "{table.name}" ({names}) SELECT {values} FROM "{table.name}" t, n '
            f'WHERE {key} = (SELECT min({key}) FROM "{table.name}" t)'
        )
        async with self.database.begin() as session:
            if self.database.engine.dialect.name == "postgresql":
                await session.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys looked up
            await session.execute(text(statement))
            if "id" in columns and self.database.engine.dialect.name == "postgresql":
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                await session.execute(text(f'SELECT setval({sequence}, max(id)) FROM "{table.name}"'))  # noqa: S608

    async def tidy(self) -> None:
        """What a database does by itself in its first minutes: statistics, and the visibility map."""
        async with self.database.engine.connect() as connection:
            outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
            vacuum = "VACUUM ANALYZE" if self.database.engine.dialect.name == "postgresql" else "ANALYZE"
            await outside.exec_driver_sql(vacuum)

    async def cpu(self, work: Callable[[], Awaitable[object]]) -> float:
        return await cpu_s(work, self.backends)


async def _ratio(small: House, large: House, pairs: int, of: Callable[[House], Awaitable[object]]) -> str:
    """Median of large over small, interleaved; and both means: what is done only now and then shows in them alone."""
    for house in (small, large):
        for _ in range(_PAIR_WARM):
            await of(house)
        await house.backends.find(house.database)
    found = []
    for number in range(pairs):
        first, second = (small, large) if number % 2 else (large, small)
        seconds = {id(house): await house.cpu(partial(of, house)) for house in (first, second)}
        found.append((seconds[id(small)], seconds[id(large)]))
    few, many = (statistics.fmean(seconds) for seconds in zip(*found, strict=True))
    middle = statistics.median(large_s / small_s for small_s, large_s in found)
    return f"{middle:.2f}x; means {many / few:.2f}x ({few * 1e3:.1f} -> {many * 1e3:.1f} ms)"


async def _queued(storage: StorageSettings, jobs: int) -> House:
    """A house with so many people who wait for one picture each."""
    house = await House.open(storage)
    first = await house.user(10**6)
    await house.submit(first)
    if jobs > 1:
        await house.fill(UserRow, jobs - 1, telegram_id="t.telegram_id + n.n")
        unique = {"public_id": "'bench' || n.n", "dedupe_key": "'filled:' || n.n", "user_id": "t.user_id + n.n"}
        await house.fill(JobRow, jobs - 1, **unique, chat_id="t.chat_id + n.n")
        await house.fill(DeliveryRow, jobs - 1, job_id="t.job_id + n.n", state="'sent'")
    await house.tidy()
    return house


async def queue(servers: Servers, pairs: int) -> list[Row]:
    """B6: CPU of a whole request's SQL (see `House.request`; place included), with 10,000 people waiting over with 10.

    This process and the PostgreSQL backends; the two queues by turns, median of the ratios, and means. Each request adds
    a job and takes one, so the queue keeps its length. One request at a time. A look at a long queue serves all requests
    of the half second or so that it stays fresh: the median request finds it there, the means pay for it.
    """
    rows = []
    for side in SIDES:
        small, large = [await _queued(await servers.storage(side), jobs) for jobs in (10, 10_000)]
        measured = await _ratio(small, large, pairs, House.request)
        rows.append(Row("B6", f"request at queue 10,000 over 10, {side}", "<= 1.3x", "<= 1.1x", measured))
        for house in (small, large):
            await house.database.close()
    return rows


async def _lived_in(storage: StorageSettings, people: int, pictures: int) -> House:
    """A house where so many people have drawn so many pictures, the first of them `_OWN`."""
    house = await House.open(storage)
    first = await house.user(1)
    await house.user(2)
    await house.fill(UserRow, people - 2, id="t.id + 1 + n.n", telegram_id="t.telegram_id + 1 + n.n")
    await house.request()
    jobs = pictures // _PER_JOB - 1
    async with house.database.begin() as session:
        await session.execute(text("UPDATE picture SET user_id = :id"), {"id": first.id})
        await session.execute(text("UPDATE job SET user_id = :id"), {"id": first.id})
        await session.execute(delete(PictureRow).where(PictureRow.ordinal > 0))
    own = _OWN // _PER_JOB - 1
    owner = f"CASE WHEN n.n <= {{own}} THEN t.user_id ELSE t.user_id + n.n % {people} END"
    job_owner = owner.format(own=own)
    picture_owner = f"CASE WHEN n.n < {_OWN} THEN t.user_id ELSE t.user_id + (n.n / {_PER_JOB}) % {people} END"
    unique = {"public_id": "'bench' || n.n", "dedupe_key": "'filled:' || n.n", "user_id": job_owner}
    await house.fill(JobRow, jobs, **unique)
    await house.fill(DeliveryRow, jobs, job_id="t.job_id + n.n")
    for entry in ("reserve", "commit"):
        ids = f"t.id + {1 if entry == 'reserve' else 1 + jobs} + n.n"
        changed = {"id": ids, "job_id": "t.job_id + n.n", "entry": f"'{entry}'", "user_id": job_owner}
        await house.fill(QuotaLedgerRow, jobs, **changed)
    await house.fill(
        PictureRow,
        pictures - 1,
        public_id="'bench' || n.n",
        job_id=f"t.job_id + n.n / {_PER_JOB}",
        ordinal=f"n.n % {_PER_JOB}",
        user_id=picture_owner,
    )
    await house.tidy()
    return house


async def people_and_history(servers: Servers, pairs: int) -> list[Row]:
    """B7: a request with 1,000 people a pair known over 100; a person's history with 10,000 pictures a pair kept over 1,000.

    The bar's 100,000 people and 1,000,000 pictures are those of 100 pairs.

    The measured person has the same 1,000 pictures in both: all of the small history, a thousandth of the large. Last
    page: the count and the last ten. Again: find the oldest job of theirs, and accept it anew. Delete: their newest
    picture, put back afterwards (not counted). CPU of this process and the PostgreSQL backends, by turns, medians.
    """
    side = SIDES[0]
    people, pictures = 1_000 * pairs, 10_000 * pairs
    shapes = ((100, _OWN), (people, pictures))
    small, large = [await _lived_in(await servers.storage(side), *shape) for shape in shapes]
    measured = await _ratio(small, large, pairs, House.request)
    what = f"request at {people:,} people over 100"
    rows = [Row("B7", what, "<= 1.3x", "<= 1.1x", measured)]
    for name, of in (("last page", _last_page), ("draw again", _again), ("delete", _delete)):
        what = f"{name} at {pictures:,} pictures over 1,000"
        measured = await _ratio(small, large, pairs, of)
        rows.append(Row("B7", what, "<= 1.5x", "<= 1.2x", measured))
    for house in (small, large):
        await house.database.close()
    return rows


async def _last_page(house: House) -> None:
    async with house.database.read() as session:
        repository = HistoryRepository(session)
        count = await repository.count(1)
        found = await repository.page(1, -(-count // 10), 10)
    if not found:
        raise AssertionError("a last page has pictures")


async def _again(house: House) -> None:
    first = await house.user(1)
    async with house.database.read() as session:
        await JobRepository(session).owned("bench1", first.id)
    job = await house.submit(first)
    await house.jobs.cancel(first, job.public_id, 0)


async def _delete(house: House) -> None:
    async with house.database.begin() as session:
        newest = PictureRow.__table__.select().where(PictureRow.user_id == 1).order_by(PictureRow.id.desc()).limit(1)
        row = (await session.execute(newest)).mappings().one()
        await session.execute(delete(PictureRow).where(PictureRow.id == row["id"]))
    await asyncio.sleep(0)
    async with house.database.begin() as session:
        await session.execute(insert(PictureRow).values(**row))
