"""Writes an upload to a file, within limits of size and time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from psmnet.errors import InputError
from psmnet.viewer.limits import Limits
from psmnet.viewer.refusals import TooLarge


@asynccontextmanager
async def received(request: Request, target: Path, limits: Limits) -> AsyncIterator[Path]:
    """The request's body as a file, which is deleted afterwards.

    Raises:
        TooLarge: it has more bytes than allowed.
        InputError: it is empty, took too long, or broke off.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limits.upload_bytes:
        raise _too_large(limits)
    try:
        count = 0
        with target.open("xb") as out:
            async with asyncio.timeout(limits.upload_s):
                async for block in request.stream():
                    count += len(block)
                    if count > limits.upload_bytes:
                        raise _too_large(limits)
                    await asyncio.to_thread(out.write, block)
        if count == 0:
            raise InputError("the file is empty (0 bytes)", "choose another file")
        yield target
    except TimeoutError as error:
        raise InputError(f"the upload took longer than {limits.upload_s:g} s", "send it again") from error
    except ClientDisconnect as error:
        raise InputError("the upload broke off", "send it again") from error
    finally:
        target.unlink(missing_ok=True)


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(
        f"the file is larger than {limits.upload_bytes >> 20} MiB",
        "send a smaller file, or have the server started with a higher limit",
    )
