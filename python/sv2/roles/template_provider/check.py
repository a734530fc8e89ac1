"""What an operator should know of a set-up before clients do: one finding per line."""

from __future__ import annotations

import enum
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sv2.node import (
    CookieUnreadable,
    MethodNotFound,
    Node,
    NodeDown,
    NodeError,
    NodeHasNoPeers,
    NodeInInitialDownload,
    NodeTimeout,
    NodeWarmingUp,
    Unauthorized,
    WorkQueueFull,
)
from sv2.roles.template_provider.app import StartError, find_zmq, load_authority, open_rpc
from sv2.roles.template_provider.config import Config
from sv2.roles.template_provider.feed import Feed
from sv2.roles.template_provider.template import UnusableTemplate

__all__ = ["Finding", "Level", "check"]


class Level(enum.IntEnum):
    """How bad it is."""

    GOOD = 0
    NOTE = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was seen, and what to do about it."""

    level: Level
    subject: str
    text: str
    advice: str = ""


ADVICE: dict[type[NodeError], str] = {
    NodeDown: "is the node running, with server=1, and is rpc_url its address?",
    NodeTimeout: "is rpc_url its address, and is the node overloaded?",
    CookieUnreadable: "give rpc_cookie; the user of sv2 tp must be able to read the file "
    "(rpccookieperms=group in bitcoin.conf), or use rpc_user",
    Unauthorized: "the credentials are not those of this node: look at rpc_cookie or rpc_user",
    NodeWarmingUp: "the node is starting: wait",
    NodeInInitialDownload: "the node is still downloading the chain: wait",
    NodeHasNoPeers: "the node has no connections to others and gives no templates",
    WorkQueueFull: "raise rpcworkqueue in bitcoin.conf",
    MethodNotFound: "this is no node that makes templates",
}


def _advice(error: NodeError) -> str:
    return next((text for kind, text in ADVICE.items() if isinstance(error, kind)), "")


async def check(config: Config) -> AsyncIterator[Finding]:
    """Look at everything that `sv2 tp` needs, without starting it."""
    yield _check_folder(config.datadir)
    yield _check_key(config)
    yield _check_port(config)
    if config.address.host not in ("127.0.0.1", "::1", "localhost") and not config.public_host:
        yield Finding(
            Level.NOTE,
            "public_host",
            "not set",
            "set it to what pools reach this machine by, for the URL that is printed",
        )
    try:
        rpc = open_rpc(config)
    except StartError as error:
        yield Finding(Level.BAD, "rpc", str(error))
        return
    async with rpc:
        async for finding in _check_node(config, Node(rpc)):
            yield finding


def _check_folder(folder: Path) -> Finding:
    there = next(path for path in [folder, *folder.resolve().parents] if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding(Level.GOOD, "datadir", f"{folder} can be written")
    return Finding(Level.BAD, "datadir", f"{there} cannot be written", "choose another datadir")


def _check_key(config: Config) -> Finding:
    if config.plain:
        return Finding(Level.NOTE, "authority key", "none: plain, without Noise")
    if config.authority_key is None and not config.key_path.exists():
        return Finding(Level.GOOD, "authority key", f"will be made: {config.key_path}")
    try:
        key = load_authority(config).public_key
    except StartError as error:
        return Finding(Level.BAD, "authority key", str(error), "sv2 keys generate makes one")
    return Finding(Level.GOOD, "authority key", str(key))


def _check_port(config: Config) -> Finding:
    host, port = config.address.host, config.address.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        text = f"{config.address}: {error.strerror}"
        return Finding(Level.BAD, "listen", text, "is sv2 tp running already?")
    return Finding(Level.GOOD, "listen", str(config.address))


async def _check_node(config: Config, node: Node) -> AsyncIterator[Finding]:
    try:
        info = await node.chain_info()
    except NodeError as error:
        yield Finding(Level.BAD, "node", str(error), _advice(error))
        return
    if info.chain not in config.chain.names:
        advice = f"give --network, or the address of a node on {config.network}"
        yield Finding(Level.BAD, "network", f"the node is on {info.chain}", advice)
        return
    yield Finding(Level.GOOD, "network", info.chain)
    text = f"{info.blocks} of {info.headers} blocks"
    if info.initial_block_download:
        # On test networks that is so until the first fresh block, and templates come all the same.
        text += ", in initial download"
        yield Finding(Level.NOTE, "chain", text, "templates come when the node has caught up")
    else:
        yield Finding(Level.GOOD, "chain", text)
    yield await _check_software(node)
    yield await _check_zmq(config, node)
    yield await _check_template(config, node)


async def _check_software(node: Node) -> Finding:
    try:
        info = await node.network_info()
    except MethodNotFound:
        return Finding(Level.GOOD, "node", "has no getnetworkinfo (btcd)")
    except NodeError as error:
        return Finding(Level.BAD, "node", str(error), _advice(error))
    return Finding(Level.GOOD, "node", f"{info.subversion}, {info.connections} connections")


async def _check_zmq(config: Config, node: Node) -> Finding:
    told = await find_zmq(node)
    wanted = config.zmq_hashblock or told
    if wanted is None:
        return Finding(
            Level.NOTE,
            "zmq_hashblock",
            "the node publishes no new tips: they are noticed by waiting for its answers",
            "zmqpubhashblock=tcp://127.0.0.1:28332 in bitcoin.conf tells them fastest",
        )
    host, _, port = wanted.removeprefix("tcp://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
    except (OSError, ValueError):
        advice = f"the node says it publishes at {told}" if told else "look at zmqpubhashblock"
        return Finding(Level.BAD, "zmq_hashblock", f"nothing answers at {wanted}", advice)
    return Finding(Level.GOOD, "zmq_hashblock", wanted)


async def _check_template(config: Config, node: Node) -> Finding:
    try:
        feed = Feed(await node.block_template(rules=config.source_settings().rules), 1)
    except NodeError as error:
        return Finding(Level.BAD, "template", str(error), _advice(error))
    except UnusableTemplate as error:
        return Finding(Level.BAD, "template", str(error), "is there a newer sv2?")
    text = f"height {feed.snapshot.height}, {len(feed.snapshot.data)} transactions"
    return Finding(Level.GOOD, "template", f"{text}, {feed.template.fees} sat of fees")
