"""Talking to a Bitcoin node: RPC with typed answers, and notice of new tips.

`Node` makes the calls over an `RpcClient`, `TipWatcher` tells of new tips by ZMQ or the next best
means. Works with Bitcoin Core, Bitcoin Knots and btcd; restarts and new cookies are picked up.
"""

from __future__ import annotations

from sv2.node.auth import CookieFile, Credentials, UserPassword
from sv2.node.client import Node
from sv2.node.errors import (
    BadAnswer,
    CookieUnreadable,
    MethodNotFound,
    NodeDown,
    NodeError,
    NodeHasNoPeers,
    NodeInInitialDownload,
    NodeTimeout,
    NodeUnavailable,
    NodeWarmingUp,
    RpcError,
    Unauthorized,
    WorkQueueFull,
)
from sv2.node.results import (
    BlockHeader,
    BlockTemplate,
    ChainInfo,
    NetworkInfo,
    SubmitOutcome,
    SubmitResult,
    TemplateTransaction,
    Tip,
    ZmqEndpoint,
    hash_bytes,
    hash_text,
    target_from_bits,
    template_rules,
)
from sv2.node.rpc import RpcClient
from sv2.node.tips import (
    NodeBack,
    NodeLost,
    TipChanged,
    TipEvent,
    TipSettings,
    TipSource,
    TipWatcher,
)

__all__ = [
    "BadAnswer",
    "BlockHeader",
    "BlockTemplate",
    "ChainInfo",
    "CookieFile",
    "CookieUnreadable",
    "Credentials",
    "MethodNotFound",
    "NetworkInfo",
    "Node",
    "NodeBack",
    "NodeDown",
    "NodeError",
    "NodeHasNoPeers",
    "NodeInInitialDownload",
    "NodeLost",
    "NodeTimeout",
    "NodeUnavailable",
    "NodeWarmingUp",
    "RpcClient",
    "RpcError",
    "SubmitOutcome",
    "SubmitResult",
    "TemplateTransaction",
    "Tip",
    "TipChanged",
    "TipEvent",
    "TipSettings",
    "TipSource",
    "TipWatcher",
    "Unauthorized",
    "UserPassword",
    "WorkQueueFull",
    "ZmqEndpoint",
    "hash_bytes",
    "hash_text",
    "target_from_bits",
    "template_rules",
]
