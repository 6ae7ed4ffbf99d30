"""Who may sign in to the console, and what proves it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.console.guards import local_path
from stream_app.console.people import (
    SESSION_S,
    PeopleError,
    Person,
    Role,
    SignIns,
    TokensFile,
    one_token,
    read_networks,
    read_tokens,
)

TOKEN, OTHER = "a" * 32, "b" * 32
MARA = Person("mara", Role.ANALYST)


def test_tokens_are_read_and_known_by_their_hash(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text(f"# who\n\nanalyst mara {TOKEN}\nviewer vic {OTHER}\n")
    people = read_tokens(path)
    sign_ins = SignIns(people, [])
    assert sign_ins.by_token(TOKEN) == MARA
    assert sign_ins.by_token(OTHER) == Person("vic", Role.VIEWER)
    assert sign_ins.by_token("c" * 32) is None
    assert not any(TOKEN.encode() in key for key in people)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names nobody"),
        (f"king mara {TOKEN}", "line 1"),
        ("analyst mara", "line 1"),
        ("analyst mara short", "24 characters"),
        (f"analyst mara {TOKEN}\nviewer vic {TOKEN}", "somebody else"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_line_without_a_token(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "people"
    path.write_text(text)
    with pytest.raises(PeopleError, match=said) as raised:
        read_tokens(path)
    assert TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_session_proves_who_it_is_until_it_ends() -> None:
    sign_ins = SignIns({b"hash": MARA}, [])
    cookie = sign_ins.session_of(MARA, now_s=1_000)
    assert sign_ins.by_session(cookie, 1_000 + SESSION_S - 1) == MARA
    assert sign_ins.by_session(cookie, 1_000 + SESSION_S) is None
    assert SignIns({b"hash": MARA}, []).by_session(cookie, 1_000) is None  # of another process


@pytest.mark.parametrize(
    "change", [lambda c: c[:-1] + ("0" if c[-1] != "0" else "1"), lambda c: "x" + c, lambda _: "", lambda _: "."]
)
def test_a_forged_session_proves_nothing(change: Callable[[str], str]) -> None:
    sign_ins = SignIns({b"hash": MARA}, [])
    assert sign_ins.by_session(change(sign_ins.session_of(MARA, now_s=1_000)), 1_000) is None


@pytest.mark.parametrize(
    ("peer", "groups", "expected"),
    [
        ("10.0.0.7", "stillwatch-viewer, stillwatch-analyst, staff", Role.ANALYST),
        ("10.0.0.7", "stillwatch-admin", Role.ADMIN),
        ("10.0.0.7", "staff", None),
        ("10.0.0.7", "", None),
        ("10.0.1.7", "stillwatch-admin", None),
        ("nonsense", "stillwatch-admin", None),
        (None, "stillwatch-admin", None),
    ],
)
def test_only_a_trusted_proxy_is_believed(peer: str | None, groups: str, expected: Role | None) -> None:
    sign_ins = SignIns({}, read_networks("10.0.0.0/24, ::1"))
    person = sign_ins.by_proxy(peer, {"X-Forwarded-User": "mara", "X-Forwarded-Groups": groups})
    assert (person and person.role) == expected


def test_proxies_must_be_networks() -> None:
    with pytest.raises(PeopleError, match="trusted proxies"):
        read_networks("10.0.0.0/24, proxy.example")


def test_a_form_belongs_to_a_person() -> None:
    sign_ins = SignIns({}, [])
    assert sign_ins.is_form_token(MARA, sign_ins.form_token(MARA))
    assert not sign_ins.is_form_token(Person("vic", Role.ANALYST), sign_ins.form_token(MARA))
    assert not sign_ins.is_form_token(MARA, "")


def test_who_starts_it_may_do_everything() -> None:
    token, people = one_token("ada")
    assert SignIns(people, []).by_token(token) == Person("ada", Role.ADMIN)


def test_roles_cover_those_before_them() -> None:
    assert [[role.covers(needed) for needed in Role] for role in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\nb", ""])
def test_only_a_path_of_ours_is_gone_on_to(path: str) -> None:
    assert local_path(path) == "/"
    assert local_path("/tenant?id=a") == "/tenant?id=a"


def test_a_list_that_changes_is_read_again_and_who_has_gone_is_let_out(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text(f"analyst mara {TOKEN}\nviewer vic {OTHER}\n")
    sign_ins = SignIns(TokensFile(path), [])
    cookie = sign_ins.session_of(MARA, now_s=0)
    path.write_text("nonsense")
    assert (sign_ins.by_token(TOKEN), sign_ins.by_session(cookie, 1)) == (MARA, MARA)
    path.unlink()
    assert sign_ins.by_token(TOKEN) == MARA
    path.write_text(f"viewer vic {OTHER}\nadmin ada {'c' * 32}\n")
    assert sign_ins.by_token("c" * 32) == Person("ada", Role.ADMIN)
    assert (sign_ins.by_token(TOKEN), sign_ins.by_session(cookie, 1)) == (None, None)
