"""Claims about the race: what can be said, what comes back, and that one claim agrees with another."""

import json
import sys

import numpy as np
import pytest

from kolossos.cli.main import main
from kolossos.errors import InputError
from kolossos.race.assumptions import load_assumptions, load_sites
from kolossos.race.claim import answer, parse_claim
from kolossos.race.years import Race, run_race

OWNERS = list(load_assumptions().owners)


@pytest.fixture(scope="module")
def race() -> Race:
    return run_race(load_assumptions(), load_sites(), 12, 1, 400)


def odds(text: str, race: Race, by: int = 2030) -> float:
    return answer(parse_claim(text, OWNERS), race, by)["probability"]


def test_a_claim_and_its_opposite_add_up_to_one(race: Race) -> None:
    for left, right in (("Google", "Meta + Amazon"), ("xAI", "10M"), ("Google", "50 GW"), ("meta", "every other")):
        assert odds(f"{left} > {right}", race) + odds(f"{left} < {right}", race) == pytest.approx(1, abs=1e-3)
        assert odds(f"{left} > {right}", race) == odds(f"{right} < {left}", race)


def test_all_others_are_the_sum_of_those_not_named(race: Race) -> None:
    rest = " + ".join(name for name in OWNERS if name not in ("Google", "Meta"))
    assert odds("Google + Meta > all others", race) == odds(f"Google + Meta > {rest}", race)
    assert odds("Google > all others", race) <= odds("Google > every other", race)


def test_numbers_and_powers_are_what_they_say(race: Race) -> None:
    assert odds("xAI > 12M", race) == odds("xAI > 12,000,000", race) == odds("xAI > 12e6 H100e", race)
    stock = race.stock_ROY[:, OWNERS.index("xAI"), race.years.index(2028)]
    assert odds("xAI > 5M", race, 2028) == pytest.approx(float(np.mean(stock > 5e6)), abs=1e-4)
    assert odds("xAI > 3 GW", race) == odds("xAI > 3000 MW", race)
    power = race.power_ROY[:, OWNERS.index("xAI"), race.years.index(2030)]
    assert odds("xAI > 3 GW", race) == pytest.approx(float(np.mean(power > 3e3)), abs=1e-4)


def test_even_odds_come_in_the_first_year_with_half_the_replicates(race: Race) -> None:
    found = answer(parse_claim("xAI > 5M", OWNERS), race, 2030)
    first = found["even_odds_year"]
    assert found["probability_by_year"][str(first)] >= 0.5 > found["probability_by_year"][str(first - 1)]
    assert answer(parse_claim("xAI > all others", OWNERS), race, 2030)["even_odds_year"] is None
    assert answer(parse_claim("xAI > 100k", OWNERS), race, 2030)["even_odds_year"] == race.years[0]


def test_what_it_takes_is_the_target_less_what_is_kept_and_its_parts_agree(race: Race) -> None:
    needs = answer(parse_claim("xAI > 50M", OWNERS), race, 2030)["it_would_take"]
    assert 49e6 < needs["h100_equivalents"]["p50"] < 50e6
    watts = needs["gw"]["p50"] * 1e9 / needs["h100_equivalents"]["p50"]
    dollars = needs["usd"]["p50"] / needs["h100_equivalents"]["p50"]
    assert 200 < watts < 1150
    assert 8e3 < dollars < 37e3
    assert needs["times_what_is_foreseen"]["p50"] > 1
    assert answer(parse_claim("xAI < 50M", OWNERS), race, 2030)["it_would_take"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xAI", "say two sides and > or <"),
        ("xAI > ", "one side is empty"),
        ("xAI > Google > Meta", "say two sides"),
        ("xIA > 3M", "no owner 'xIA'; did you mean 'xAI'?"),
        ("OpenAI > 5M", "they count with Oracle and Microsoft"),
        ("5 > 4M", "two numbers say nothing about an owner"),
        ("xAI > xAI", "xAI is on both sides"),
        ("xAI + xai > 3M", "named twice"),
        ("world > all others", "there is nobody besides"),
        ("50M > all others", "needs owners on the other side"),
        ("xAI > 0", "above 0"),
        ("xAI > -5M", "no owner '-5M'"),
    ],
)
def test_bad_claims_are_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as wrong:
        parse_claim(text, OWNERS)
    assert message in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_command_answers_in_words_and_json(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kolossos", "race", "--replicates", "100", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    code, out, _ = run("--claim", "xAI > 50M", "--by", "2030", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["claim"] == "xAI > 50M"
    assert 0 <= found["probability"] <= 1
    code, out, _ = run("--claim", "xAI > all others")
    assert code == 0
    assert "even odds not before 2046" in " ".join(out.split())
    for arguments, message in (
        (["--claim", "xAI > 50M", "--by", "2025"], "--by 2025: expected a year from 2026 to 2045"),
        (["--by", "2030"], "--by 2030 needs a --claim"),
        (["--claim", "xAI > 50M", "--plot", "a.png"], "leave --claim out"),
        (["--claim", "nobody"], "say two sides"),
    ):
        code, out, err = run(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
