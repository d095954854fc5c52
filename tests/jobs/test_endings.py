"""What became of a job is written down although Postgres was away at that moment: no job is under way for ever."""

import asyncio

import psycopg
import pytest
from procrastinate import exceptions
from procrastinate.jobs import Status

from db.pool import Database
from db.types import SYSTEM, PaymentId, new_id
from jobs import app
from jobs.connector import connector
from jobs.settlement import look_at
from jobs.worker import declare_jobs
from tests.founding import found
from tests.servers import Urls

WAITING = "select pid from pg_stat_activity where usename = 'app_worker' and wait_event_type = 'Lock'"


async def test_a_job_whose_end_could_not_be_written_is_ended_all_the_same(urls: Urls) -> None:
    database = await Database.open(urls.api, 2, "tests")
    async with database.tenant((await found(database)).organization_id, SYSTEM) as tenant:
        await look_at.defer(tenant, payment_id=PaymentId(new_id()))
    await database.close()
    declare_jobs()
    scheduling = app.build(connector(urls.worker), periodic_defaults=False)
    async with scheduling.open_async():
        manager = scheduling.job_manager
        job = await manager.fetch_job(queues=["billing"], worker_id=await manager.register_worker())
        assert job is not None
        with psycopg.connect(urls.superuser) as holding, psycopg.connect(urls.superuser, autocommit=True) as conn:
            holding.execute("select from jobs.procrastinate_jobs for update")
            ending = asyncio.create_task(manager.finish_job(job, Status.SUCCEEDED, delete_job=True))
            for _ in range(1000):
                if conn.execute(WAITING).fetchall():
                    break
                await asyncio.sleep(0.01)
            conn.execute(f"select pg_terminate_backend(pid) from ({WAITING}) waiting".encode())
            holding.rollback()
            await ending
            assert conn.execute("select count(*) from jobs.procrastinate_jobs").fetchone() == (0,)
        with pytest.raises(exceptions.ConnectorException):
            await manager.finish_job(job, Status.SUCCEEDED, delete_job=True)
