"""manifests/service/kubernetes as kustomize renders it, by the kubectl that the Python environment brings along."""

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from manifests.make import FOLDER
from tests.conftest import missing

KUBERNETES = FOLDER / "service" / "kubernetes"
EXAMPLE = "overlays/example"
Document = dict[str, Any]


def render(folder: Path) -> list[Document]:
    """The documents of a kustomization."""
    path = str(Path(sys.executable).parent)
    kubectl = shutil.which("kubectl", path=path) or shutil.which("kubectl") or missing("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def with_telemetry(folder: Path) -> Path:
    """A copy of the example in `folder` that has the component which it offers in a comment."""
    copy = shutil.copytree(KUBERNETES, folder / "kubernetes")
    overlay = copy / EXAMPLE
    file = overlay / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("#- ../../components/telemetry") == 1
    file.write_text(text.replace("#- ../../components/telemetry", "- ../../components/telemetry"), encoding="utf-8")
    return overlay


def one(documents: list[Document], kind: str, name: str = "") -> Document:
    """The only document of a kind; of several, that whose name begins so."""
    (found,) = (
        each for each in documents if each["kind"] == kind and each["metadata"]["name"].startswith(name or "ltx-mcp")
    )
    return found


def pods(documents: list[Document]) -> dict[str, Document]:
    """The spec of each kind of pod, by the name of its container."""
    specs = [each["spec"]["template"]["spec"] for each in documents if each["kind"] in ("Deployment", "Job")]
    return {each["containers"][0]["name"]: each for each in specs}


def environment(documents: list[Document], container: Document) -> dict[str, str]:
    """What the container's process finds in its environment, of settings and Secrets."""
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        ((kind, reference),) = source.items()
        found |= _values(documents, kind.removesuffix("Ref"), reference["name"])
    for each in container["env"]:
        if "secretKeyRef" in each.get("valueFrom", {}):
            reference = each["valueFrom"]["secretKeyRef"]
            found[each["name"]] = _values(documents, "secret", reference["name"])[reference["key"]]
        else:
            found[each["name"]] = each.get("value", "")
    return found


def _values(documents: list[Document], kind: str, name: str) -> dict[str, str]:
    if kind == "configMap":
        return dict(one(documents, "ConfigMap", name)["data"])
    secret = one(documents, "Secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in secret.items()}
