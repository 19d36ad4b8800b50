"""The compose file keeps to the specification, says nothing twice in two ways, and holds no secret and no open door."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ltx_mcp.cli.serve import DRAINED_GRACE_S, DRAINING_S
from ltx_mcp.providers.catalog_loader import read_providers, setting_names
from ltx_mcp.server.auth.setup import check_service
from ltx_mcp.settings import Settings, read_settings
from tests.service.compose import FOLDER, Service, read_example, read_services

EXAMPLE = read_example()
VALUES = {name: value or "x" * 40 for name, value in EXAMPLE.items()}
SERVICES = read_services(VALUES)
REPLICAS = [each for name, each in SERVICES.items() if name.startswith("ltx-")]
TOLD = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
REALM = json.loads((FOLDER / "identity" / "films.json").read_text(encoding="utf-8"))
IS_SECRET = re.compile(r"PASSWORD|SECRET|_KEY")
REFERENCE = re.compile(r"\$\{[A-Z_]+(:\?|:-)\}")
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))


def settings_of(replica: Service) -> Settings:
    names = frozenset(name for facts in read_providers() for name in setting_names(facts))
    return read_settings({**replica.environment, "LTX_MCP_HOME": "/data"}, names)


def test_it_keeps_to_the_specification_of_compose(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    judged = subprocess.run([*command, str(FOLDER / "compose.yaml")], capture_output=True, encoding="utf-8")
    assert judged.returncode == 0, judged.stdout
    broken = tmp_path / "compose.yaml"
    broken.write_text(yaml.safe_dump({**TOLD, "services": {"one": {"imagine": "x"}}}), encoding="utf-8")
    assert subprocess.run([*command, str(broken)], capture_output=True).returncode == 1


@pytest.mark.parametrize("replica", REPLICAS, ids=lambda each: each.name)
def test_a_replica_could_start_with_its_settings(replica: Service) -> None:
    settings = settings_of(replica)
    host = replica.arguments[replica.arguments.index("--host") + 1]
    check_service(settings, host, behind_tls_proxy="--behind-tls-proxy" in replica.arguments)
    assert settings.bucket
    assert settings.budget_usd is not None
    mounted = [settings.callers_file, settings.webhooks_file]
    for path in mounted:
        assert path is not None
        (source,) = (source for place, source in replica.mounts.items() if path.is_relative_to(place) and source)
        assert (FOLDER / source / path.name).exists()


def test_replicas_differ_in_their_names_and_homes_alone() -> None:
    assert len(REPLICAS) == 2
    one, other = ({**each.told, "volumes": [*map(str, each.told["volumes"])]} for each in REPLICAS)
    assert [name for name in one if one[name] != other[name]] == ["volumes"]
    homes = [each.mounts["/data"] for each in REPLICAS]
    assert sorted(homes) == sorted(set(homes) & TOLD["volumes"].keys())


def test_a_replica_has_longer_to_end_than_it_needs() -> None:
    assert all(each.stop_grace_s > 2 * (DRAINING_S + DRAINED_GRACE_S) - 1 for each in REPLICAS)


def test_the_address_that_people_use_is_the_same_wherever_it_is_said() -> None:
    url = VALUES["FILMS_URL"]
    assert url == f"https://{VALUES['FILMS_HOST']}:{VALUES['FILMS_PORT']}"
    identity, balancer = SERVICES["identity"], SERVICES["balancer"].told
    for replica in REPLICAS:
        settings = settings_of(replica)
        assert settings.public_url == identity.environment["KC_HOSTNAME"] == url
        assert settings.oidc_issuers == (f"{url}/realms/{REALM['realm']}",)
        assert settings.oidc_audience == identity.environment["FILMS_AUDIENCE"]
        assert replica.environment["AWS_ENDPOINT_URL"] == url
    assert balancer["networks"]["front"]["aliases"] == [VALUES["FILMS_HOST"]]
    assert balancer["ports"] == [f"127.0.0.1:{VALUES['FILMS_PORT']}:{VALUES['FILMS_PORT']}"]


def test_a_token_of_the_realm_names_a_subject_an_audience_and_scopes() -> None:
    scopes = {each["name"]: each for each in REALM["clientScopes"]}
    assert scopes["basic"]["protocolMappers"][0]["protocolMapper"] == "oidc-sub-mapper"
    for name in ("ltx:read", "ltx:order"):
        (mapper,) = scopes[name]["protocolMappers"]
        assert mapper["protocolMapper"] == "oidc-audience-mapper"
        assert mapper["config"]["included.custom.audience"] == "${FILMS_AUDIENCE}"
        assert mapper["config"]["access.token.claim"] == scopes[name]["attributes"]["include.in.token.scope"] == "true"
    for client in REALM["clients"]:
        assert client["defaultClientScopes"] == ["basic"]
        # the one for staying logged in is Keycloak's own, which has the role that it needs
        assert {"ltx:read", "ltx:order"} <= {*client["optionalClientScopes"]} <= scopes.keys() | {"offline_access"}


def test_what_the_realm_refers_to_is_set() -> None:
    named = {*re.findall(r"\$\{(\w+)\}", json.dumps(REALM))}
    assert named <= SERVICES["identity"].environment.keys()


def test_no_secret_stands_in_any_of_the_files() -> None:
    assert {name for name, value in EXAMPLE.items() if IS_SECRET.search(name) and value} == set()
    for name, service in TOLD["services"].items():
        for variable, value in service.get("environment", {}).items():
            if IS_SECRET.search(variable):
                assert REFERENCE.fullmatch(value), (name, variable)
    assert {each.get("secret", "${}")[:2] for each in REALM["clients"]} == {"${"}
    assert {login["value"][:2] for user in REALM["users"] for login in user["credentials"]} == {"${"}


def test_every_variable_has_a_line_in_the_example_and_a_use() -> None:
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    used = {*re.findall(r"(?<!\$)\$\{(\w+)", text)}
    left_out = {*re.findall(r"^# (\w+)=", (FOLDER / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)}
    assert used == EXAMPLE.keys() | left_out


@each_service
def test_a_service_can_do_no_more_than_it_must(service: Service) -> None:
    told: dict[str, Any] = dict(service.told)
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in told
    assert "cap_add" not in told
    assert int(str(told["user"]).partition(":")[0]) > 0
    assert [name for name, each in SERVICES.items() if "ports" in each.told] == ["balancer"]
    outside = {name for name, each in TOLD["networks"].items() if not (each or {}).get("internal")}
    assert outside == {"front"}
    assert not outside & {*told["networks"]} or service in (*REPLICAS, SERVICES["balancer"])


@each_service
def test_a_service_says_when_it_is_well_and_waits_for_those_that_do(service: Service) -> None:
    assert ("healthcheck" in service.told) is service.goes_on
    for name, condition in service.waits_for.items():
        assert condition == ("service_healthy" if SERVICES[name].goes_on else "service_completed_successfully")


@each_service
def test_a_service_keeps_what_it_must_in_a_volume_with_a_name(service: Service) -> None:
    kept = [source for source in service.mounts.values() if source and not source.startswith("./")]
    assert {*kept} <= TOLD["volumes"].keys()
    beside = {source for source in service.mounts.values() if source.startswith("./")} - {"./tls"}
    assert all((FOLDER / source).is_dir() for source in beside)
