"""Personal numbers and addresses are masked on request, by kind, and counted."""

import json
from pathlib import Path

import pytest

from kolossos.data import mask as mask_module
from kolossos.data.corpus.corpus import Corpus
from kolossos.data.mask import KINDS, mask
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError


def needs(*libraries: str) -> None:
    for library in libraries:
        pytest.importorskip(library)


@pytest.mark.parametrize(
    ("kind", "text", "masked"),
    [
        ("emails", "Write to ada.l+x@mail.example.org, or b@c.de.", "Write to <email>, or <email>."),
        ("emails", "ünï@bücher.example and not@host nor @name", "<email> and not@host nor @name"),
        ("ips", "From 192.0.2.17 and 2001:db8::8a2e:370:7334.", "From <ip> and <ip>."),
        ("ips", "Version 1.2.3, 999.1.1.1, at 12:30:15, std::vector, 127.0.0.1", None),
        ("phones", "Call +49 30 901820 or (212) 555-0123 now", "Call <phone> or <phone> now"),
        ("phones", "In 2024 there were 1,234,567 of 3.14159265358", None),
        ("cards", "Card 4111 1111 1111 1111, not 4111 1111 1111 1112", "Card <card>, not 4111 1111 1111 1112"),
        ("ibans", "Pay to DE89 3704 0044 0532 0130 00 SOON", "Pay to <iban> SOON"),
    ],
)
def test_each_kind_is_found_and_what_looks_like_it_is_left(kind: str, text: str, masked: str | None) -> None:
    needs(*(["phonenumbers"] if kind == "phones" else ["stdnum"] if kind in ("cards", "ibans") else []))
    found, counts = mask(text, [kind])
    assert found == (text if masked is None else masked)
    assert counts[kind] == found.count("<")


def test_masked_texts_are_counted_in_the_manifest(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"Person {i} has the address person{i}@example.org here."}) for i in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    options = PrepareOptions(vocab_size=300, val_fraction=0, near_threshold=None, mask=("emails", "ips"))
    corpus = Corpus.open(prepare([str(tmp_path / "a.jsonl")], tmp_path / "data", options, workers=1).folder)
    split = corpus.split("train")
    text = corpus.tokenizer().decode(split.stream(0, split.n_tokens).tolist())
    assert corpus.manifest.masked == {"emails": 5}
    assert "example.org" not in text
    assert text.count("<email>") == 5


def test_unknown_kinds_and_missing_libraries_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="mask 'names' is unknown; known: emails, ibans, cards, ips, phones"):
        PrepareOptions(mask=("names",))
    monkeypatch.setitem(mask_module.NEEDED, "phones", "a_library_that_is_not_there")
    with pytest.raises(InputError, match=r"masking phones needs a library: pip install 'kolossos\[mask\]'"):
        PrepareOptions(mask=("phones",))


@pytest.mark.parametrize("kind", ["emails", "ips"])
def test_hostile_texts_take_no_long_time(kind: str) -> None:
    for text in ("a." * 50_000 + "@", "a@" + "b-" * 50_000, "1." * 50_000, ":" * 100_000, "@" * 100_000):
        assert mask(text, [kind])[0]


def test_the_kinds_are_those_of_the_help() -> None:
    assert set(KINDS) == {"emails", "phones", "cards", "ibans", "ips"}
