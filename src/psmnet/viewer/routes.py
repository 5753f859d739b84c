"""The API: every request is a call of the service."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from psmnet.errors import InputError
from psmnet.evaluation import METRICS
from psmnet.viewer.receiving import received
from psmnet.viewer.schemas import (
    Health,
    JobRequest,
    LabelSet,
    LearnRequest,
    Matches,
    MetricInfo,
    Problem,
    QueuedJob,
    StoredScan,
)
from psmnet.viewer.service import Service

REFUSED = (400, 401, 403, 404, 409, 410, 413, 422, 429, 503, 507)
REFUSALS: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in REFUSED}
BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
BINARY: dict[int | str, dict[str, Any]] = {200: {"content": BYTES}}
UPLOAD = {"requestBody": {"required": True, "content": BYTES}}
Id = Annotated[str, InPath(pattern="^[0-9a-f]{16}$")]
Name = Annotated[str, Query(min_length=1, max_length=1000, description="the file's name: its ending tells the format")]

MOST_DRAWN = 255  # a drawn voxel is a byte

router = APIRouter(responses=REFUSALS)


def service_of(request: Request) -> Service:
    """The application's service."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(service_of)]


@router.get("/health")
def health(service: ServiceDep) -> Health:
    """State of the server."""
    return service.health()


@router.get("/metrics")
def metrics() -> list[MetricInfo]:
    """The metrics against a reference, in the order in which to show them."""
    return [
        MetricInfo(
            name=name,
            heading=metric.heading,
            meaning=metric.meaning,
            digits=metric.digits,
            higher_is_better=metric.higher_is_better,
        )
        for name, metric in METRICS.items()
    ]


@router.get("/scans")
def scans(service: ServiceDep) -> list[StoredScan]:
    """All scans, the oldest first."""
    return service.scans()


@router.post("/scans", status_code=201, openapi_extra=UPLOAD)
async def add_scan(request: Request, service: ServiceDep, name: Name) -> StoredScan:
    """Upload a scan: .nii, .nii.gz, .nrrd, .mha, or a .zip of DICOM slices, as the request's body."""
    await asyncio.to_thread(service.require_room)
    async with received(request, service.folder.incoming(), service.limits) as file:
        return await asyncio.get_running_loop().run_in_executor(service.uploads, service.add_scan, file, name)


@router.post("/samples", status_code=201)
def samples(service: ServiceDep) -> list[StoredScan]:
    """Add three synthetic patients with labels."""
    return service.add_samples()


@router.get("/scans/{scan}")
def scan(service: ServiceDep, scan: Id) -> StoredScan:
    """One scan."""
    return service.scan(scan)


@router.delete("/scans/{scan}", status_code=204)
def remove_scan(service: ServiceDep, scan: Id) -> Response:
    """Delete a scan and its labels."""
    service.remove_scan(scan)
    return Response(status_code=204)


@router.get("/scans/{scan}/volume", response_class=FileResponse, responses=BINARY)
def volume(service: ServiceDep, scan: Id) -> FileResponse:
    """The scan as NIfTI, on its own grid."""
    return FileResponse(service.view(scan), media_type="application/octet-stream")


@router.post("/scans/{scan}/labels", status_code=201, openapi_extra=UPLOAD)
async def add_labels(
    request: Request,
    service: ServiceDep,
    scan: Id,
    name: Name,
    corrects: Annotated[
        str | None, Query(pattern="^[0-9a-f]{16}$", description="the job whose mask was corrected")
    ] = None,
    values: Annotated[
        str, Query(pattern="^[0-9,]*$", max_length=2800, description="label values of the drawn mask's 1, 2, ...")
    ] = "",
) -> LabelSet:
    """Upload labels: a label map, .seg.nrrd, DICOM Segmentation (.dcm), or a .zip of one mask an organ."""
    drawn = tuple(int(value) for value in values.split(",") if value)
    if (corrects is None) != (not drawn) or len(drawn) > MOST_DRAWN:
        raise InputError("corrects and values go together", f"give both, with {MOST_DRAWN} values at most, or neither")
    async with received(request, service.folder.incoming(), service.limits) as file:
        add = partial(service.add_labels, scan, file, name, corrects, drawn)
        return await asyncio.get_running_loop().run_in_executor(service.uploads, add)


@router.get("/labels/{labels}")
def label_set(service: ServiceDep, labels: Id) -> LabelSet:
    """One label set."""
    return service.labels(labels)


@router.get("/labels/{labels}/volume", response_class=FileResponse, responses=BINARY)
def labels_volume(service: ServiceDep, labels: Id) -> FileResponse:
    """The label map as .nii.gz, on its scan's grid."""
    return FileResponse(service.labels_file(labels), media_type="application/octet-stream")


@router.delete("/labels/{labels}", status_code=204)
def remove_labels(service: ServiceDep, labels: Id) -> Response:
    """Delete a label set."""
    service.remove_labels(labels)
    return Response(status_code=204)


@router.get("/jobs")
def jobs(service: ServiceDep) -> list[QueuedJob]:
    """All jobs, the newest first."""
    return service.jobs()[::-1]


@router.post("/jobs", status_code=202)
def add_job(service: ServiceDep, new: JobRequest) -> QueuedJob:
    """Start a job: segment a scan from labelled ones."""
    return service.add_job(new)


@router.post("/learn", status_code=202)
def learn(service: ServiceDep, new: LearnRequest) -> QueuedJob:
    """Start a job: learn from labelled scans and at least four without labels, and segment all of these."""
    return service.add_learning(new)


@router.get("/jobs/{job}")
def job(service: ServiceDep, job: Id) -> QueuedJob:
    """One job."""
    return service.job(job)


@router.post("/jobs/{job}/cancel")
def cancel(service: ServiceDep, job: Id) -> QueuedJob:
    """Cancel a job."""
    return service.cancel(job)


@router.delete("/jobs/{job}", status_code=204)
def remove_job(service: ServiceDep, job: Id) -> Response:
    """Delete a job and its results."""
    service.remove_job(job)
    return Response(status_code=204)


@router.get("/jobs/{job}/files/{name}", response_class=FileResponse, responses=BINARY)
def file(service: ServiceDep, job: Id, name: Annotated[str, InPath(max_length=100)]) -> FileResponse:
    """One of the files in `result.files`, or of a learning in `learned.files`."""
    return FileResponse(service.file(job, name), media_type="application/octet-stream", filename=name)


@router.get("/jobs/{job}/scans/{scan}/files/{name}", response_class=FileResponse, responses=BINARY)
def scan_file(service: ServiceDep, job: Id, scan: Id, name: Annotated[str, InPath(max_length=100)]) -> FileResponse:
    """One of the `files` of a scan in `learned.scans`: its learned mask, or its first mask."""
    return FileResponse(service.file(job, name, scan), media_type="application/octet-stream", filename=name)


@router.get("/jobs/{job}/matches")
def matches(service: ServiceDep, job: Id) -> Matches:
    """The labelled slices with which each slice of the scan was compared."""
    return service.matches(job)
