"""A bot as a customer of a running service: it looks at open markets, asks its forecaster, and bets."""

import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kolossos.errors import InputError
from kolossos.notes.bots.remote import NoForecast
from kolossos.notes.bots.stake import Staking, log_odds_of

LEAST_DIFFERENCE = 0.1  # in log odds: below it, it does not trade

Forecast = Callable[[str, str, tuple[int, int] | None], float]


@dataclass
class Customer:
    """One account at one service."""

    address: str
    key: str
    forecast: Forecast
    staking: Staking = field(default_factory=Staking)
    asked: dict[str, tuple[int, float]] = field(default_factory=dict)  # market: ratings when asked, log odds

    def call(self, method: str, path: str, body: dict | None = None) -> Any:
        """One request; InputError with what the service said."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address.rstrip("/") + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            try:
                said = json.loads(error.read())["error"]["message"]
            except (ValueError, KeyError, TypeError):
                said = str(error)
            raise InputError(f"{path}: {said}") from None
        except (urllib.error.URLError, OSError) as error:
            raise InputError(f"{self.address} does not answer: {error}") from None

    def look(self, tell: Callable[[str], None]) -> int:
        """Go once over the open markets on single notes; returns how many bets were made."""
        me = self.call("GET", "/v1/me")
        worth = me["credits"] + sum(max(m["net"], 0) for m in me["markets"])
        held = {m["market"]: m["units"] for m in me["markets"]}
        made = 0
        for market in self.call("GET", "/v1/markets?state=open&limit=1000"):
            if market["question"].get("note") is None or market["maker"] != "lmsr":
                continue
            try:
                opinion = self._opinion(market)
            except NoForecast as error:
                tell(f"{market['name']}: {error}")
                continue
            made += self._bet(market, opinion, worth, held.get(market["name"], {}), tell)
        return made

    def _opinion(self, market: dict) -> float:
        ratings = tuple(market["ratings"]) if market["ratings"] else None
        count = ratings[0] if ratings else 0
        before = self.asked.get(market["name"])
        if before is None or count >= 2 * before[0] + 1:  # asked again after 1, 3, 7, 15 ratings
            asked = market["question"]
            said = self.forecast(asked.get("post_text", ""), asked.get("note_text", ""), ratings)
            before = self.asked[market["name"]] = (count, log_odds_of(said))
        return before[1]

    def _bet(self, market: dict, opinion: float, worth: int, units: dict, tell: Callable[[str], None]) -> int:
        price = market["prices_ppm"][0] / 1e6
        if not 0 < price < 1:
            return 0
        b = self.call("GET", f"/v1/markets/{market['name']}")["b"]
        stake = self.staking.fraction * self.staking.slice * worth
        gap = opinion - math.log(price / (1 - price))
        wish = int((stake * gap - units.get("yes", 0) + units.get("no", 0)) / (1 + stake / b))
        if abs(wish) < LEAST_DIFFERENCE * stake / (1 + stake / b):
            return 0
        side = "yes" if wish > 0 else "no"
        body = {"do": "buy", "outcome": side, "units": abs(wish), "most": int(self.staking.slice * worth)}
        try:
            done = self.call("POST", f"/v1/markets/{market['name']}/trades", body)
        except InputError as error:
            tell(f"{market['name']}: {error}")
            return 0
        tell(f"{market['name']}: {done['units'] / 1e6:,.2f} of {side} for {done['amount'] / 1e6:,.2f} credits")
        return 1


def run(customer: Customer, tell: Callable[[str], None], every_s: float, rounds: int | None = None) -> None:
    """Look again and again; ``rounds`` times where that is stated."""
    done = 0
    while rounds is None or done < rounds:
        if done:
            time.sleep(every_s)
        tell(f"{customer.look(tell)} bets")
        done += 1
