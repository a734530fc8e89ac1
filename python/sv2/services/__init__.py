"""Services: applications written as handlers. ``docs/services.md`` has the model on one page."""

from sv2.services.backoff import Backoff
from sv2.services.client import ClientConfig, Sv2ClientService, UpstreamConfig
from sv2.services.client_handlers import (
    ClientHandler,
    JobDeclarationClientHandler,
    MiningClientHandler,
    NullJobDeclarationClientHandler,
    NullMiningClientHandler,
    NullTemplateDistributionClientHandler,
    TemplateDistributionClientHandler,
)
from sv2.services.errors import (
    Cause,
    ConfigError,
    Disconnect,
    End,
    NotConnected,
    ServiceError,
    UnexpectedMessage,
)
from sv2.services.handlers import Handler, Null
from sv2.services.layers import (
    Handle,
    Layer,
    Metrics,
    access_list,
    log_messages,
    rate_limit,
    stack,
    timeout,
)
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
from sv2.services.siblings import NoSibling, Sibling, SiblingClosed, SiblingError, siblings

__all__ = [
    "Backoff",
    "Cause",
    "Client",
    "ClientConfig",
    "ClientHandler",
    "ConfigError",
    "Disconnect",
    "End",
    "Handle",
    "Handler",
    "JobDeclarationClientHandler",
    "JobDeclarationServerHandler",
    "Layer",
    "Metrics",
    "MiningClientHandler",
    "MiningServerHandler",
    "NoSibling",
    "NotConnected",
    "Null",
    "NullJobDeclarationClientHandler",
    "NullJobDeclarationServerHandler",
    "NullMiningClientHandler",
    "NullMiningServerHandler",
    "NullTemplateDistributionClientHandler",
    "NullTemplateDistributionServerHandler",
    "Peer",
    "Reply",
    "ServerConfig",
    "ServerHandler",
    "ServiceError",
    "ServiceStats",
    "Sibling",
    "SiblingClosed",
    "SiblingError",
    "Sv2ClientService",
    "Sv2ServerService",
    "TemplateDistributionClientHandler",
    "TemplateDistributionServerHandler",
    "UnexpectedMessage",
    "Upstream",
    "UpstreamConfig",
    "access_list",
    "log_messages",
    "rate_limit",
    "siblings",
    "stack",
    "timeout",
]
