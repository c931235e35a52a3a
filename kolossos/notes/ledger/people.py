"""Accounts: joining, credits given and taken out of the world, keys."""

import re

from kolossos.errors import InputError, nearest
from kolossos.notes.ledger.book import MINT, OPERATOR, ROLES, SYSTEM, TREASURY, Book, Person
from kolossos.notes.ledger.market import CREDITS
from kolossos.notes.market.amounts import whole

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_TAKEN = {MINT, TREASURY, SYSTEM}
_DIGEST = re.compile(r"[0-9a-f]{64}")


def join(
    book: Book, *, at: int, by: str, name: str, role: str, credits: int = 0, key_sha256: str | None = None
) -> tuple[dict, None]:
    """A new account with a role and ``credits`` micro-credits out of the mint; ``key_sha256``: of its key."""
    book.require(by, OPERATOR)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
        raise InputError(f"{name!r:.60} is no name for an account: small letters, digits, _ . - and at most 40 of them")
    if name in book.people:
        raise InputError(f"there is an account {name!r} already")
    if role not in ROLES:
        raise InputError(f"there is no role {role!r:.60}" + nearest(str(role)[:60], ROLES))
    credits = whole(credits, "the credits to begin with", 0)
    _check_digest(key_sha256)
    return {"kind": "join", "by": by, "name": name, "role": role, "credits": credits, "key_sha256": key_sha256}, None


def joined(book: Book, event: dict, _: None) -> None:
    """The effect of `join`."""
    name, credits = event["name"], event["credits"]
    book.post([(MINT, CREDITS, -credits), (name, CREDITS, credits)])
    book.people[name] = Person(name, event["role"], event["key_sha256"])


def grant(book: Book, *, at: int, by: str, to: str, credits: int) -> tuple[dict, None]:
    """New credits for somebody, or for the treasury, which pays for markets. Negative: they leave the world."""
    book.require(by, OPERATOR)
    if to != TREASURY:
        book.person(to)
    credits = whole(credits, "the credits to give", -(10**15))
    if book.balance(to) + credits < 0:
        raise InputError(f"{to} has {book.balance(to):,} micro-credits: {-credits:,} cannot be taken")
    return {"kind": "grant", "by": by, "to": to, "credits": credits}, None


def granted(book: Book, event: dict, _: None) -> None:
    """The effect of `grant`."""
    book.post([(MINT, CREDITS, -event["credits"]), (event["to"], CREDITS, event["credits"])])


def change(
    book: Book, *, at: int, by: str, name: str, key_sha256: str | None = None, active: bool = True
) -> tuple[dict, None]:
    """Another key for an account, or none (it cannot log in); not ``active``: it can do nothing any more, and what it
    holds is paid when its markets end."""
    book.require(by, OPERATOR)
    if name not in book.people:
        raise InputError(f"there is no account {name!r:.60}")
    _check_digest(key_sha256)
    return {"kind": "change", "by": by, "name": name, "key_sha256": key_sha256, "active": bool(active)}, None


def changed(book: Book, event: dict, _: None) -> None:
    """The effect of `change`."""
    person = book.people[event["name"]]
    person.key_sha256, person.active = event["key_sha256"], event["active"]


def _check_digest(key_sha256: str | None) -> None:
    if key_sha256 is not None and not _DIGEST.fullmatch(str(key_sha256)):
        raise InputError("a key is given by its sha256, 64 hexadecimal digits: the key itself is not kept")
