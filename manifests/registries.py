"""What registries and catalogs read: the MCP Registry, MCP bundles, and Docker's catalog with its image."""

import json
from typing import Any

from ltx_mcp.cli.hosts.entry import MODULE
from manifests.facts import AUTHOR, REGISTRY_NAME, REPOSITORY, TITLE, Facts

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
BUNDLE_VERSION = "0.4"
ENTRY_POINT = "ltx_mcp/__main__.py"
FORMATS = {"number": "number", "directory": "filepath"}
BASE_IMAGE = "python:3.12-slim-bookworm@sha256:0f5b26b9518d002b6173fd61daad821fa340635ebfec5bba471013f9ca114579"
"""Python 3.12.14 of 2026-08-25 for all platforms, by its digest (source: docker-library/repo-info, the page of
3.12-slim-bookworm): the same image for whoever builds. Renewed by a release."""
NO_COMMIT = "0" * 40
"""Stands for the commit of a release, which only the release knows."""
KEY_HINT = "Leave it empty if you have none: without any key the server draws free previews on this machine."
SENT = (
    "Ask for a video in words: the agent shows the price first, orders once, follows the job and hands you the film. "
    "Prompts, pictures, videos and sounds go to the provider whose key you give, and to nobody else. Without a key "
    "nothing leaves this machine: it draws previews, which are not LTX output and say so."
)


def registry_entry(facts: Facts) -> dict[str, Any]:
    """server.json of the MCP Registry."""
    owner_known = {"url": REPOSITORY, "source": "github"}
    package = {
        "registryType": "pypi",
        "identifier": facts.name,
        "version": facts.version,
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
        "environmentVariables": _registry_variables(facts),
    }
    return {
        "$schema": SCHEMA,
        "name": REGISTRY_NAME,
        "title": TITLE,
        "description": facts.summary.rstrip("."),
        "version": facts.version,
        "repository": owner_known,
        "packages": [package],
    }


def _registry_variables(facts: Facts) -> list[dict[str, Any]]:
    keys = [
        {
            "name": each.name,
            "description": each.title,
            "isRequired": False,
            "isSecret": each.is_secret,
            "format": "string",
        }
        for each in facts.variables
    ]
    options = [
        {
            "name": each.name,
            "description": f"{each.meaning[0].upper()}{each.meaning[1:]}",
            "isRequired": False,
            "isSecret": False,
            "format": FORMATS[each.kind],
        }
        for each in facts.options
    ]
    return keys + options


def bundle_manifest(facts: Facts) -> dict[str, Any]:
    """manifest.json of an MCP bundle. The host installs what pyproject.toml asks for when the bundle is installed, and
    the start installs nothing (`--no-sync`), so a slow download never eats the time for the first answer. `--project`
    rather than `--directory`: the working directory decides which files may be given as inputs. Python with -P
    rather than the console script: nothing in the working directory can be taken for the program or imported."""
    start = ["run", "--no-sync", "--project", "${__dirname}", "python", *MODULE]
    filled = {each.name: f"${{user_config.{each.name.lower()}}}" for each in facts.variables}
    filled |= {each.name: f"${{user_config.{each.slug}}}" for each in facts.options}
    return {
        "manifest_version": BUNDLE_VERSION,
        "name": facts.name,
        "display_name": TITLE,
        "version": facts.version,
        "description": facts.summary,
        "long_description": SENT,
        "author": {"name": AUTHOR, "url": REPOSITORY},
        "repository": {"type": "git", "url": f"{REPOSITORY}.git"},
        "homepage": REPOSITORY,
        "support": f"{REPOSITORY}/issues",
        "icon": "icon.png",
        "server": {
            "type": "uv",
            "entry_point": ENTRY_POINT,
            "mcp_config": {"command": "uv", "args": start, "env": filled},
        },
        "tools": [{"name": each.name, "description": each.summary} for each in facts.tools],
        "prompts_generated": True,
        "keywords": list(facts.keywords),
        "license": facts.license,
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": facts.python.replace(",", " ")},
        },
        "user_config": _bundle_form(facts),
    }


def _bundle_form(facts: Facts) -> dict[str, Any]:
    keys = {
        each.name.lower(): {
            "type": "string",
            "title": each.title,
            "description": f"{each.name}. {KEY_HINT}" if each.is_secret else f"{each.name}. Needed with its key.",
            "sensitive": each.is_secret,
            "required": False,
        }
        for each in facts.variables
    }
    options: dict[str, Any] = {
        each.slug: {
            "type": each.kind,
            "title": each.title,
            "description": f"{each.name}: {each.meaning}.",
            "required": False,
        }
        | ({"min": 0} if each.kind == "number" else {})
        for each in facts.options
    }
    return keys | options


def catalog_entry(facts: Facts, commit: str = NO_COMMIT) -> dict[str, Any]:
    """server.yaml of Docker's catalog; `commit` is that of the release."""
    values = [each for each in facts.variables if not each.is_secret] + [
        each for each in facts.options if each.kind == "number"
    ]
    return {
        "name": facts.name,
        "image": f"mcp/{facts.name}",
        "type": "server",
        "meta": {"category": "ai", "tags": ["ai", *(word for word in facts.keywords if word != "mcp")]},
        "about": {"title": TITLE, "description": f"{facts.summary.removeprefix('MCP server for ')}"},
        "source": {"project": REPOSITORY, "commit": commit, "dockerfile": "manifests/docker/Dockerfile"},
        "run": {"volumes": [f"{facts.name}-data:/data", f"{{{{{facts.name}.inputs}}}}:/inputs"]},
        "config": {
            "description": "Without any key the server draws free previews",
            "secrets": [
                {"name": f"{facts.name}.{each.name.lower()}", "env": each.name, "example": f"<{each.name}>"}
                for each in facts.variables
                if each.is_secret
            ],
            "env": [
                {"name": each.name, "example": "", "value": f"{{{{{facts.name}.{each.name.lower()}}}}}"}
                for each in values
            ],
            "parameters": {
                "type": "object",
                "properties": {"inputs": {"type": "string", "description": "Folder whose files may be given"}}
                | {each.name.lower(): {"type": "string", "description": each.title} for each in values},
                "required": ["inputs"],
            },
        },
    }


def catalog_tools(facts: Facts) -> list[dict[str, Any]]:
    """tools.json of Docker's catalog."""
    return [
        {
            "name": each.name,
            "description": each.summary,
            "arguments": [
                {"name": argument.name, "type": argument.kind, "desc": argument.meaning} for argument in each.arguments
            ],
        }
        for each in facts.tools
    ]


def dockerfile(facts: Facts) -> str:
    """The image, built from the repository's own source; the context is the repository."""
    return f"""\
# {TITLE} over stdio, or as a service over HTTP, without a root user. From the repository:
#   docker build -f manifests/docker/Dockerfile -t {facts.name} .
#   docker run -i --rm -v {facts.name}-data:/data -v "$PWD:/inputs:ro" -e FAL_KEY {facts.name}
# As a service (docs/service.md), whose settings and keys service.env holds, behind a proxy that has TLS:
#   docker run --rm -p 127.0.0.1:8000:8000 -v {facts.name}-data:/data --env-file service.env \\
#     {facts.name} serve --http --host 0.0.0.0
FROM {BASE_IMAGE} AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY ltx_mcp ltx_mcp
RUN python -m venv /opt/{facts.name} \\
    && /opt/{facts.name}/bin/pip install --no-cache-dir --disable-pip-version-check '.[heif,otel,postgres,s3]' \\
    && test "$(/opt/{facts.name}/bin/{facts.name} --version)" = "{facts.name} {facts.version}"

FROM {BASE_IMAGE}
LABEL io.modelcontextprotocol.server.name="{REGISTRY_NAME}" \\
      org.opencontainers.image.title="{TITLE}" \\
      org.opencontainers.image.version="{facts.version}" \\
      org.opencontainers.image.source="{REPOSITORY}" \\
      org.opencontainers.image.licenses="{facts.license}"
RUN useradd --uid 10001 --no-create-home --home-dir /data film \\
    && install --directory --owner film --group film /data /inputs
COPY --from=build /opt/{facts.name} /opt/{facts.name}
ENV PATH="/opt/{facts.name}/bin:$PATH" LTX_MCP_HOME=/data
VOLUME /data
WORKDIR /inputs
USER 10001
ENTRYPOINT {json.dumps([f"/opt/{facts.name}/bin/python", *MODULE])}
"""


DOCKERIGNORE = """\
*
!pyproject.toml
!README.md
!LICENSE
!ltx_mcp
**/__pycache__
"""
"""Nothing but what the image is built from reaches the builder: no keys that lie beside the source, no history."""
