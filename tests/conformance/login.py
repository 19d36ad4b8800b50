"""The MCP Inspector at a service with a login, with a token of its tokens file."""

import tempfile
from functools import partial
from pathlib import Path

from ltx_mcp.server.auth.principal import USER_SCOPES
from ltx_mcp.server.auth.tokens_file import new_token, to_row_text
from tests.conformance.inspector import ERAS, Found, Target, config_with_token, order_one
from tests.conformance.packages import Programs
from tests.logins.service import service


def with_token(programs: Programs, target: Target) -> Found:
    """Orders there, and follows the job."""
    token = new_token()
    with tempfile.TemporaryDirectory(prefix="ltx-mcp-login-") as name:
        file = Path(name) / "tokens.toml"
        file.write_text(to_row_text(token, "inspector", USER_SCOPES, may_act=False, expires=None), encoding="utf-8")
        file.chmod(0o600)
        with service(Path(name) / "home", {"LTX_MCP_TOKENS_FILE": str(file), "LTX_MCP_PROVIDERS": "local"}) as served:
            return order_one(programs, config_with_token(Path(name) / "config.json", target, served.url, token), target)


def login_runs(programs: Programs) -> dict[str, partial[Found]]:
    """Both eras."""
    targets = [Target("HTTP with a token", era) for era in ERAS]
    return {str(target): partial(with_token, programs, target) for target in targets}
