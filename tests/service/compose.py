"""A compose file as Compose reads it: variables filled in, services in the order in which they start. Not a test."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "manifests" / "service" / "compose"
VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<kind>:\?|:-)(?P<rest>[^}]*))?\})")
ASSIGNED = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
SECONDS = {"s": 1, "m": 60}


def read_example(folder: Path = FOLDER) -> dict[str, str]:
    """The variables of `.env.example`; empty are those that everybody has to make up."""
    return dict(ASSIGNED.findall((folder / ".env.example").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Service:
    """One service, with all variables filled in. `mounts` lead from a path in the container to the volume or folder
    that lies there, or to nothing where it is a file system of its own that begins empty."""

    name: str
    told: Mapping[str, Any]

    @property
    def image(self) -> str:
        """The name of the image without registry, owner and version."""
        return str(self.told["image"]).rpartition("/")[2].partition(":")[0]

    @property
    def arguments(self) -> list[str]:
        """What stands for the image's own command, and before it what stands for its entry point."""
        return [*self.told.get("entrypoint", ()), *self.told.get("command", ())]

    @property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        return {name: str(value) for name, value in self.told.get("environment", {}).items()}

    @property
    def mounts(self) -> dict[str, str]:
        """See above."""
        passing = {each.partition(":")[0]: "" for each in self.told.get("tmpfs", ())}
        kept = (each.split(":") for each in self.told.get("volumes", ()))
        return passing | {place: source for source, place, *_ in kept}

    @property
    def goes_on(self) -> bool:
        """Whether it is there until somebody ends it."""
        return bool(self.told["restart"] == "unless-stopped")

    @property
    def waits_for(self) -> dict[str, str]:
        """The services that start before it, and what must have become of them."""
        return {name: str(told["condition"]) for name, told in self.told.get("depends_on", {}).items()}

    @property
    def probe(self) -> list[str]:
        """The command that says whether it is healthy."""
        kind, *command = map(str, self.told["healthcheck"]["test"])
        assert kind == "CMD", self.name
        return command

    @property
    def stop_signal(self) -> str:
        """What it is asked to end by."""
        return str(self.told.get("stop_signal", "SIGTERM"))

    @property
    def stop_grace_s(self) -> float:
        """How long it may take to end before it is killed."""
        text = str(self.told.get("stop_grace_period", "10s"))
        return float(text[:-1]) * SECONDS[text[-1]]


def read_services(values: Mapping[str, str], folder: Path = FOLDER) -> dict[str, Service]:
    """The services of a compose file with these variables, each after those that it waits for."""
    told = _filled(yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8")), values)["services"]
    services = {name: Service(name, each) for name, each in told.items()}
    return {name: services[name] for name in _in_order(services)}


def _in_order(services: Mapping[str, Service]) -> Iterator[str]:
    left = dict(services)
    while left:
        ready = [name for name, each in left.items() if not each.waits_for.keys() & left.keys()]
        assert ready, f"they wait for each other: {', '.join(left)}"
        for name in ready:
            assert left[name].waits_for.keys() <= services.keys(), name
            del left[name]
            yield name


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    return fill_in(value, values) if isinstance(value, str) else value


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """A text of a compose file with its variables; one that must be set, and is not, is an error."""

    def value_of(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        value = values.get(found["name"], "")
        if found["kind"] == ":-":
            return value or found["rest"]
        assert value or found["kind"] != ":?", f"{found['name']} has no value"
        return value

    return VARIABLE.sub(value_of, text)
