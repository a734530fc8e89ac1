"""Ask Bitcoin Core's consensus engine whether a block is valid, and believe nothing else.

usage: judge.py CHAIN.hex BLOCK.hex

CHAIN.hex holds regtest blocks from height 1 on, one per line. They are replayed into an empty
chain, then the block is processed. Before that the engine is given a copy of the block in which
one bit is flipped, and has to refuse it: a judge that accepts everything is none.
Exit code 0: accepted, and the block is the new tip.
"""

import sys
import tempfile
from pathlib import Path

import pbk  # type: ignore[import-not-found,import-untyped,unused-ignore]


class RefusedError(Exception):
    """The engine refused a block; the text is its reason."""


class Judge:
    """A regtest node's consensus engine on an empty data directory."""

    def __init__(self, directory: str) -> None:
        self._verdict = "unknown"
        callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._on_block_checked)
        context = pbk.make_context(pbk.ChainType.REGTEST, callbacks)
        options = pbk.ChainstateManagerOptions(context, directory, f"{directory}/blocks")
        options.update_block_tree_db_in_memory(True)
        options.update_chainstate_db_in_memory(True)
        options.set_worker_threads_num(0)
        self._chainstate = pbk.ChainstateManager(options)

    def _on_block_checked(
        self, _data: object, _block: pbk.Block, state: pbk.BlockValidationState
    ) -> None:
        mode, result = state.validation_mode, state.block_validation_result
        self._verdict = mode.name if mode == pbk.ValidationMode.VALID else result.name

    @property
    def height(self) -> int:
        """The height of the tip."""
        return int(self._chainstate.get_active_chain().height)

    def process(self, raw: bytes) -> str:
        """Add a block to the chain; returns its hash as people write it.

        Raises:
            RefusedError: the engine did not make this block its tip. The text is the engine's
                verdict, by its own name: MUTATED, INVALID_HEADER, CONSENSUS, TIME_FUTURE, ...
        """
        self._verdict = "no verdict"
        try:
            block = pbk.Block(raw)
        except RuntimeError:
            raise RefusedError("these bytes do not parse as a block") from None
        try:
            self._chainstate.process_block(block)
        except pbk.ProcessBlockException:
            raise RefusedError(self._verdict) from None
        chain = self._chainstate.get_active_chain()
        if bytes(chain.block_tree_entries[chain.height].block_hash) != bytes(block.block_hash):
            raise RefusedError(self._verdict)
        return str(block.block_hash)


def read_blocks(path: str) -> list[bytes]:
    """Blocks from a text file, one in hex per line."""
    return [bytes.fromhex(line) for line in Path(path).read_text().split()]


def with_flipped_bit(block: bytes) -> bytes:
    """The block with one bit of its last transaction changed."""
    return block[:-1] + bytes([block[-1] ^ 1])


def judge(chain: list[bytes], block: bytes, directory: str) -> str:
    """Replay, refuse the forgery, accept the block; returns its hash."""
    engine = Judge(directory)
    try:
        for known in chain:
            engine.process(known)
    except RefusedError as error:
        hint = "; is this machine's clock right?" if "TIME_FUTURE" in str(error) else ""
        raise RefusedError(f"the chain before it stops at {engine.height}: {error}{hint}") from None
    print(f"  Bitcoin Core    | replayed {len(chain)} blocks: tip at {engine.height}")
    try:
        engine.process(with_flipped_bit(block))
    except RefusedError as error:
        print(f"  Bitcoin Core    | refuses the block with one bit flipped: {error}")
    else:
        raise RefusedError(
            "the engine accepted a block with a flipped bit, so its word is worth nothing"
        )
    block_hash = engine.process(block)
    if engine.height != len(chain) + 1:
        raise RefusedError(f"the tip is at {engine.height}, not at {len(chain) + 1}")
    print(f"  Bitcoin Core    | ACCEPTS the block: tip at {engine.height}, {block_hash}")
    return block_hash


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        chain = read_blocks(sys.argv[1])
        [block] = read_blocks(sys.argv[2])
        with tempfile.TemporaryDirectory() as directory:
            judge(chain, block, directory)
    except (OSError, ValueError) as error:
        print(f"  judge           | cannot read the blocks: {error}")
        return 2
    except RefusedError as error:
        print(f"  Bitcoin Core    | REFUSES the block: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
