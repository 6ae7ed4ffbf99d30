"""Signatures: what is accepted, what is refused and with which words."""

import subprocess
from pathlib import Path
from shutil import which

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from stream_app.cli import main
from stream_app.signatures import (
    KeyFileError,
    Purpose,
    Signature,
    SignatureRefusedError,
    load_signer,
    load_verifier,
    make_keys,
)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    make_keys(tmp_path / "ours")
    return tmp_path / "ours"


def test_what_was_signed_is_accepted_by_the_public_key(private: Path) -> None:
    signature = load_signer(private).sign(b"content", Purpose.DOSSIER)
    load_verifier(Path(f"{private}.pub")).verify(b"content", Signature.parse(str(signature)), Purpose.DOSSIER)


@pytest.mark.parametrize(("content", "purpose"), [(b"Content", Purpose.DOSSIER), (b"content", Purpose.DECISION)])
def test_changed_content_or_another_purpose_is_refused(private: Path, content: bytes, purpose: Purpose) -> None:
    signer = load_signer(private)
    signature = signer.sign(b"content", Purpose.DOSSIER)
    with pytest.raises(SignatureRefusedError, match=f"not what key {signer.key_id} signed"):
        signer.verifier().verify(content, signature, purpose)


def test_a_key_that_is_not_trusted_is_refused_by_name(private: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "theirs")
    signature = load_signer(tmp_path / "theirs").sign(b"content", Purpose.DOSSIER)
    with pytest.raises(SignatureRefusedError, match=f"signed by key {signature.key_id}, which is not trusted"):
        load_verifier(Path(f"{private}.pub")).verify(b"content", signature, Purpose.DOSSIER)
    both = load_verifier(Path(f"{private}.pub"), tmp_path / "theirs.pub")
    both.verify(b"content", signature, Purpose.DOSSIER)


@pytest.mark.parametrize("text", ["", "abc", "abc:", "abc:!", "abc:YWJj", ":" + "A" * 86 + "==", "a:" + "é" * 86])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(SignatureRefusedError, match="is not key_id:base64"):
        Signature.parse(text)


def test_a_private_key_is_its_owners_and_is_never_overwritten(private: Path) -> None:
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    with pytest.raises(KeyFileError, match="File exists"):
        make_keys(private)
    assert private.read_bytes() == before


def test_no_half_pair_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "ours.pub").touch()
    with pytest.raises(KeyFileError, match=r"ours\.pub: File exists"):
        make_keys(tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_wrong_files_are_told_in_one_line(private: Path, tmp_path: Path) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "rsa").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "rsa").chmod(0o600)
    (tmp_path / "rsa.pub").write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    for path, problem in {
        tmp_path / "absent": "No such file",
        tmp_path / "text": "no private key in PEM",
        tmp_path / "rsa": "not an Ed25519 key",
        Path(f"{private}.pub"): "open to others",
    }.items():
        with pytest.raises(KeyFileError, match=problem):
            load_signer(path)
    for path, problem in {
        tmp_path / "text": "no public key in PEM",
        tmp_path / "rsa.pub": "not an Ed25519 key",
        private: "holds a private key",
    }.items():
        with pytest.raises(KeyFileError, match=problem):
            load_verifier(path)


def test_a_key_with_a_passphrase_is_told(tmp_path: Path) -> None:
    if which("openssl") is None:
        pytest.skip("no openssl here")
    path = tmp_path / "locked"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:x", "-out", path],
        check=True,
        capture_output=True,
    )
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="has a passphrase"):
        load_signer(path)


def test_the_commands_make_and_name_a_pair(tmp_path: Path) -> None:
    file = str(tmp_path / "ours")
    made = CliRunner().invoke(main, ["keys", "new", file])
    assert made.exit_code == 0, made.output
    shown = CliRunner().invoke(main, ["keys", "show", file, f"{file}.pub"])
    assert [line.split()[0] for line in shown.output.splitlines()] == [made.output.split()[0]] * 2
    again = CliRunner().invoke(main, ["keys", "new", file])
    assert (again.exit_code, again.output) == (1, f"Error: key file {file}: File exists\n")
    absent = CliRunner().invoke(main, ["keys", "show", f"{file}.none"])
    assert (absent.exit_code, absent.output) == (1, f"Error: key file {file}.none: No such file or directory\n")
