"""Services: applications written as handlers. ``docs/services.md`` has the model on one page."""

from sv2.services.errors import (
    Cause,
    ConfigError,
    Disconnect,
    End,
    HandlerError,
    NotConnected,
    ServiceError,
    UnexpectedMessage,
)
from sv2.services.handlers import Handler, Null
from sv2.services.layers import Handle, Layer, stack
from sv2.services.peer import Client, Peer, Reply, Upstream
from sv2.services.server import ServerConfig, Sv2ServerService
from sv2.services.server_handlers import (
    JobDeclarationServerHandler,
    MiningServerHandler,
    NullJobDeclarationServerHandler,
    NullMiningServerHandler,
    NullTemplateDistributionServerHandler,
    ServerHandler,
    TemplateDistributionServerHandler,
)
from sv2.services.service import ServiceStats

__all__ = [
    "Cause",
    "Client",
    "ConfigError",
    "Disconnect",
    "End",
    "Handle",
    "Handler",
    "HandlerError",
    "JobDeclarationServerHandler",
    "Layer",
    "MiningServerHandler",
    "NotConnected",
    "Null",
    "NullJobDeclarationServerHandler",
    "NullMiningServerHandler",
    "NullTemplateDistributionServerHandler",
    "Peer",
    "Reply",
    "ServerConfig",
    "ServerHandler",
    "ServiceError",
    "ServiceStats",
    "Sv2ServerService",
    "TemplateDistributionServerHandler",
    "UnexpectedMessage",
    "Upstream",
    "stack",
]
