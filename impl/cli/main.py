"""The `idiom` command."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from impl.cli.refusal import Refusal
from impl.settings import Settings, broken_settings

_FAILED = 1
_INTERRUPTED = 130
_TIERS = ("gateway", "logic", "task", "connect")
_BENCHMARKS = ("transcoding", "codec", "generate")
_SETTINGS_HELP = "Every setting is an environment variable IDIOM_<NAME>; README.md lists them."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; what goes wrong is one sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        _act(options)
    except ValidationError as error:
        return _complain(broken_settings(error))
    except (Refusal, SettingsError) as refusal:
        return _complain(str(refusal))
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _act(options: argparse.Namespace) -> None:
    os.umask(0o077)  # what the system keeps is for its owner alone
    # Each verb imports only what it needs: the supervisor starts quickly and stays small.
    match options.verb:
        case "up":
            from impl.cli.up import up  # noqa: PLC0415

            up(Settings(), options.scale)
        case "serve":
            from impl.cli.serve import serve  # noqa: PLC0415

            serve(options.tier, Settings(), options.ready_fd)
        case "migrate":
            from impl.cli.migrate import migrate_database  # noqa: PLC0415

            migrate_database(Settings())
        case "chat":
            from impl.cli.chat import chat  # noqa: PLC0415

            chat(options.url or f"http://127.0.0.1:{Settings().gateway_port}", options.store)
        case "bench":
            from impl.cli.bench.run import bench  # noqa: PLC0415

            bench(options.name, as_json=options.json, quick=options.quick)
        case _:
            sys.stdout.write(f"idiom {importlib.metadata.version('idiom')}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="idiom", description=importlib.metadata.metadata("idiom")["summary"], epilog=_SETTINGS_HELP
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    up = verbs.add_parser(
        "up",
        help="run everything on this machine under one supervisor",
        description="Starts the embedded Redis and etcd (unless IDIOM_REDIS_URL or IDIOM_ETCD_ENDPOINTS name "
        "others), migrates the database, and runs every tier. Ctrl-C stops it.",
        epilog=_SETTINGS_HELP,
    )
    up.add_argument(
        "--scale", type=_count, default=1, metavar="N", help="processes of each tier; their ports count up"
    )
    serve = verbs.add_parser("serve", help="run one process of a tier", epilog=_SETTINGS_HELP)
    serve.add_argument("tier", choices=_TIERS, help="which tier")
    serve.add_argument("--ready-fd", type=int, metavar="FD", help=argparse.SUPPRESS)
    verbs.add_parser("migrate", help="bring the database to this version's tables", epilog=_SETTINGS_HELP)
    chat = verbs.add_parser(
        "chat",
        help="talk to others in this terminal",
        description="Log in or register, and talk. /help says what can be typed.",
        epilog=_SETTINGS_HELP,
    )
    chat.add_argument("--url", default="", help="address of the gateway; the one on this machine by default")
    chat.add_argument(
        "--store",
        type=Path,
        metavar="FOLDER",
        help="keeps the login and messages on their way (~/.local/state/idiom-chat)",
    )
    bench = verbs.add_parser(
        "bench",
        help="measure how fast it is, beside what others do",
        description="Runs both sides in turn and prints medians; docs/benchmarks.md says what is measured.",
    )
    bench.add_argument("name", choices=_BENCHMARKS, help="what to measure")
    bench.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    bench.add_argument("--quick", action="store_true", help="rougher, in less than a minute")
    verbs.add_parser("version", help="show the version")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes (1, 2, …)")
    return int(text)


def _complain(sentence: str) -> int:
    sys.stderr.write(f"idiom: {sentence}\n")
    return _FAILED


if __name__ == "__main__":
    sys.exit(main())
