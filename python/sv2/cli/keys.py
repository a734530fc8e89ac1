"""Make and show the authority keys that sign the certificates of a server.

sv2 keys generate authority.key     a new key in a file of mode 0600; prints its public half
sv2 keys generate --print           a new key on the terminal, nothing on disk
sv2 keys show authority.key         the public half of a key file
sv2 keys show 9bXiEd8boQV...        checks a public key and shows its bytes
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sv2.cli.output import CommandError, Output
from sv2.noise import AuthorityPublicKey, AuthoritySecretKey, KeyFormatError

HELP = "make and show authority keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    generate = actions.add_parser("generate", help="make a new authority key")
    where = generate.add_mutually_exclusive_group(required=True)
    where.add_argument("file", nargs="?", type=Path, help="where to save it")
    where.add_argument(
        "--print", dest="reveal", action="store_true", help="print the secret, save nothing"
    )
    generate.add_argument("--force", action="store_true", help="overwrite an existing file")
    show = actions.add_parser("show", help="show the public half of a key")
    show.add_argument("key", help="a key file, or a public key in base58check")
    for action in (generate, show):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.action == "generate":
        return _generate(arguments, output)
    return _show(arguments.key, output)


def _generate(arguments: argparse.Namespace, output: Output) -> int:
    key = AuthoritySecretKey.generate()
    fields = _public_fields(key.public_key)
    if arguments.reveal:
        fields = {"secret": key.reveal(), **fields}
    else:
        try:
            key.save(arguments.file, overwrite=arguments.force)
        except FileExistsError:
            raise CommandError(f"{arguments.file} exists; --force overwrites it") from None
        except OSError as error:
            raise CommandError(f"cannot write {arguments.file}: {error.strerror}") from None
        fields = {"file": str(arguments.file), **fields}
    output.record("new authority key", fields, good=True)
    return 0


def _show(key: str, output: Output) -> int:
    path = Path(key)
    try:
        if path.is_file():
            public = AuthoritySecretKey.load(path).public_key
        else:
            public = AuthorityPublicKey.from_text(key)
    except KeyFormatError as error:
        # The text may be a secret that was typed in the wrong place, so it is not repeated.
        raise CommandError(f"neither a key file nor a public key: {error}") from None
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    output.record("authority key", _public_fields(public))
    return 0


def _public_fields(key: AuthorityPublicKey) -> dict[str, str]:
    return {"public": str(key), "hex": bytes(key).hex()}
