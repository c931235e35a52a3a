"""A replay from tables to report, by the command too; attackers in its markets."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kolossos.cli.notes import app
from kolossos.notes.decide import Policy
from kolossos.notes.replay.attack import author, simulate, with_bought_ratings
from kolossos.notes.replay.run import PRICE, Played, figures, learn, play
from kolossos.notes.tables.generate import Size, generate_world, write_world

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world of the other tests in fewer days, for raters are fitted again on each."""
    folder = tmp_path_factory.mktemp("short")
    write_world(generate_world(Size(notes=320, raters=200, ratings=7000, days=12), 5), folder)
    return folder


@pytest.fixture(scope="module")
def played(world_folder: Path) -> Played:
    return play(world_folder, "pilot")


def test_a_replay_is_the_same_bits_twice_and_tests_only_later_notes(world_folder: Path, played: Played) -> None:
    again = play(world_folder, "pilot")
    np.testing.assert_array_equal(played.log_odds_EB, again.log_odds_EB)
    np.testing.assert_array_equal(played.traded.price_E, again.traded.price_E)
    created = played.world.notes.created_N
    asked = ~np.isnan(played.label_N)
    assert created[asked & ~played.tested_N].max() <= created[played.tested_N].min()
    before = played.walk.at_E < created[played.tested_N].min()
    assert np.ptp(played.log_odds_EB[before]) == 0  # nobody forecasts before having learnt


def test_prices_after_ten_ratings_know_more_than_the_base_rate(played: Played) -> None:
    events = played.at_ratings(10)
    y = played.label_N[played.walk.note_E[events]]
    forecasts = played.forecasts(events)
    brier = {name: ((p - y) ** 2).mean() for name, p in forecasts.items()}
    assert brier[PRICE] < 0.8 * brier["base-rate"]
    minutes = played.at_minutes(60)
    assert len(np.unique(played.walk.note_E[minutes])) == len(minutes)


def test_the_command_writes_a_report_that_says_what_fell_short(world_folder: Path, tmp_path: Path) -> None:
    result = RUNNER.invoke(
        app, ["replay", str(world_folder), "--label", "pilot", "--out", str(tmp_path / "r"), "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    text = (tmp_path / "r" / "replay.md").read_text()
    assert "Is the market better than its best bot?" in text
    assert found["at"]["ratings 5"]["forecasters"][PRICE]["brier_95"][0] > 0
    page = (tmp_path / "r" / "replay.html").read_text()
    assert page.count("<table>") == 3
    assert "http" not in page.replace("http-equiv", "")  # nothing is loaded from elsewhere
    assert json.loads((tmp_path / "r" / "replay.json").read_text()) == found


def test_what_was_learnt_elsewhere_tests_all_notes(world_folder: Path) -> None:
    found = figures(play(world_folder, "pilot", panel=learn(world_folder, "pilot")))
    assert found["notes_tested"] > 150


def test_a_rule_that_is_not_there_is_one_line(world_folder: Path, tmp_path: Path) -> None:
    from kolossos.errors import InputError

    with pytest.raises(InputError, match="there is no rule 'guess' for labels"):
        play(world_folder, "guess")


def test_a_push_costs_its_money_and_bought_ratings_enter_in_time_order(played: Played) -> None:
    policy = Policy(holdout_ppm=0)
    chosen = np.flatnonzero(played.tested_N & (played.label_N == 0))[:12]
    profits = [simulate(played, note, author(), policy)[1] for note in chosen.tolist()]
    assert max(profits) < 0
    bought = with_bought_ratings(played, chosen)
    extra = len(bought.world.ratings) - len(played.world.ratings)
    assert extra == 5 * len(chosen)
    events = bought.walk.note_E == chosen[0]
    assert (np.diff(bought.walk.at_E[events]) >= 0).all()
    assert (np.diff(bought.walk.n_E[events]) == 1).all()
