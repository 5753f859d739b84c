"""Changes of jobs as server-sent events."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, ServerSentEvent

from psmnet.viewer.routes import REFUSALS, ServiceDep

router = APIRouter(responses=REFUSALS)


@router.get("/events", response_class=EventSourceResponse)
async def events(service: ServiceDep) -> AsyncIterator[ServerSentEvent]:
    """`job` events: every job as it is, then each again when it changes; `gone` with its id when one is deleted."""
    known: set[str] = set()
    revision = 0
    with service.changes.watched() as changed:
        while not service.changes.over:
            changed.clear()
            newest = service.database.revision
            fresh = await asyncio.to_thread(service.jobs, revision)
            there = await asyncio.to_thread(service.database.job_ids)
            revision = newest
            for job in fresh:
                known.add(job.id)
                yield ServerSentEvent(event="job", data=job)
            for job_id in known - there:
                yield ServerSentEvent(event="gone", data={"id": job_id})
            known &= there
            await changed.wait()
