"""``stillwatch dossier verify``: whether a dossier is as it was made. And how one is written to a file."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from stream_app import __version__
from stream_app.cli.dossier_sources import log_entries, look_up
from stream_app.cli.explanations import refuse
from stream_app.dossiers import pages, papers
from stream_app.dossiers.chains import differences
from stream_app.dossiers.contents import compose
from stream_app.dossiers.forms import FORMS
from stream_app.dossiers.redaction import Pseudonyms, redact
from stream_app.dossiers.seals import NoDossierError, parse, problems, seal
from stream_app.signatures import KeyFileError, Verifier, load_signer, load_verifier


def make_dossier(
    campaign: dict[str, Any], folder: Path | None, key: Path | None, *, is_redacted: bool
) -> dict[str, Any]:
    """The sealed dossier of a campaign."""
    try:
        signer = load_signer(key) if key else None
    except KeyFileError as error:
        refuse(str(error))
    document = compose(look_up(campaign, folder), datetime.now(UTC))
    if is_redacted:
        # A key that nobody keeps: what stands behind a pseudonym cannot be found out, not even by whoever made it.
        document = redact(document, Pseudonyms(os.urandom(32)))
    return seal(document, signer)


@click.group()
def dossier() -> None:
    """Check dossiers that ``stillwatch campaigns dossier`` has written."""


@dossier.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--verify-key",
    "keys",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Public key of whom it should be from; may be given several times.",
)
@click.option("--log", "is_compared", is_flag=True, help="Compare its records with those on Kafka, too.")
@click.option("--from", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Or with those of a replay.")
def verify(*, file: Path, keys: tuple[Path, ...], is_compared: bool, folder: Path | None) -> None:
    """Say whether a dossier (JSON, HTML or PDF) is as it was made, or what differs."""
    try:
        content = file.read_bytes()
        verifier = load_verifier(*keys) if keys else None
        sealed = read_dossier(content)
    except OSError as error:
        refuse(f"{file}: {error.strerror or error}")
    except (KeyFileError, UnicodeDecodeError) as error:
        refuse(str(error))
    except NoDossierError as error:
        raise click.ClickException(f"{file}: {error}") from error
    found = [*problems(sealed, verifier), *_changed_text(sealed, content)]
    if is_compared or folder is not None:
        document = sealed["dossier"]
        if document["form"] == "redacted":
            refuse(f"{file}: a redacted dossier names no records to compare; ask for the full form with the same head")
        ids = {document["campaign_id"], *document["campaign"]["aliases"]}
        found += differences(document["chain"], log_entries(ids, folder, []))
    for problem in found:
        click.echo(f"{file}: {problem}")
    if found:
        sys.exit(1)
    click.echo(f"{file}: ok, {_signed(sealed, verifier)}")


def read_dossier(content: bytes) -> dict[str, Any]:
    """A sealed dossier in any of its forms; raises ``NoDossierError``."""
    if content.startswith(b"%PDF"):
        return papers.read_paper(content)
    if content.lstrip()[:1] == b"<":
        return pages.read_page(content.decode())
    return parse(content)


def _changed_text(sealed: dict[str, Any], content: bytes) -> list[str]:
    """What people read must be what the document says, too."""
    form = "pdf" if content.startswith(b"%PDF") else "html" if content.lstrip()[:1] == b"<" else "json"
    if form == "json" or FORMS[form](sealed) == content:
        return []
    made_by = sealed["dossier"]["made_by"]
    other = "" if made_by == f"stillwatch {__version__}" else f" (made by {made_by}, this is {__version__})"
    return [f"the text is not what its document makes{other}"]


def _signed(sealed: dict[str, Any], verifier: Verifier | None) -> str:
    if verifier is not None:
        return f"signed by key {sealed['signature'].partition(':')[0]}"
    if sealed["signature"]:
        return "its signature is not checked: give --verify-key"
    return "not signed: anybody may have made it"
