"""``stillwatch keys``: pairs of keys, with which decisions, dossiers and bundles are signed and checked."""

from pathlib import Path

import click

from stream_app.signatures import KeyFileError, key_id_of, load_public_key, load_signer, make_keys


@click.group()
def keys() -> None:
    """Make and name the keys that sign decisions, dossiers and bundles."""


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def new(file: Path) -> None:
    """Write a new private key to FILE, for its owner alone, and the public one to FILE.pub; tell the key's id."""
    try:
        public, key_id = make_keys(file)
    except KeyFileError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{key_id}  private {file}, public {public}")


@keys.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
def show(files: tuple[Path, ...]) -> None:
    """Tell the ids of keys, public or private."""
    for file in files:
        try:
            click.echo(f"{_key_id(file)}  {file}")
        except KeyFileError as error:
            raise click.ClickException(str(error)) from error


def _key_id(file: Path) -> str:
    try:
        return key_id_of(load_public_key(file))
    except KeyFileError as not_public:
        try:
            return load_signer(file).key_id
        except KeyFileError as error:
            raise error if "private" in str(not_public) else not_public from None
