"""The web application: the API, the page, and the checks before both."""

import errno
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from psmnet.errors import PsmnetError
from psmnet.runtime import package_version
from psmnet.viewer import events, routes
from psmnet.viewer.guard import Guard
from psmnet.viewer.refusals import STATUS, UNUSABLE, public_message
from psmnet.viewer.service import Service

PACKAGE = Path(__file__).parents[1]
STATIC, LOOK = PACKAGE / "viewer" / "static", PACKAGE / "report" / "look.css"
FULL = (errno.ENOSPC, errno.EDQUOT)


def create_app(service: Service, token: str, hosts: Collection[str]) -> ASGIApp:
    """A viewer's page and API.

    Args:
        service: its scans and jobs; it is started and stopped with the application.
        token: required by `/api`.
        hosts: accepted values of the Host header, with the port.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.stop()

    app = FastAPI(
        title="psmnet",
        version=package_version(),
        summary="Few-shot medical image segmentation: labelled scans in, the same organs out in other scans.",
        description="Every request needs the header `Authorization: Bearer TOKEN`, with the token that "
        '`psmnet serve` printed. Errors are `{"detail": "what is wrong; what to do"}`.',
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(routes.router, prefix="/api")
    app.include_router(events.router, prefix="/api")
    app.add_exception_handler(PsmnetError, _unusable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(OSError, _unwritable)
    app.add_exception_handler(sqlite3.Error, _unwritable)

    @app.get("/static/look.css", include_in_schema=False)
    def look() -> FileResponse:
        return FileResponse(LOOK, media_type="text/css")

    app.mount("/static", GZipMiddleware(StaticFiles(directory=STATIC), minimum_size=1000))

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return Guard(app, token, hosts)


def _unusable(request: Request, error: Exception) -> JSONResponse:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), UNUSABLE)
    assert isinstance(error, PsmnetError)
    return JSONResponse({"detail": public_message(error, request.app.state.service.folder.root)}, status)


def _unwritable(request: Request, error: Exception) -> JSONResponse:
    try:
        request.app.state.service.folder.require_whole()
    except PsmnetError as lost:
        return _unusable(request, lost)
    what = error.strerror or error if isinstance(error, OSError) else error
    full = getattr(error, "errno", None) in FULL or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    remedy = "free space on the server" if full else "check the permissions of the server's data folder"
    return JSONResponse({"detail": f"the server can't write ({what}); {remedy}"}, 507)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"detail": f"{where}: {first['msg']}; see /api/openapi.json"}, UNUSABLE)
