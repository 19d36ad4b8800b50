"""Webhooks in: a provider says that an order has ended. That is a hint to ask it now, and never what became of the
order: no state, price or address is taken from it.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_mcp.domain.catalog import ProviderSpec, WebhookSpec
from ltx_mcp.domain.errors import SetupError
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.jobs.operator_files.operator_file import ReadAgain
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import is_job_id
from ltx_mcp.jobs.webhooks.file import Webhooks, read_webhooks
from ltx_mcp.jobs.webhooks.receipt import Receipt
from ltx_mcp.providers.adapters import find_news_reader
from ltx_mcp.providers.base import SignedNews
from ltx_mcp.providers.catalog_loader import is_loopback_url, read_addresses

if TYPE_CHECKING:
    from ltx_mcp.net.key_set import KeySet, VerifyKey

logger = logging.getLogger(__name__)

PATH = "/webhooks"


class IncomingProviders:
    """The providers that a webhooks file names as those that may tell us something, as it is now. `lookup` gives the
    value of a variable that it names."""

    def __init__(self, path: Path | None, lookup: Callable[[str], str]) -> None:
        self._path, self._lookup = path, lookup
        self._file: ReadAgain[Webhooks] | None = None
        self._said = ""

    def __call__(self) -> Collection[str]:
        """None while the file cannot be used: providers are asked all the same."""
        path = self._path
        if path is not None and self._file is None:
            try:
                self._file = ReadAgain(path, lambda: read_webhooks(path, self._lookup))
            except SetupError as error:
                if self._said != str(error):  # strangers may make us look
                    logger.warning("%s No provider is asked to tell us anything.", error)
                    self._said = str(error)
        return self._file.now().incoming if self._file else ()


class IncomingWebhooks:
    """The webhooks of `providers`, those that the operator's file names. Orders name `public_url` for them, unless only
    this machine could reach it and the provider is none of `loopback`."""

    def __init__(
        self,
        providers: Callable[[], Collection[str]],
        specs: Mapping[str, ProviderSpec],
        lookup: Callable[[str], str],
        public_url: str,
        loopback: Collection[str],
        store: Store,
        now: Callable[[], datetime],
    ) -> None:
        self._providers, self._specs, self._lookup = providers, specs, lookup
        self._public_url = public_url.rstrip("/")
        self._loopback, self._store, self._now = loopback, store, now
        self._keys: dict[str, KeySet] = {}

    def url_for(self, job: Job) -> str:
        """The address that the order of a job names; empty where it names none."""
        provider = job.offer.provider
        if not self._public_url or self._spec(provider) is None:
            return ""
        is_reached = not is_loopback_url(self._public_url) or provider in self._loopback
        return f"{self._public_url}{PATH}/{provider}/{job.id}" if is_reached else ""

    async def take(self, provider: str, job_id: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        """Check what came, and have the provider asked. Only who has signed it learns whether there is such a job."""
        spec, read_news = self._spec(provider), find_news_reader(provider) if provider in self._specs else None
        if spec is None or read_news is None:
            return Receipt.NOT_WANTED
        news = read_news(headers, body)
        if news is None:
            return Receipt.MALFORMED
        if abs(self._now().timestamp() - news.sent_at) > spec.within_s:
            return Receipt.NOT_SIGNED
        keys = self._keys_of(provider, spec)
        if not await keys.matching(partial(_has_signed, news)):
            return Receipt.NOT_SIGNED if keys.is_known else Receipt.NOT_CHECKED
        return await self._store.run_in_thread(self._pass_on, provider, job_id, news)

    def _spec(self, provider: str) -> WebhookSpec | None:
        """What is known of a provider's webhooks; None where they are not wanted."""
        facts = self._specs.get(provider)
        return facts.webhook if facts is not None and facts.webhook and provider in self._providers() else None

    def _keys_of(self, provider: str, spec: WebhookSpec) -> "KeySet":
        if provider not in self._keys:
            from ltx_mcp.net.fetch_json import fetch_json
            from ltx_mcp.net.key_set import KeySet, read_keys

            url = read_addresses(self._specs[provider], self._lookup)[spec.keys_url] + spec.keys_path

            async def read() -> "tuple[VerifyKey, ...]":
                return read_keys(await fetch_json(url, named_by=url), url)

            self._keys[provider] = KeySet(provider, read, time.monotonic, spec.keys_live_s)
        return self._keys[provider]

    def _pass_on(self, provider: str, job_id: str, news: SignedNews) -> Receipt:
        job = self._store.get(job_id) if is_job_id(job_id) else None
        if job is None:  # its row may be there in a moment, or in the database that a proxy leads to next
            return Receipt.TOO_EARLY
        if job.offer.provider != provider:
            return Receipt.OTHER_ORDER
        if job.provider_ref is None:
            return self._without_reference(job, news)
        if not news.is_about(job.provider_ref):
            return Receipt.OTHER_ORDER
        if job.state is State.UNKNOWN:
            self._store.recheck(job.caller, job.id, self._now())
        elif job.state is State.RUNNING:
            self._store.ask_now(job.id)
        return Receipt.TAKEN

    def _without_reference(self, job: Job, news: SignedNews) -> Receipt:
        """The provider was faster than its answer to the order, which may still come, or have been lost."""
        if job.live:
            return Receipt.TOO_EARLY
        if job.state is State.UNKNOWN:
            name, order_id = job.offer.provider, shorten(news.order_id)
            what = "%s: %s says that its order %s has ended, whose answer never came: ltx-mcp jobs adopt %s %s --job %s"
            logger.warning(what, job.id, name, order_id, name, order_id, job.id)
        return Receipt.TAKEN


def _has_signed(news: SignedNews, key: "VerifyKey") -> bool:
    return key.has_signed(news.text, news.signature)
