"""How the state of a question is sealed, which a client of the current protocol carries from the question to the reply.

The SDK binds it to the method, the tool and the arguments, and lets it live for ten minutes; here it is bound to the
caller as well.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import RequestStateSecurity

from ltx_mcp.server.auth.principal import principal_of
from ltx_mcp.server.auth.signing import REQUEST_STATE, derive_keys

KEY_BYTES = 32


def make_request_state_security(signing_keys: Sequence[str]) -> RequestStateSecurity:
    """Servers with the same signing keys take each other's state: the first key seals, each opens. Without a key only
    this process takes its own."""
    keys = derive_keys(tuple(dict.fromkeys(signing_keys)), REQUEST_STATE) or [secrets.token_bytes(KEY_BYTES)]
    return RequestStateSecurity(keys=keys, bind_principal=_caller_of)


def _caller_of(ctx: ServerRequestContext[Any, Any]) -> str:
    return principal_of(ctx.request).caller
