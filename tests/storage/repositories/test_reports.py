"""Reports about pictures: one a person and picture, counted for the operator."""

from storage.repositories.jobs import JobRepository
from storage.repositories.reports import ReportRepository
from storage.repositories.stats import StatsRepository
from tests.storage.made import Store

DAY_S = 86400.0


async def test_a_person_reports_a_picture_once(store: Store) -> None:
    anna, boris = await store.user(), await store.user()
    job = await store.job(anna)
    async with store.database.begin() as session:
        reports = ReportRepository(session)
        said = [
            await reports.add(user.id, job.id, picture, reason)
            for user, picture, reason in ((anna, 1, "unsafe"), (anna, 1, "wrong"), (anna, 2, "unsafe"), (boris, 1, "other"))
        ]
    assert said == [True, False, True, True]
    await store.sql("UPDATE report SET at = at - 90000 WHERE picture = 2")
    async with store.database.read() as session:
        stats = StatsRepository(session)
        assert await stats.reports(DAY_S) == {"unsafe": (1, 2), "other": (1, 1)}
        newest = await stats.newest_reports(2)
    assert [(each.reason, each.job, each.picture, each.media_id) for each in newest] == [
        ("other", job.public_id, 1, None),
        ("unsafe", job.public_id, 2, None),
    ]


async def test_a_report_names_the_file_of_its_picture(store: Store) -> None:
    anna = await store.user()
    job = await store.job(anna, 2)
    for ordinal in range(2):
        await store.sql(
            "INSERT INTO picture (public_id, user_id, job_id, ordinal, media_id, seed, width, height, operation, favourite, "
            "created_at) VALUES (:name, :user, :job, :ordinal, :name, 1, 128, 128, 'k', false, 1)",
            name=f"file {ordinal}", user=anna.id, job=job.id, ordinal=ordinal,
        )  # fmt: skip
    async with store.database.begin() as session:
        for picture in (0, 1, 2):
            await ReportRepository(session).add(anna.id, job.id, picture, "wrong")
        newest = await StatsRepository(session).newest_reports(5)
    assert [(each.picture, each.media_id) for each in newest] == [(2, "file 1"), (1, "file 0"), (0, "file 0")]


async def test_what_was_withheld_of_a_job_is_appealed_against_once(store: Store) -> None:
    anna = await store.user()
    await store.job(anna)
    job = await store.claimed()
    async with store.database.begin() as session:
        await JobRepository(session).rendered(job, "toy", "00" * 32, ["sexual", "forbidden"])
        assert [await ReportRepository(session).appeal(anna.id, job.id) for _ in range(2)] == [True, False]
    assert (await store.get(job)).withheld == ("sexual", "forbidden")
    async with store.database.read() as session:
        stats = StatsRepository(session)
        assert await stats.appeals(DAY_S) == (1, 1)
        (seen,) = await stats.newest_appeals(5)
    assert (seen.categories, seen.job, seen.params) == (("sexual", "forbidden"), job.public_id, job.params)
