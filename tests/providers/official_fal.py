"""A script that uses fal's official client, unchanged, at whatever FAL_QUEUE_RUN_HOST names; prints one JSON object.

A process of its own, because the client reads its hosts from the environment when it is imported.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal_client
from fal_client import client as internals

HERE = f"https://{os.environ['FAL_QUEUE_RUN_HOST']}"
internals.REST_URL = internals.CDN_URL = HERE

FAST = "fal-ai/ltx-2.3/text-to-video/fast"
IMAGE = "fal-ai/ltx-2.3/image-to-video/fast"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def _update(update: fal_client.Status) -> dict[str, Any]:
    return {"kind": type(update).__name__} | vars(update)


def follow() -> dict[str, Any]:
    """Submit, status, result."""
    handle = fal_client.submit(FAST, arguments={"prompt": "a pond", "duration": 8})
    first = _update(handle.status(with_logs=True))
    result = handle.get()
    last = _update(fal_client.status(FAST, handle.request_id, with_logs=True))
    again = fal_client.result(FAST, handle.request_id)
    return {"id": handle.request_id, "first": first, "result": result, "last": last, "again": again}


def subscribe() -> dict[str, Any]:
    """Subscribe, with logs told as they come."""
    updates: list[dict[str, Any]] = []
    result = fal_client.subscribe(
        FAST,
        arguments={"prompt": "a pond"},
        with_logs=True,
        on_queue_update=lambda update: updates.append(_update(update)),
    )
    return {"updates": updates, "result": result}


def subscribe_async() -> dict[str, Any]:
    """The asynchronous client's way of the same."""
    return {"result": asyncio.run(fal_client.subscribe_async(FAST, arguments={"prompt": "a pond"}))}


def cancel() -> dict[str, Any]:
    """Cancel while it waits; the end is an error of the client's own kind."""
    handle = fal_client.submit(FAST, arguments={"prompt": "a pond"})
    handle.cancel()
    return {"last": _update(handle.status()), "result": _failure(handle.get), "again": _failure(handle.cancel)}


def refuse() -> dict[str, Any]:
    """An input that the model does not take."""
    return _failure(lambda: fal_client.submit(FAST, arguments={"prompt": "a pond", "duration": "6"}))


def upload() -> dict[str, Any]:
    """A file by the CDN, by the storage, by parts; each can be ordered with."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pond.png"
        path.write_bytes(PNG)
        urls = [fal_client.upload_file(path), fal_client.upload_file(path, repository="fal", fallback_repository=[])]
    sync = fal_client.SyncClient()
    urls.append(
        internals.MultipartUpload.save(
            client=sync._get_cdn_client(),
            token_manager=sync._token_manager,
            file_name="pond.png",
            data=PNG,
            content_type="image/png",
            chunk_size=20,
        )
    )
    for url in urls:
        fal_client.submit(IMAGE, arguments={"prompt": "a pond", "image_url": url})
    return {"urls": urls}


def _failure(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        call()
    except fal_client.FalClientHTTPError as error:
        return {"status": error.status_code, "type": error.error_type, "message": error.message}
    return {"status": None}


DEEDS = {deed.__name__: deed for deed in (follow, subscribe, subscribe_async, cancel, refuse, upload)}

if __name__ == "__main__":
    print(json.dumps(DEEDS[sys.argv[1]]()))
