"""Reads the films of a chaos run out of the bucket, past the product's own code, and says which are not whole."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from obstore.store import S3Store

from bench.chaos_books import Books
from ltx_mcp.domain.job import Job, State


def fetch_films(address: str, env: Mapping[str, str], books: Books, made: Path, folder: Path) -> list[str]:
    """Write each job's film to `folder/JOB.mp4`; the jobs whose film is not what is written down of it, or not what was
    made: all are the same film. Blocking."""
    folder.mkdir()
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    store = S3Store.from_url(
        address,
        endpoint=env["AWS_ENDPOINT_URL"],
        access_key_id=env["AWS_ACCESS_KEY_ID"],
        secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region=env["AWS_REGION"],
        client_options={"allow_http": True},
    )
    return [f"{job.id} {wrong}" for job in books.jobs.values() if (wrong := _fetch(store, job, digest, folder))]


def _fetch(store: S3Store, job: Job, digest: str, folder: Path) -> str:
    """What is wrong with a job's film; empty where it is whole, or where none need be."""
    is_owed = job.state is State.SUCCEEDED
    try:
        about = json.loads(bytes(store.get(f"videos/{job.id}.json").bytes()))
        film = bytes(store.get(f"videos/{job.id}/{about['object']}.mp4").bytes())
    except FileNotFoundError as error:
        return f"it is not in the bucket ({type(error).__name__})" if is_owed else ""
    (folder / f"{job.id}.mp4").write_bytes(film)
    if not hashlib.sha256(film).hexdigest() == digest == about["sha256"]:
        return "its digest is another one"
    told = about["film"]["size_bytes"] if job.film is None else job.film.size_bytes
    if not len(film) == told == about["film"]["size_bytes"]:
        return f"it has {len(film)} bytes, the row says {told}"
    return ""
