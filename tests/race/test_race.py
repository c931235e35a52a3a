"""The compute race: reproducible, bounded by each of its limits, and honest about what it could not have foreseen."""

import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kolossos.cli.main import main
from kolossos.race.assumptions import RaceAssumptions, load_assumptions, load_sites
from kolossos.race.backtest import LAST_SEEN, UNTUNED, backtest, coverage
from kolossos.race.builds import Record, forecast_sites, record_at
from kolossos.race.draws import Draws, spread
from kolossos.race.momentum import Momentum, load_sales, momentum_at
from kolossos.race.sites import Site, planned_power, sites_known
from kolossos.race.years import LIMITS, Race, run_race, share_out

REPLICATES = 400
HARD = "[assumptions.momentum]\nlow = 1e-9\nmedian = 1e-9\nhigh = 1e-9\n"  # limits that do not give way


def changed(tmp_path: Path, text: str) -> RaceAssumptions:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_assumptions(path)


def race(assumptions: RaceAssumptions, seed: int = 1) -> Race:
    return run_race(assumptions, load_sites(), 5, seed, REPLICATES)


def median_world(outcome: Race, year: int = -1) -> float:
    return float(np.median(outcome.stock_ROY[:, :, year].sum(axis=1)))


def fixed(name: str, value: float) -> str:
    return f"[assumptions.{name}]\nlow = {value}\nmedian = {value}\nhigh = {value}\n"


@pytest.fixture
def kolossos(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kolossos", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


@given(
    wanted=arrays(float, (3, 4), elements=st.floats(0, 100)),
    weight=arrays(float, (3, 4), elements=st.floats(0.01, 10)),
    total=arrays(float, 3, elements=st.floats(0, 300)),
)
@settings(max_examples=60, deadline=None)
def test_chips_shared_out_never_exceed_wishes_or_supply_and_none_are_left_while_wanted(wanted, weight, total) -> None:
    given_ = share_out(wanted, weight, total)
    assert np.all(given_ <= wanted + 1e-6)
    np.testing.assert_allclose(given_.sum(axis=1), np.minimum(total, wanted.sum(axis=1)), atol=1e-6)


def test_equal_weights_split_scarce_chips_equally_and_small_wishes_are_met_first() -> None:
    given_ = share_out(np.array([[1.0, 10.0, 10.0]]), np.ones((1, 3)), np.array([9.0]))
    np.testing.assert_allclose(given_, [[1.0, 4.0, 4.0]])


@pytest.mark.parametrize("points", [(0.5, 1.0, 3.0), (1.0, 1.0, 1.0), (2.0, 8.0, 9.0)])
def test_stated_points_are_the_5_50_95_percent_points_of_what_is_drawn(points: tuple[float, float, float]) -> None:
    drawn = spread(np.random.default_rng(0).standard_normal(200_000), points)
    np.testing.assert_allclose(np.percentile(drawn, [5, 50, 95]), points, rtol=0.02)


def test_changing_one_assumption_leaves_the_draws_of_the_others_alone(tmp_path: Path) -> None:
    before, after = race(load_assumptions()), race(changed(tmp_path, fixed("mfu", 0.5)))
    assert np.array_equal(before.stock_ROY, after.stock_ROY)
    assert not np.array_equal(before.training_flops_ROY, after.training_flops_ROY)


def test_each_limit_binds_when_it_alone_is_tight(tmp_path: Path) -> None:
    tight = {
        "money": "[assumptions.spend_growth]\nlow = 0.1\nmedian = 0.1\nhigh = 0.1\n"
        + "".join(f"[owners.{o}]\nfirst_year_spend = [0.1, 0.1, 0.1]\n" for o in load_assumptions().owners),
        "chips": "[assumptions.supply_growth]\nlow = 0.05\nmedian = 0.05\nhigh = 0.05\n",
        "power": "[assumptions.world_power]\nlow = 0.01\nmedian = 0.01\nhigh = 0.01\n"
        + fixed("headroom", 0.001) + fixed("retirement", 0.001),
    }  # fmt: skip
    free = race(load_assumptions())
    for name, text in tight.items():
        outcome = race(changed(tmp_path, HARD + text))
        assert np.mean(outcome.limit_ROY == LIMITS.index(name)) > 0.9, name
        assert median_world(outcome) < median_world(free), name


def test_build_time_binds_only_where_lead_times_are_long(tmp_path: Path) -> None:
    quick = race(changed(tmp_path, HARD + fixed("lead_time", 0.001) + fixed("site_delay", 0.001)))
    slow = race(changed(tmp_path, HARD + fixed("lead_time", 4.0) + fixed("world_power", 1000.0)))
    build_time = LIMITS.index("build time")
    assert np.mean(quick.limit_ROY[:, :, 0] == build_time) < 0.05
    assert np.mean(slow.limit_ROY[:, :, 0] == build_time) > np.mean(quick.limit_ROY[:, :, 0] == build_time)


def test_power_drawn_never_exceeds_what_came_on_line_and_stock_falls_only_by_retirement(tmp_path: Path) -> None:
    gigawatts = 10.0
    outcome = race(changed(tmp_path, HARD + fixed("world_power", gigawatts)))
    start = outcome.power_ROY[:, :, 0].sum(axis=1) * (1 + outcome.drawn["headroom"])
    for year in range(1, 6):
        drawn_mw = outcome.power_ROY[:, :, year].sum(axis=1)
        assert np.all(drawn_mw <= start + gigawatts * 1e3 * year + 1e-3)
    lost = 1 - outcome.stock_ROY[:, :, 1:] / outcome.stock_ROY[:, :, :-1]
    assert np.all(lost <= outcome.drawn["retirement"][:, None, None] + 1e-12)


def test_training_flops_are_stock_times_peak_times_shares_times_a_year(tmp_path: Path) -> None:
    shares = {"mfu": 0.4, "availability": 0.9, "training_share": 0.5}
    outcome = race(changed(tmp_path, "".join(fixed(name, value) for name, value in shares.items())))
    assert outcome.flops_per_s_ROY[0, 0, 0] == pytest.approx(outcome.stock_ROY[0, 0, 0] * 989e12)
    mean_stock = (outcome.stock_ROY[0, 0, 0] + outcome.stock_ROY[0, 0, 1]) / 2
    expected = mean_stock * 989e12 * 0.4 * 0.9 * 0.5 * 365.25 * 86400
    assert outcome.training_flops_ROY[0, 0, 0] == pytest.approx(expected)


def test_sites_cut_off_at_a_date_know_nothing_later() -> None:
    sites = {s.name: s for s in sites_known(load_sites(), date(2024, 12, 31), with_plans=False)}
    assert "xAI Colossus 2 Memphis Tennessee" not in sites
    assert sites["xAI Colossus 1 Memphis Tennessee"].power_mw == 174
    assert sites["Anthropic-Amazon Project Rainier New Carlisle Indiana"].power_mw == 0
    assert all(not s.plans and s.announced_mw is None for s in sites.values())


def test_plans_slip_and_unlikely_ones_mostly_fall_through() -> None:
    draws = Draws(load_assumptions(), 1, 4000)
    site = Site("a", "xAI", 100.0, -1.0, -0.5, "Likely", [(0.9, 500.0)])
    unlikely = replace(site, name="b", certainty="Unlikely")
    power = planned_power([site, unlikely], draws, 4)
    assert np.mean(power[:, 0, 1] == 500) < 0.3  # planned for year 0.9: most slip past the end of year 1
    assert np.mean(power[:, 0, 4] == 500) == pytest.approx(0.85, abs=0.03)
    assert np.mean(power[:, 1, 4] == 500) == pytest.approx(0.15, abs=0.03)
    assert np.all(planned_power([site], draws, 4, delayed=False)[:, 0, 1].max() == 500)


STILL = Momentum(next_year=0.0, mean=0.0, scale=0.3, drift_error=0.0, stock_growth=2.0)


def test_sites_never_shrink_and_an_older_site_without_power_gets_it_sooner() -> None:
    record = Record(steps_per_year=1.0, step_mw=100.0, lead_years=1.5)
    sites = [Site("a", "xAI", 0.0, when, None, "Existing") for when in (-0.1, -2.0)]
    sites.append(Site("a", "xAI", 300.0, -3.0, -2.0, "Existing"))
    power = forecast_sites(sites, record, STILL, 1.0, 1, 4000)
    assert power.min() >= 0
    assert power[:, 2].min() == 300
    young, old = np.mean(power[:, :2] > 0, axis=0)
    assert young < 0.5 < old
    assert (
        np.median(forecast_sites(sites, record, STILL, 3.0, 1, 4000), axis=0).tolist()
        > np.median(power, axis=0).tolist()
    )


def test_records_and_momentum_of_a_date_know_nothing_later() -> None:
    day = date(2024, 6, 30)
    points, sales = load_sites(), load_sales()
    assert record_at(points, day) == record_at([p for p in points if p.date and p.date <= day], day)
    assert momentum_at(day, sales) == momentum_at(day, [row for row in sales if row.published <= day])
    assert momentum_at(day, sales) != momentum_at(date(2024, 12, 31), sales)


def test_steady_sales_carry_nothing_over_and_a_last_quarter_above_them_does() -> None:
    steady = [replace(row, million_usd=4e3, quarter_million_usd=1e3) for row in load_sales()]
    still = momentum_at(date(2025, 12, 31), steady)
    assert still.next_year == pytest.approx(0)
    assert still.mean == pytest.approx(0)
    last = replace(steady[-2], million_usd=5e3, quarter_million_usd=2e3)
    known = [*steady[:-2], last]
    drift = np.log(5 / 4) / ((len(known) - 1) / 4)
    expected = np.log(2e3 * np.exp(drift * np.arange(1, 5) / 4).sum() / 5e3)
    assert momentum_at(date(2025, 12, 31), known).next_year == pytest.approx(expected)


def test_shocks_have_heavy_tails_and_owners_share_them() -> None:
    grown = replace(STILL, drift_error=0.1).log_growth(1, 40_000, 2, 2)
    a, b = grown[:, 0, 0], grown[:, 1, 0]
    assert 0.3 < np.corrcoef(a, b)[0, 1] < 0.7
    standard = a / np.std(a)
    assert np.mean(np.abs(standard) > 3.5) > 5 * 4.7e-4  # a normal one: 4.7e-4
    assert np.median(a) == pytest.approx(0, abs=0.01)


def test_limits_give_way_to_the_trend_as_far_as_said(tmp_path: Path) -> None:
    world = [median_world(race(changed(tmp_path, fixed("momentum", share))), 1) for share in (1e-9, 0.4, 0.9)]
    assert world == sorted(world)
    assert world[2] > 1.1 * world[0]


def test_backtest_covers_what_it_should_with_what_was_known_at_the_time() -> None:
    points = load_sites()
    rows = backtest(points, 1, REPLICATES)
    known_then = [p for p in points if p.date is not None and p.date <= LAST_SEEN]
    assert rows == backtest(known_then, 1, REPLICATES)  # plans of today play no part
    summary = coverage(rows)
    for name in (UNTUNED, "all"):
        assert 0.80 <= summary[name]["covered"] / summary[name]["comparisons"] <= 0.97, name
    assert summary[UNTUNED]["comparisons"] > 200
    assert summary["sites"]["median_factor_off"] < 1.35
    microsoft = next(r for r in rows if r.what == "Microsoft" and r.test == "owners")
    assert microsoft.median < microsoft.actual == 3.4e6
    assert not any(row.tuned for row in rows if row.test in ("world", "owners", "all sites", "sites of an owner"))


def test_every_assumption_and_site_names_its_source_and_grade() -> None:
    assumptions = load_assumptions()
    assert all(a.source and a.grade for a in assumptions.assumptions.values())
    named = {point.owner for point in load_sites()}
    assert named <= set(assumptions.owners)
    assert {point.certainty for point in load_sites()} <= set(assumptions.certainty)


def test_same_seed_same_bytes_of_json_and_picture(kolossos, tmp_path: Path) -> None:
    outputs = []
    for name in ("a.png", "b.png"):
        code, out, _ = kolossos("race", "--json", "--replicates", "60", "--years", "2", "--plot", str(tmp_path / name))
        assert code == 0
        outputs.append((out, (tmp_path / name).read_bytes()))
    assert outputs[0] == outputs[1]
    summary = json.loads(outputs[0][0])
    assert [row["year"] for row in summary["world"]] == [2025, 2026, 2027]
    for owner in summary["owners"]:
        for row in owner["years"]:
            band = row["h100_equivalents"]
            assert band["p5"] <= band["p50"] <= band["p95"]
        assert sum(owner["years"][1]["binding"].values()) == pytest.approx(1, abs=1e-4)
    assert kolossos("race", "--json", "--replicates", "60", "--years", "2", "--seed", "2")[1] != outputs[0][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[assumptions.mfuu]\nmedian = 0.4\n", "unknown key 'assumptions.mfuu'; did you mean 'mfu'?"),
        ("[assumptions.mfu]\nlow = 0.5\n", "low = 0.5, median = 0.35, high = 0.45 are not in this order"),
        ("[assumptions.mfu]\nhigh = 1.5\n", "assumptions.mfu.high is above 1"),
        ("[assumptions.lead_time]\nlow = -1\n", "greater than 0"),
        ("[assumptions.spend_growth]\nmedian = [1.5, 1.2]\n", "the same number of years"),
        ("[certainty]\nLikely = 2.0\n", "certainty.Likely = 2 is not between 0 and 1"),
        ("[assumptions.spend_growth]\nlow = []\n", "key 'assumptions.spend_growth.low' = []"),
        ("[assumptions]\nmfu = 3\n", "key 'assumptions.mfu' = 3"),
        ("[certainty]\nLikly = 0.5\n", "unknown key 'certainty.Likly'; did you mean 'Likely'"),
        ("[owners.xAI]\nfirst_year_spend = [3, 2, 1]\n", "expected low, median and high in this order"),
        ("[owners.Mine]\nh100_equivalents = 5\n", "key 'owners.Mine.source' is missing"),
        ("x = [", "not valid TOML"),
    ],
)
def test_bad_assumptions_are_one_clear_line(kolossos, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    code, out, err = kolossos("race", "--assumptions", str(path))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--years", "0"], "--years 0: expected a number from 1 to 20"),
        (["--replicates", "1"], "--replicates 1"),
        (["--seed", "-1"], "--seed -1: expected 0 or more"),
        (["--plot", "race.gif"], "ends in .png, .svg, .pdf"),
        (["--plot", "/nowhere/at/all/race.png"], "no such folder"),
        (["--assumptions", "missing.toml"], "missing.toml: no such file"),
    ],
)
def test_bad_options_are_one_clear_line(kolossos, arguments: list[str], message: str) -> None:
    code, out, err = kolossos("race", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
