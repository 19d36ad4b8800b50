"""Walks everything a service has registered, as somebody who has learnt every name of somebody else's.

Each name is asked for, and then one of the same form that never was. Both must be answered with the same bytes, and by
the same statements in the database, so that neither words nor time tell that the first is there.
"""

import base64
import json
import re
import secrets
import string
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy import Engine, event

from ltx_mcp.server.auth.current import current_caller
from tests.server.auth.people import BASE_URL, Person, Service

SAY_HOW = "say in tests/server/auth/walker.py how this is asked for by somebody else's names"
NAMES_THINGS = {"image", "end_image", "audio", "video", "videos", "job_id", "cursor", "request_key"}
SAYS_THINGS = {"prompt", "captions", "titles"}
"""Arguments that are text. Others are one of a few words, or numbers."""
FILM = "a film of one's own"
UNPAID = {"provider": "fal", "max_cost_usd": 0}
"""Whatever can be ordered is too dear, so that nothing is."""
TOOLS: dict[str, dict[str, Any]] = {
    "generate_video": {"prompt": "a reed", **UNPAID},
    "animate_image": {"prompt": "a reed", "image": FILM, **UNPAID},
    "generate_from_audio": {"prompt": "a reed", "audio": FILM, **UNPAID},
    "extend_video": {"video": FILM, **UNPAID},
    "retake_video": {"video": FILM, "start_time": 0, "duration": 2, **UNPAID},
    "reframe_video": {"video": FILM, "aspect_ratio": "9:16", **UNPAID},
    "join_videos": {"videos": [FILM, FILM]},
    "check_job": {"job_id": FILM},
    "cancel_job": {"job_id": FILM},
    "list_jobs": {},
    "estimate_cost": {},
}
"""Arguments with which a tool does nothing."""
OPERATIONS = {"audio": "audio_to_video", "video": "reframe"}
"""What is estimated with this argument."""
PLACES_A_JOB = {("join_videos", "request_key")}
"""Free of charge, so another's key makes a job of one's own; see test_two_callers."""
TEMPLATE_VALUES = {"job_id": FILM, "seconds": "0", "day": "today"}
ASKED_AS_THEY_ARE = {
    *("ping", "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"),
}
ASKED_BY_NAME = {"tools/call", "prompts/get", "resources/read", "completion/complete"}
TASKS = {"tasks/get", "tasks/update", "tasks/cancel"}
LISTENS = {"subscriptions/listen"}
ROUTES = {"/mcp", "/videos/{name}", "/webhooks/{provider}/{job_id}"}


@dataclass(frozen=True)
class Name:
    """A name of somebody else's, and one of the same form that never was."""

    theirs: str
    never: str

    def within(self, form: str) -> "Name":
        """The same in a longer name."""
        return Name(form.format(self.theirs), form.format(self.never))


def job_name(job_id: str) -> Name:
    """A job, and one that never was."""
    alphabet = string.ascii_letters + string.digits
    return Name(job_id, job_id[:4] + "".join(secrets.choice(alphabet) for _ in job_id[4:]))


def cursor_of(name: Name) -> Name:
    """The cursors after these jobs."""
    return Name(*(base64.urlsafe_b64encode(each.encode()).decode() for each in (name.theirs, name.never)))


@dataclass(frozen=True)
class Theirs:
    """All that somebody else has: names of jobs and sets, of other things, and texts that are in no name."""

    jobs: Sequence[Name]
    others: Sequence[Name]
    texts: Sequence[str]
    home: str

    @property
    def few(self) -> list[Name]:
        """One of each kind, for what can hardly name anything."""
        return [self.jobs[0], self.jobs[-1], self.others[0]]

    @property
    def names(self) -> list[Name]:
        """Every name, and one of them in every form in which it can be given."""
        forms = ["{}#last", "{}#0.5", "{}@0-1", " {}\n", f"{self.home}/videos/{{}}.mp4"]
        forms += [f"file://{self.home}/videos/{{}}.mp4", f"{BASE_URL}/videos/{{}}.mp4"]
        forms += ["https://127.0.0.1:1/videos/{}.mp4?exp=1&sig=x"]
        return [*self.jobs, *self.others, *(self.jobs[0].within(form) for form in forms)]

    def secrets_in(self, text: str, asked: str) -> set[str]:
        """What of theirs a text tells, beyond what it was asked."""
        known = [name.theirs for name in (*self.jobs, *self.others)] + [*self.texts]
        return {each for each in known if each in text and each not in asked}


@dataclass
class Walk:
    """What one person was answered: `asked` counts that, and `looked_up` how often it took the database to answer.
    `differences` are those between a name of theirs and one that never was."""

    service: Service
    person: Person
    theirs: Theirs
    own_film: str
    statements: "Statements"
    asked: int = 0
    looked_up: int = 0
    told: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    async def compare(self, what: str, ask: Callable[[str], Any], name: Name) -> None:
        """Ask for a name of theirs, and for one that never was."""
        self.statements.taken()
        theirs: httpx.Response = await ask(name.theirs)
        first = self.statements.taken()
        never: httpx.Response = await ask(name.never)
        second = self.statements.taken()
        self.looked_up += bool(first)
        self.check_answer(what, theirs, name.theirs)
        seen, unknown = (_form(answer, name) for answer in (theirs, never))
        if seen != unknown:
            self.differences.append(f"{what} {name.theirs!r}: {seen} but {unknown}")
        if first != second:
            self.differences.append(f"{what} {name.theirs!r}: {first} but {second}")

    def check_answer(self, what: str, answer: httpx.Response, asked: str = "") -> None:
        """Whether an answer tells anything of theirs."""
        self.asked += 1
        said = f"{answer.text} {unescaped(answer.text)} {answer.headers}"
        self.told += [f"{what}: {found}" for found in self.theirs.secrets_in(said, asked)]

    # -- what is registered --------------------------------------------------------------------------------------

    async def everything(self) -> None:
        """All that this service has registered."""
        low = self.service.server._lowlevel_server
        unknown = {*low._request_handlers} - ASKED_AS_THEY_ARE - ASKED_BY_NAME - TASKS - LISTENS
        assert not unknown, f"{unknown}: {SAY_HOW}"
        assert not low._notification_handlers, f"{low._notification_handlers}: {SAY_HOW}"
        routes = {getattr(route, "path", str(route)) for route in self.service.routes} - ROUTES
        assert not routes, f"{routes}: {SAY_HOW}"
        for method in sorted(ASKED_AS_THEY_ARE):
            self.check_answer(method, await self.person.send(method, {}))
        await self.tools()
        await self.resources()
        await self.prompts()
        await self.tasks()
        await self.videos()
        await self.webhooks()

    async def _listed(self, kind: str, field: str) -> list[dict[str, Any]]:
        answer = await self.person.send(f"{kind}/list", {})
        found: list[dict[str, Any]] = json.loads(answer.text)["result"][field]
        return found

    async def tools(self) -> None:
        """Every tool, with every name in every argument that names something."""
        for tool in await self._listed("tools", "tools"):
            assert tool["name"] in TOOLS, f"{tool['name']}: {SAY_HOW}"
            base = {name: self._own(value) for name, value in TOOLS[tool["name"]].items()}
            for argument, schema in tool["inputSchema"]["properties"].items():
                if not _is_text(schema) or argument in SAYS_THINGS or (tool["name"], argument) in PLACES_A_JOB:
                    continue
                assert argument in NAMES_THINGS, f"{argument} of {tool['name']}: {SAY_HOW}"
                if tool["name"] == "estimate_cost":
                    base = {"operation": OPERATIONS[argument]}
                for name in self.theirs.names:
                    await self._tool(tool["name"], base, argument, name, is_list=schema.get("type") == "array")

    async def _tool(self, tool: str, base: Mapping[str, Any], argument: str, name: Name, *, is_list: bool) -> None:
        async def ask(text: str) -> httpx.Response:
            value = [self.own_film, text] if is_list else text
            return await self.person.send("tools/call", {"name": tool, "arguments": {**base, argument: value}})

        await self.compare(f"{tool}({argument})", ask, name)

    def _own(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._own(each) for each in value]
        return self.own_film if value == FILM else value

    async def resources(self) -> None:
        """Every resource, and every template filled with every name."""
        for resource in await self._listed("resources", "resources"):
            self.check_answer(resource["uri"], await self.person.send("resources/read", {"uri": resource["uri"]}))
        for listed in await self._listed("resources/templates", "resourceTemplates"):
            template = listed["uriTemplate"]
            parameters = re.findall(r"\{(\w+)\}", template)
            unknown = {*parameters} - {*TEMPLATE_VALUES}
            assert not unknown, f"{unknown} of {template}: {SAY_HOW}"
            for parameter, name in product(parameters, self.theirs.names):
                await self._resource(template, parameter, name)
            for parameter, name in product(parameters, self.theirs.few):
                await self._completion({"type": "ref/resource", "uri": template}, parameter, name)

    async def _resource(self, template: str, parameter: str, name: Name) -> None:
        async def ask(text: str) -> httpx.Response:
            values = {key: self._own(value) for key, value in TEMPLATE_VALUES.items()} | {parameter: quote(text, "")}
            return await self.person.send("resources/read", {"uri": template.format(**values)})

        await self.compare(template, ask, name)

    async def prompts(self) -> None:
        """Every prompt and the completions of its arguments, with every name."""
        for prompt in await self._listed("prompts", "prompts"):
            required = {each["name"]: "2" for each in prompt["arguments"] if each.get("required")}
            for argument, name in product([each["name"] for each in prompt["arguments"]], self.theirs.few):
                await self._prompt(prompt["name"], required, argument, name)
                await self._completion({"type": "ref/prompt", "name": prompt["name"]}, argument, name)

    async def _prompt(self, prompt: str, required: Mapping[str, str], argument: str, name: Name) -> None:
        async def ask(text: str) -> httpx.Response:
            return await self.person.send("prompts/get", {"name": prompt, "arguments": {**required, argument: text}})

        await self.compare(f"prompt {prompt}({argument})", ask, name)

    async def _completion(self, ref: Mapping[str, str], argument: str, name: Name) -> None:
        """With the beginning of a name, and with the name among what was given before."""
        for value, given in (("{}", ""), ("", "{}")):

            async def ask(text: str, value: str = value, given: str = given) -> httpx.Response:
                context = {"arguments": dict.fromkeys(TEMPLATE_VALUES, given.format(text))}
                asked = {"name": argument, "value": value.format(text)[:-1]}
                return await self.person.send(
                    "completion/complete", {"ref": {**ref}, "argument": asked, "context": context}
                )

            await self.compare(f"completion of {argument} of {[*ref.values()]}", ask, name)

    async def tasks(self) -> None:
        """Every method of tasks, with every name."""
        for method, name in product(sorted(TASKS), self.theirs.names):
            if name.theirs.isprintable() and name.theirs.strip() == name.theirs:

                async def ask(text: str, method: str = method) -> httpx.Response:
                    return await self.person.send(method, {"taskId": text, "inputResponses": {}})

                await self.compare(method, ask, name)

    async def videos(self) -> None:
        """Every video, by GET and HEAD, in parts, as oneself and as nobody."""
        ways: list[dict[str, str]] = [
            {},
            {"Range": "bytes=0-9"},
            {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "video"},
        ]
        everybody = (self.person, Person("", self.person.web, {}))
        for name, method, headers, person in product(self.theirs.jobs, ("GET", "HEAD"), ways, everybody):

            async def ask(
                text: str, method: str = method, headers: dict[str, str] = headers, person: Person = person
            ) -> httpx.Response:
                return await person.get(f"/videos/{quote(text, '')}.mp4", method, **headers)

            await self.compare(f"{method} /videos", ask, name)

    async def webhooks(self) -> None:
        """Every job, by what looks like a webhook of fal's, as oneself and as nobody."""
        body = json.dumps({"request_id": self.theirs.texts[0]})
        marks = {"request-id": "x", "user-id": "x", "timestamp": str(round(time.time())), "signature": "ab" * 64}
        signed = {f"X-Fal-Webhook-{name}": value for name, value in marks.items()}
        everybody = (self.person, Person("", self.person.web, {}))
        for name, headers, person in product(self.theirs.jobs, ({}, signed), everybody):

            async def ask(text: str, headers: Mapping[str, str] = headers, person: Person = person) -> httpx.Response:
                path = f"/webhooks/fal/{quote(text, '')}"
                return await person.web.post(path, content=body, headers={**person.who, **headers})

            await self.compare("/webhooks", ask, name)


def unescaped(text: str) -> str:
    """The texts within JSON within JSON, as people see them."""
    return text.replace("\\\\", "\\").replace('\\"', '"').replace("\\n", "\n").replace("\\/", "/")


def _is_text(schema: Mapping[str, Any]) -> bool:
    kinds = [schema, *schema.get("anyOf", ()), schema.get("items", {})]
    return any(kind.get("type") == "string" and "enum" not in kind for kind in kinds)


def _form(answer: httpx.Response, name: Name) -> tuple[Any, ...]:
    """An answer without the name that was asked for."""

    def cut(found: re.Match[str]) -> str:
        # a long name may be shown in part
        return "…" if any(found[0] in each for each in (name.theirs, name.never)) else found[0]

    texts = [answer.text, *(f"{key}: {value}" for key, value in answer.headers.items())]
    for asked in (name.theirs, name.never):
        texts = [text.replace(json.dumps(asked)[1:-1], "…") for text in texts]
    return (answer.status_code, *(re.sub(r"(?:job|set)_[A-Za-z0-9]*", cut, text) for text in texts))


@dataclass
class Statements:
    """The statements that the database ran for this caller, but for those about the caller's own film."""

    caller: str
    own_film: str = ""
    found: list[str] = field(default_factory=list)

    def __call__(self, connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        is_work = not statement.startswith(("BEGIN", "PRAGMA")) and self.own_film not in str(values)
        if is_work and current_caller() == self.caller:
            self.found.append(statement)

    def taken(self) -> list[str]:
        """Those since this was called before. Media of one call are looked up side by side, so in no order."""
        taken, self.found = sorted(self.found), []
        return taken


@contextmanager
def statements_of(caller: str) -> Iterator[Statements]:
    """To be entered before any database is opened: its threads must not see this come or go."""
    statements = Statements(caller)
    event.listen(Engine, "before_cursor_execute", statements)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", statements)
