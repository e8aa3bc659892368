"""The `reelgraph` command. Each subcommand is a file in `services/commands/`, imported only when it is used."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from shared.errors import BadInput, Forbidden, Infrastructure, ReelgraphError, Unauthenticated
from shared.text import one_line

COMPLETED, WITH_ERRORS, BAD_INPUT, INFRASTRUCTURE, INTERRUPTED = 0, 1, 2, 3, 130

COMMANDS = {
    "analyze": "Analyze videos and write result.json and report.html for each.",
    "analyzers": "List the analyzers: what each finds; with a name its options, tracks and weights.",
    "demo": "Compose a sample reel from packaged media and analyze it.",
    "doctor": "Check this machine: what is missing and how to get it.",
    "eval": "Judge the analyzers by clips with known truth.",
    "export": "Write a document as subtitles, a table, a cut list, annotations or a page.",
    "flower": "Show Celery's workers and tasks in a browser.",
    "keys": "Create, list and revoke API keys.",
    "migrate": "Bring the ledger's tables to this version.",
    "models": "List, pull and verify model weights.",
    "overlay": "Draw what was found into frames of the video: contact sheets for the eye.",
    "plan": "Pack the groups onto GPUs: layout, bounds of latency and throughput.",
    "prune": "Delete old jobs with all that was kept for them.",
    "render": "Write compose and Kubernetes manifests from groups.toml.",
    "schema": "Print the JSON Schema of the document.",
    "serve": "Run the service: broker, workers, API and page.",
    "unload": "Let the GPU workers of a group go of their models.",
    "worker": "Run a worker for some groups against a configured broker.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"services.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, from the names alone."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reelgraph", prog_name="reelgraph")
def cli() -> None:
    """Understand videos: many analyzers side by side, one time-aligned document.

    Start with `reelgraph doctor`, then `reelgraph analyze VIDEO`.

    Exit codes: 0 completed, 1 completed with errors, 2 bad input, 3 infrastructure.
    """


def main() -> None:
    """Run the command line; every error that is meant for a person is one sentence on standard error."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except (BadInput, Forbidden, Unauthenticated) as error:
        sys.exit(_say(error, BAD_INPUT))
    except Infrastructure as error:
        sys.exit(_say(error, INFRASTRUCTURE))
    except ReelgraphError as error:
        sys.exit(_say(error, INFRASTRUCTURE))
    except OSError as error:
        what = f"{one_line(error.filename)}: " if error.filename else ""
        sys.exit(_say(Infrastructure(f"{what}{error.strerror or error}"), INFRASTRUCTURE))
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else COMPLETED)


def _say(error: ReelgraphError, code: int) -> int:
    click.echo(f"reelgraph: {error.message}", err=True)
    return code


if __name__ == "__main__":
    main()
