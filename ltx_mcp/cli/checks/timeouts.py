"""Blocking work that may hang, such as a name that nobody resolves: it is given up, and never keeps the process."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """A thread for each piece of work, for which nobody waits at the end: not the event loop, nor the interpreter."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin at once."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                result = work(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 (whoever waits for it hears of it)
                future.set_exception(error)
            else:
                future.set_result(result)

        future.set_running_or_notify_cancel()
        threading.Thread(target=run, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nobody waits."""


def patient_loop() -> None:
    """Let the running loop resolve names, and do the work of `within`, in such threads."""
    asyncio.get_running_loop().set_default_executor(Threads())


async def within(seconds: float, work: Callable[..., T], *args: Any) -> T:
    """The result of blocking work. Raises TimeoutError."""
    return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, work, *args), seconds)
