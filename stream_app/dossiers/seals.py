"""Dossiers as files of JSON with their hash and signature, and what is wrong with one that was changed."""

from hashlib import sha256
from typing import Any

import orjson

from stream_app.dossiers.chains import broken_link
from stream_app.dossiers.contents import FORMAT
from stream_app.signatures import Purpose, Signature, SignatureRefusedError, Signer, Verifier

#: What a file holds before anything else: dossiers are found in pages and papers by it.
OPENING = b'{"dossier":'


class NoDossierError(Exception):
    """A file holds no dossier; the message says why in one line."""


def canonical(document: dict[str, Any]) -> bytes:
    """The bytes that are hashed and signed: JSON without blanks, keys sorted, UTF-8."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def seal(document: dict[str, Any], signer: Signer | None) -> dict[str, Any]:
    """The document with the SHA-256 of its canonical bytes and, given a key, the signature over them."""
    content = canonical(document)
    signature = None if signer is None else str(signer.sign(content, Purpose.DOSSIER))
    return {"dossier": document, "sha256": sha256(content).hexdigest(), "signature": signature}


def parse(text: bytes) -> dict[str, Any]:
    """A sealed dossier; raises ``NoDossierError``."""
    try:
        sealed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NoDossierError(f"not JSON: {error}") from error
    if not isinstance(sealed, dict) or not {"dossier", "sha256", "signature"} <= sealed.keys():
        raise NoDossierError("not a dossier: it lacks dossier, sha256 or signature")
    document = sealed["dossier"]
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NoDossierError(f"not a dossier of the form {FORMAT!r}")
    return sealed


def problems(sealed: dict[str, Any], verifier: Verifier | None) -> list[str]:
    """What is wrong with a dossier, by itself; empty when nothing is. Without a verifier no signature is looked at."""
    content = canonical(sealed["dossier"])
    found = []
    if sha256(content).hexdigest() != sealed["sha256"]:
        found.append("the content is not what its hash was made of")
    if broken := broken_link(sealed["dossier"].get("chain") or {}):
        found.append(broken)
    if verifier is not None:
        try:
            if not isinstance(sealed["signature"], str):
                raise SignatureRefusedError("not signed")
            verifier.verify(content, Signature.parse(sealed["signature"]), Purpose.DOSSIER)
        except SignatureRefusedError as error:
            found.append(str(error))
    return found
