"""What kustomize makes of the Kubernetes files: valid for the API, shut in, and all that this version needs."""

import base64
import ipaddress
import math
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ltx_mcp import __version__
from ltx_mcp.cli.serve import DRAINED_GRACE_S, DRAINING_S, serve
from ltx_mcp.domain.errors import SetupError
from ltx_mcp.providers.catalog_loader import read_providers, setting_names
from ltx_mcp.server.app_context import READY_WITHIN_S
from ltx_mcp.server.auth.setup import check_service, open_logins
from ltx_mcp.server.probes import HEALTH, READINESS
from ltx_mcp.settings import PREFIX, described, read_settings
from manifests.make import FOLDER
from tests.conftest import PROVIDER_SETTINGS
from tests.manifests.rendered import EXAMPLE, KUBERNETES, Document, environment, one, pods, render, with_telemetry

OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
"""From 1.30 on a preStop may sleep by itself."""
POSTGRES_CONNECTIONS = 97
"""What a PostgreSQL with its own defaults leaves to others than its superuser."""
OWN_PREFIXES = ("OTEL_", "AWS_", "POD_")
FILLED = {
    "LTX_MCP_DATABASE_URL": "postgresql://ltx@postgres.films:5432/ltx",
    "LTX_MCP_SIGNING_KEY": "k" * 32,
}


@pytest.fixture(scope="module")
def example() -> list[Document]:
    return render(KUBERNETES / EXAMPLE)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    return render(with_telemetry(tmp_path_factory.mktemp("traced")))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("overlay", ["example", "traced"])
def test_the_api_takes_every_document_and_knows_every_field(
    version: str, overlay: str, request: pytest.FixtureRequest
) -> None:
    documents = request.getfixturevalue(overlay)
    for each in documents:
        kubernetes_validate.validate(each, version, strict=True)
    assert {each["kind"] for each in documents} == {
        "Namespace", "Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount", "PodDisruptionBudget",
        "HorizontalPodAutoscaler", "NetworkPolicy", "Ingress", "Job"
    }  # fmt: skip


def test_a_field_that_the_api_does_not_know_is_found(example: list[Document]) -> None:
    wrong = one(example, "Service") | {"spec": {"sesionAffinity": "None"}}
    with pytest.raises(kubernetes_validate.ValidationError, match="sesionAffinity"):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_file_is_part_of_what_is_rendered() -> None:
    for path in KUBERNETES.rglob("*"):
        if path.is_file() and path.name != "kustomization.yaml":
            assert path.name in (path.parent / "kustomization.yaml").read_text(encoding="utf-8"), path


def test_the_base_says_no_namespace_and_no_secret() -> None:
    documents = render(KUBERNETES / "base")
    assert not [each for each in documents if each["kind"] in ("Secret", "Namespace", "Ingress")]
    assert not [each for each in documents if "namespace" in each["metadata"]]


def test_everything_lies_in_the_namespace_of_the_overlay(example: list[Document]) -> None:
    namespace = one(example, "Namespace", "films")["metadata"]["name"]
    assert {each["metadata"].get("namespace") for each in example if each["kind"] != "Namespace"} == {namespace}


def test_what_is_named_is_there(example: list[Document]) -> None:
    """References as kustomize left them, after it gave settings and Secrets their names."""
    names = {(each["kind"], each["metadata"]["name"]) for each in example}
    account = one(example, "ServiceAccount")["metadata"]["name"]
    for spec in pods(example).values():
        (container,) = spec["containers"]
        assert environment(example, container)
        assert spec["serviceAccountName"] == account
        secrets = [each["secret"]["secretName"] for each in spec["volumes"] if "secret" in each]
        assert all(("Secret", name) in names for name in secrets)
        mounted, volumes = container["volumeMounts"], {each["name"] for each in spec["volumes"]}
        assert {each["name"] for each in mounted} == volumes
    (path,) = one(example, "Ingress")["spec"]["rules"][0]["http"]["paths"]
    service = one(example, "Service")
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] in {each["name"] for each in service["spec"]["ports"]}
    assert one(example, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "ltx-mcp"


def test_the_service_and_its_budget_choose_servers_and_not_the_migration(example: list[Document]) -> None:
    deployment, job = one(example, "Deployment"), one(example, "Job")
    servers = deployment["spec"]["template"]["metadata"]["labels"]
    spread = [each["labelSelector"] for each in pods(example)["server"]["topologySpreadConstraints"]]
    selectors = [
        one(example, "Service")["spec"]["selector"],
        *(each["matchLabels"] for each in spread),
        *(one(example, kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")),
    ]
    for selector in selectors:
        assert selector.items() <= servers.items()
        assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    guarded = one(example, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert guarded <= servers.items()
    assert guarded <= job["spec"]["template"]["metadata"]["labels"].items()


def test_the_image_is_that_of_this_version(example: list[Document]) -> None:
    tags = {spec["containers"][0]["image"].rpartition(":")[2] for spec in pods(example).values()}
    assert tags == {__version__}


@pytest.mark.parametrize("name", ["server", "migrate"])
def test_a_pod_is_shut_in(name: str, example: list[Document]) -> None:
    spec = pods(example)[name]
    (container,) = spec["containers"]
    user = re.search(r"^USER (\d+)$", (FOLDER / "docker/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user
    pod, own = spec["securityContext"], container["securityContext"]
    assert (pod["runAsNonRoot"], pod["runAsUser"], pod["seccompProfile"]["type"]) == (
        True,
        int(user[1]),
        "RuntimeDefault",
    )
    assert own == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    written = {each["name"] for each in spec["volumes"] if "emptyDir" in each}
    assert {each["mountPath"] for each in container["volumeMounts"] if each["name"] in written} == {"/data", "/tmp"}
    assert "subPath" not in str(container["volumeMounts"])
    assert one(example, "ServiceAccount")["automountServiceAccountToken"] is False


def test_what_kubernetes_says_of_services_is_kept_from_the_server(example: list[Document]) -> None:
    """Of a Service called ltx-mcp it sets variables that the server takes for settings which it does not know."""
    name = one(example, "Service")["metadata"]["name"].upper().replace("-", "_")
    with pytest.raises(SetupError, match="LTX_MCP_SERVICE_HOST"):
        read_settings({f"{name}_SERVICE_HOST": "10.0.0.1"}, PROVIDER_SETTINGS)
    assert {spec["enableServiceLinks"] for spec in pods(example).values()} == {False}


def test_every_setting_is_one_that_this_version_acts_on(traced: list[Document]) -> None:
    known = {row["name"] for row in described()}
    keys = {name for facts in read_providers() for name in setting_names(facts)}
    said = [path.read_text(encoding="utf-8") for path in KUBERNETES.parent.rglob("*.*")]
    told = {name for text in said for name in re.findall(rf"\b{PREFIX}[A-Z_]+", text)}
    assert told - known - {"LTX_MCP_SERVICE_HOST"} == set()
    for spec in pods(traced).values():
        given = environment(traced, spec["containers"][0])
        assert {name for name in given if not name.startswith(OWN_PREFIXES)} <= known | keys


def test_the_example_starts_when_its_secrets_are_filled_in(example: list[Document], tmp_path: Path) -> None:
    container = pods(example)["server"]["containers"][0]
    (mounted,) = (each["mountPath"] for each in container["volumeMounts"] if each["name"] == "files")
    files = one(example, "Secret", "ltx-mcp-files")["data"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(base64.b64decode(content))
    given = environment(example, container) | FILLED
    named = [value for value in given.values() if value.startswith(f"{mounted}/")]
    assert {value.removeprefix(f"{mounted}/") for value in named} == files.keys()
    settings = read_settings(
        {name: value.replace(mounted, str(tmp_path)) for name, value in given.items()}, PROVIDER_SETTINGS
    )
    options = serve.make_context("serve", container["args"][1:], resilient_parsing=False).params
    assert (container["args"][0], options["http"]) == ("serve", True)
    check_service(settings, options["host"], behind_tls_proxy=options["behind_tls_proxy"])
    assert open_logins(settings)
    assert settings.log_format == "json"
    assert str(settings.home).startswith("/data/"), "the volume itself belongs to root, and the server would refuse it"
    (rule,) = one(example, "Ingress")["spec"]["rules"]
    assert settings.public_url == f"https://{rule['host']}"


@pytest.mark.parametrize("name", FILLED)
def test_as_the_example_stands_no_server_starts(name: str, example: list[Document]) -> None:
    given = environment(example, pods(example)["server"]["containers"][0])
    with pytest.raises(SetupError, match=name):
        check_service(
            read_settings({**given, **FILLED, name: given[name]}, PROVIDER_SETTINGS), "0.0.0.0", behind_tls_proxy=False
        )


def test_the_base_alone_starts_nowhere_without_a_bucket() -> None:
    """Else films would lie in the pod, and end with it."""
    (settings,) = (each for each in render(KUBERNETES / "base") if each["kind"] == "ConfigMap")
    with pytest.raises(SetupError, match="LTX_MCP_VIDEO_STORE"):
        read_settings(settings["data"], PROVIDER_SETTINGS)


def test_a_pod_without_the_address_of_the_database_is_not_started(example: list[Document]) -> None:
    for spec in pods(example).values():
        (reference,) = (each for each in spec["containers"][0]["env"] if each["name"] == "LTX_MCP_DATABASE_URL")
        assert not reference["valueFrom"]["secretKeyRef"].get("optional")


def test_the_ports_are_those_that_the_server_binds(example: list[Document]) -> None:
    container = pods(example)["server"]["containers"][0]
    options = serve.make_context("serve", container["args"][1:]).params
    assert options["host"] == "0.0.0.0"
    assert [(each["name"], each["containerPort"]) for each in container["ports"]] == [("http", options["port"])]
    assert [each["targetPort"] for each in one(example, "Service")["spec"]["ports"]] == ["http"]
    (way_in,) = one(example, "NetworkPolicy")["spec"]["ingress"]
    assert [each["port"] for each in way_in["ports"]] == ["http"]


def test_probes_ask_what_the_server_answers_and_wait_long_enough(example: list[Document]) -> None:
    container = pods(example)["server"]["containers"][0]
    asked = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    paths = {kind: each["httpGet"]["path"] for kind, each in asked.items()}
    assert paths == {"startup": HEALTH, "liveness": HEALTH, "readiness": READINESS}
    assert {each["httpGet"]["port"] for each in asked.values()} == {"http"}
    assert asked["readiness"]["timeoutSeconds"] > READY_WITHIN_S
    assert asked["startup"]["periodSeconds"] * asked["startup"]["failureThreshold"] >= 60


def test_a_pod_has_time_to_drain_and_none_goes_before_another_is_ready(example: list[Document]) -> None:
    deployment = one(example, "Deployment")["spec"]
    spec = deployment["template"]["spec"]
    held = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= held + DRAINING_S + DRAINED_GRACE_S + 5
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_all_pods_of_an_update_fit_into_the_connections_of_the_database(example: list[Document]) -> None:
    deployment, most = (
        one(example, "Deployment")["spec"],
        one(example, "HorizontalPodAutoscaler")["spec"]["maxReplicas"],
    )
    assert "replicas" not in deployment, "an apply would undo what the autoscaler decided"
    grace_s = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    ending = math.ceil(grace_s / deployment["minReadySeconds"])
    each = int(environment(example, pods(example)["server"]["containers"][0])["LTX_MCP_DATABASE_CONNECTIONS"])
    migration = 1
    assert (most + 1 + ending) * each + migration <= POSTGRES_CONNECTIONS


def test_pods_reach_names_the_database_and_the_world_and_nothing_else_inside(traced: list[Document]) -> None:
    rules = one(traced, "NetworkPolicy")["spec"]["egress"]
    by_port: dict[int, list[Any]] = {}
    for rule in rules:
        for port in rule["ports"]:
            by_port.setdefault(port["port"], []).extend(rule["to"])
    assert by_port.keys() == {53, 5432, 443, 4318}
    world = [each["ipBlock"] for each in by_port[443]]
    for inside in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "fd00::1"):
        assert not any(_lets(block, inside) for block in world), inside
    assert any(_lets(block, "203.0.113.5") for block in world)
    assert any(_lets(block, "2001:db8::1") for block in world)


def _lets(block: dict[str, Any], address: str) -> bool:
    def holds(cidr: str) -> bool:
        return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)

    return holds(block["cidr"]) and not any(map(holds, block["except"]))


def test_a_traced_server_gets_the_same_arguments(traced: list[Document], example: list[Document]) -> None:
    plain, instrumented = (pods(each)["server"]["containers"][0] for each in (example, traced))
    dockerfile = (FOLDER / "docker/Dockerfile").read_text(encoding="utf-8")
    assert "command" not in plain, "the image's own start"
    assert instrumented["args"] == plain["args"]
    assert all(part.rpartition("/")[0] in dockerfile for part in instrumented["command"])
    assert instrumented["command"][1].endswith("/ltx-mcp")
    given = environment(traced, instrumented)
    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(":4318")
    names = [each["name"] for each in instrumented["env"]]
    assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES"), "only what stands before is put in"


def test_the_files_hold_no_secret() -> None:
    for path in (KUBERNETES / EXAMPLE).glob("*.env"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r"\w*(KEY|SECRET|TOKEN)\w*=", line) and not line.startswith("#"):
                assert line.endswith("=") or "FILE=" in line, line
    assert "sha256" not in (KUBERNETES / EXAMPLE / "tokens.toml").read_text(encoding="utf-8")
    assert yaml.safe_load((KUBERNETES / EXAMPLE / "kustomization.yaml").read_text(encoding="utf-8"))["secretGenerator"]


def test_no_empty_key_stands_in_the_way_of_a_role(example: list[Document]) -> None:
    """The library of the bucket signs with a key that is empty, instead of asking the cloud for the pod's."""
    (container,) = pods(example)["server"]["containers"]
    assert [
        name for name, value in environment(example, container).items() if name.startswith("AWS_") and not value
    ] == []
