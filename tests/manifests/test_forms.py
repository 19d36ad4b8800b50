"""Each manifest keeps the rules of the one who reads it, as far as they can be told without the reader itself."""

import base64
import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from ltx_mcp.cli.hosts.entry import SERVER
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.settings import read_settings
from manifests.facts import ROOT
from manifests.make import FOLDER, install_links, stage_bundle
from manifests.registries import NO_COMMIT, catalog_entry
from tests.conftest import PROVIDER_SETTINGS
from tests.manifests.conftest import FACTS, read

LINKS = read("hosts/links.json")
SECRET = re.compile(r"_KEY$")


def test_the_registry_entry_keeps_to_its_schema() -> None:
    entry = read("server.json")
    (package,) = entry["packages"]
    assert entry.keys() == {"$schema", "name", "title", "description", "version", "repository", "packages"}
    assert entry["$schema"].endswith("/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 1 <= len(entry["description"]) <= 100
    assert 1 <= len(entry["title"]) <= 100
    assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"])
    assert entry["repository"] == {"url": f"https://github.com/{entry['name'][10:]}", "source": "github"}
    assert (package["registryType"], package["identifier"], package["runtimeHint"]) == ("pypi", "ltx-mcp", "uvx")
    assert package["transport"] == {"type": "stdio"}
    for each in package["environmentVariables"]:
        assert each.keys() == {"name", "description", "isRequired", "isSecret", "format"}
        assert each["isRequired"] is False
        assert each["isSecret"] is bool(SECRET.search(each["name"]))
        assert each["format"] in ("string", "number", "boolean", "filepath")


def test_the_bundle_asks_for_keys_as_secrets_and_for_nothing_that_must_be() -> None:
    manifest = read("mcpb/manifest.json")
    form, config = manifest["user_config"], manifest["server"]["mcp_config"]
    assert manifest["manifest_version"] == "0.4"
    assert manifest["server"]["type"] == "uv"
    assert (ROOT / manifest["server"]["entry_point"]).exists()
    assert manifest["compatibility"]["runtimes"]["python"] == ">=3.11"
    for name, value in config["env"].items():
        asked = form[value.removeprefix("${user_config.").removesuffix("}")]
        assert asked["required"] is False
        assert asked.get("sensitive", False) is bool(SECRET.search(name))
        assert name in asked["description"]
    assert len(form) == len(config["env"])


def test_a_bundle_whose_form_was_left_empty_starts_with_no_key_and_the_defaults() -> None:
    env = read("mcpb/manifest.json")["server"]["mcp_config"]["env"]
    for environment in (env, dict.fromkeys(env, "")):
        settings = read_settings(environment, PROVIDER_SETTINGS)
        assert settings.budget_usd is None
        assert make_catalog(read_providers(), (), settings.lookup) == make_catalog(
            read_providers(), (), lambda name: ""
        )


@pytest.mark.parametrize(
    "name", ["hosts/mcp.json", "hosts/cursor.json", "claude-plugin/.mcp.json", "gemini-extension.json"]
)
def test_a_reference_that_a_host_leaves_as_it_stands_is_no_key(name: str) -> None:
    env = read(name)["mcpServers"][SERVER]["env"]
    settings = read_settings(env, PROVIDER_SETTINGS)
    assert make_catalog(read_providers(), (), settings.lookup) == make_catalog(read_providers(), (), lambda name: "")


def test_the_bundle_starts_without_installing_and_leaves_the_working_directory_alone() -> None:
    start = read("mcpb/manifest.json")["server"]["mcp_config"]["args"]
    assert "--no-sync" in start
    assert "--directory" not in start
    assert start[start.index("--project") + 1] == "${__dirname}"


def test_a_bundle_holds_the_source_and_what_its_build_needs_and_nothing_compiled(tmp_path: Any) -> None:
    stage_bundle(tmp_path / "bundle")
    held = {str(path.relative_to(tmp_path / "bundle")) for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    assert {name for name in held if "/" not in name} == {
        "manifest.json", "icon.png", "pyproject.toml", "README.md", "LICENSE"
    }  # fmt: skip
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "ltx_mcp").rglob("*") if path.is_file()}
    assert {name for name in held if "/" in name} == {name for name in source if "__pycache__" not in name}


@pytest.mark.parametrize("name", ["vscode", "vscode_page"])
def test_the_links_of_vs_code_give_the_file_beside_them(name: str) -> None:
    beside = read("hosts/vscode.json")
    url = urlsplit(LINKS[name])
    if name == "vscode":
        assert (url.scheme, url.path) == ("vscode", "mcp/install")
        given = json.loads(unquote(url.query))
        assert (given.pop("name"), given.pop("inputs")) == (SERVER, beside["inputs"])
    else:
        assert LINKS[name].startswith("https://insiders.vscode.dev/redirect/mcp/install?")
        query = {key: value for key, (value,) in parse_qs(url.query).items()}
        assert (query["name"], json.loads(query["inputs"])) == (SERVER, beside["inputs"])
        given = json.loads(query["config"])
    assert given == beside["servers"][SERVER]


@pytest.mark.parametrize("name", ["cursor", "cursor_page"])
def test_the_links_of_cursor_give_the_file_beside_them(name: str) -> None:
    starts = {
        "cursor": "cursor://anysphere.cursor-deeplink/mcp/install?",
        "cursor_page": "https://cursor.com/install-mcp?",
    }
    assert LINKS[name].startswith(starts[name])
    query = {key: value for key, (value,) in parse_qs(urlsplit(LINKS[name]).query).items()}
    assert query["name"] == SERVER
    assert json.loads(base64.b64decode(query["config"])) == read("hosts/cursor.json")["mcpServers"][SERVER]


def test_a_page_is_offered_only_links_that_every_page_may_hold() -> None:
    offered = re.findall(r"\]\(([^)]+)\)", install_links())
    assert offered == [LINKS["vscode_page"], LINKS["cursor_page"]]


def test_vs_code_asks_for_every_input_it_uses_and_hides_the_keys() -> None:
    config = read("hosts/vscode.json")
    asked = {each["id"]: each["password"] for each in config["inputs"]}
    used = {value[8:-1]: name for name, value in config["servers"][SERVER]["env"].items()}
    assert asked == {slug: bool(SECRET.search(name)) for slug, name in used.items()}


def test_what_is_not_set_is_empty_for_claude_and_gemini() -> None:
    for name in ("hosts/mcp.json", "claude-plugin/.mcp.json", "gemini-extension.json"):
        env = read(name)["mcpServers"][SERVER]["env"]
        assert env == {variable: f"${{{variable}:-}}" for variable in env}


def test_the_plugin_is_named_as_its_market_names_it_and_lies_beside_it() -> None:
    market = read("claude-plugin/.claude-plugin/marketplace.json")
    (listed,) = market["plugins"]
    assert (listed["name"], listed["source"]) == (read("claude-plugin/.claude-plugin/plugin.json")["name"], "./")
    assert market["owner"]["name"]


def test_gemini_names_the_extension_as_it_wants_names() -> None:
    assert re.fullmatch(r"[a-z0-9-]+", read("gemini-extension.json")["name"])
    assert "trust" not in read("gemini-extension.json")["mcpServers"][SERVER]


def test_the_catalog_entry_passes_the_rules_of_the_catalog() -> None:
    entry = catalog_entry(FACTS)
    title = entry["about"]["title"]
    assert re.fullmatch(r"[a-z0-9-]+", entry["name"])
    assert not re.search("MCP|Server", title)
    assert all(word[0].isupper() for word in title.split())
    assert re.fullmatch(r"[a-f0-9]{40}", entry["source"]["commit"])
    for secret in entry["config"]["secrets"]:
        assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9._-]+", secret["name"])
    parameters = entry["config"]["parameters"]["properties"]
    for each in entry["config"]["env"]:
        assert each["value"][2:-2].removeprefix(f"{entry['name']}.") in parameters
    assert (ROOT / entry["source"]["dockerfile"]).exists()


def test_the_catalog_entry_names_the_commit_of_a_release() -> None:
    assert catalog_entry(FACTS)["source"]["commit"] == NO_COMMIT
    assert catalog_entry(FACTS, "ab" * 20)["source"]["commit"] == "ab" * 20


def test_the_image_runs_without_root_from_the_repositorys_source() -> None:
    lines = (FOLDER / "docker/Dockerfile").read_text(encoding="utf-8").splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases[0])
    assert users == ["10001"]
    assert lines.index("USER 10001") > max(index for index, line in enumerate(lines) if line.startswith("RUN "))
    assert "VOLUME /data" in lines
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert all((ROOT / name).exists() for names in copied for name in names)
    let_in = (FOLDER / "docker/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for names in copied for name in names} == {line for line in let_in if line.startswith("!")}
    assert let_in[0] == "*"
