"""What can go wrong between us and a node, one class per thing a caller would do differently.

Every class carries ``transient``: whether waiting and asking again can help without a person
changing anything. Messages never hold a credential, and text that came from the node is reduced
to short printable ASCII first.
"""

from __future__ import annotations

__all__ = [
    "BadAnswer",
    "CookieUnreadable",
    "MethodNotFound",
    "NodeDown",
    "NodeError",
    "NodeHasNoPeers",
    "NodeInInitialDownload",
    "NodeTimeout",
    "NodeUnavailable",
    "NodeWarmingUp",
    "RpcError",
    "Unauthorized",
    "WorkQueueFull",
    "rpc_error",
]

MAX_TEXT = 200
BTCD_HAS_NOT = "Command unimplemented"


def printable(text: object) -> str:
    """``text`` as at most 200 characters of printable ASCII, fit for a log line."""
    return "".join(c if " " <= c <= "~" else "?" for c in str(text)[:MAX_TEXT])


class NodeError(Exception):
    """Base of everything ``sv2.node`` raises about a node."""

    transient: bool = False


class NodeUnavailable(NodeError):
    """No answer came. Whether the node acted on the request is unknown."""

    transient = True


class NodeDown(NodeUnavailable):
    """Nothing listens at the address, or the connection broke before the answer was whole."""


class NodeTimeout(NodeUnavailable):
    """The answer did not arrive in the time allowed."""


class WorkQueueFull(NodeError):
    """HTTP 503: the node has more requests queued than it accepts."""

    transient = True


class CookieUnreadable(NodeError):
    """The cookie file is missing, unreadable or not of the form ``user:password``.

    Transient: a node writes its cookie when it starts and removes it when it stops.
    """

    transient = True


class Unauthorized(NodeError):
    """HTTP 401 or 403. With a cookie it was already re-read and tried again once.

    Transient with a cookie (a restarting node replaces it), not with user and password.
    """

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class BadAnswer(NodeError):
    """The answer is no JSON-RPC, larger than allowed, or lacks what the method must return."""


class RpcError(NodeError):
    """The node answered with an error object.

    ``code`` is the node's number (Bitcoin Core: ``src/rpc/protocol.h``), ``method`` what was
    called, ``reason`` the node's text, reduced to printable ASCII.
    """

    def __init__(self, method: str, code: int, reason: object) -> None:
        self.method = method
        self.code = code
        self.reason = printable(reason)
        super().__init__(f"{method}: {self.reason} (code {code})")


class NodeWarmingUp(RpcError):
    """-28: the node has started and does not answer calls yet."""

    transient = True


class NodeInInitialDownload(RpcError):
    """-10: the node is still downloading the chain and gives no templates."""

    transient = True


class NodeHasNoPeers(RpcError):
    """-9: the node has no connections (or is shutting down) and gives no templates."""

    transient = True


class MethodNotFound(RpcError):
    """-32601, or -1 with btcd's words for it: this node does not have the method."""


_BY_CODE: dict[int, type[RpcError]] = {
    -28: NodeWarmingUp,
    -10: NodeInInitialDownload,
    -9: NodeHasNoPeers,
    -32601: MethodNotFound,
}


def rpc_error(method: str, code: int, reason: object) -> RpcError:
    """The most specific `RpcError` for a node's error code."""
    if code == -1 and reason == BTCD_HAS_NOT:
        return MethodNotFound(method, code, reason)
    return _BY_CODE.get(code, RpcError)(method, code, reason)
