"""A bitcoind-like regtest node in one process, for tests and demos.

Blocks are validated by Bitcoin Core's consensus engine (py-bitcoinkernel). It speaks JSON-RPC with
a cookie and ZMQ, and misbehaves on demand. Not for anything but regtest, and loopback only::

    async with RegtestNode(NodeConfig(datadir=Path("/tmp/node"))) as node:
        await node.generate(101, op_true_script())
        print(node.rpc_url, node.cookie_path)
"""

from __future__ import annotations

from sv2.testing.node.faults import BadFault, Fault, FaultKind
from sv2.testing.node.journal import DataDirInUse
from sv2.testing.node.mempool import Rejected
from sv2.testing.node.miner import make_block, op_true_script
from sv2.testing.node.node import NodeConfig, RegtestNode

__all__ = [
    "BadFault",
    "DataDirInUse",
    "Fault",
    "FaultKind",
    "NodeConfig",
    "RegtestNode",
    "Rejected",
    "make_block",
    "op_true_script",
]
