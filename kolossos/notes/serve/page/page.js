"use strict";
// What the page knows: the list, the chosen market, the key (for this tab only), and the last event seen.
const known = { markets: new Map(), chosen: null, detail: null, events: [], key: sessionStorage.getItem("key") || "", last: 0 };
const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElementNS(tag.startsWith("svg:") ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml", tag.replace("svg:", ""));
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const cents = (ppm) => (ppm / 10000).toFixed(1) + " %";
const credits = (micro) => (micro / 1e6).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const when = (ms) => new Date(ms).toLocaleString();

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (known.key) headers.Authorization = "Bearer " + known.key;
  if (options.body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { ...options, headers });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error ? body.error.message : "the server answered " + answer.status);
  return body;
}

function about(market) {
  const asked = market.question || {};
  return asked.note_text || asked.post_text || (asked.note ? "note " + asked.note : market.name);
}

function drawList() {
  const rows = [...known.markets.values()].map((market) => {
    const joint = market.outcomes && market.outcomes.length > 2;
    const price = market.prices_ppm ? (joint ? Math.max(...market.prices_ppm) : market.prices_ppm[0]) : null;
    const leader = joint && price !== null ? market.outcomes[market.prices_ppm.indexOf(price)] + " " : "";
    return make("li", {}, make("button", { type: "button", "data-name": market.name, "aria-current": market.name === known.chosen ? "true" : null, onclick: () => choose(market.name) },
      make("span", { class: "about" }, about(market)),
      make("span", { class: "price" }, market.state === "final" && market.outcome ? market.outcome : price === null ? "" : leader + cents(price)),
      make("span", { class: "quiet" }, `${market.state}, ${market.trades} trades`),
      make("span", { class: "quiet" }, market.ratings ? `${market.ratings[0]} ratings` : "")));
  });
  const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.name : null;
  $("list").replaceChildren(...rows);
  if (focus) { const again = $("list").querySelector(`[data-name="${CSS.escape(focus)}"]`); if (again) again.focus({ preventScroll: true }); }
}

async function loadList() {
  const query = new URLSearchParams({ limit: "200", search: $("search").value });
  if ($("state").value) query.set("state", $("state").value);
  const rows = await ask("/v1/markets?" + query);
  known.markets = new Map(rows.map((row) => [row.name, row]));
  drawList();
  const figures = await ask("/v1/figures");
  $("figures").textContent = `${figures.markets_open || 0} open markets, ${figures.people} accounts, ${figures.shown} notes shown early, ${figures.events} events`;
}

async function choose(name) {
  known.chosen = name;
  history.replaceState(null, "", "#" + encodeURIComponent(name));
  drawList();
  await loadDetail();
}

async function loadDetail() {
  if (!known.chosen) return;
  const name = known.chosen;
  const [detail, events] = await Promise.all([ask("/v1/markets/" + encodeURIComponent(name)), ask(`/v1/markets/${encodeURIComponent(name)}/events?limit=500`)]);
  if (name !== known.chosen) return;
  known.detail = detail;
  known.events = events.reverse();
  drawDetail();
}

function chart(detail, events) {
  const wide = Math.max($("detail").clientWidth - 34, 240), high = 190, left = 38, bottom = 26;
  const start = detail.opened, end = Math.max(detail.at || Date.now(), ...events.map((e) => e.at), start + 1000);
  const x = (at) => left + (wide - left) * (at - start) / (end - start);
  const y = (ppm) => (high - bottom) * (1 - ppm / 1e6) + 8;
  const picture = make("svg:svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": "Price over time" });
  for (const level of [0, 250000, 500000, 750000, 1000000]) {
    picture.append(make("svg:line", { class: "grid", x1: left, x2: wide, y1: y(level), y2: y(level) }), make("svg:text", { x: 0, y: y(level) + 4 }, (level / 10000) + "%"));
  }
  (detail.outcomes || []).slice(0, detail.outcomes.length === 2 ? 1 : 6).forEach((outcome, index) => {
    const points = events.filter((e) => e.outcome === index && e.price_ppm !== undefined).map((e) => [e.at, e.price_ppm, e.seq]);
    if (detail.outcomes.length === 2) events.filter((e) => e.outcome === 1 && e.price_ppm !== undefined).forEach((e) => points.push([e.at, 1e6 - e.price_ppm, e.seq]));
    points.sort((a, b) => a[2] - b[2]);
    const now = detail.prices_ppm ? detail.prices_ppm[index] : null;
    if (now !== null) points.push([end, now]);
    let d = "";
    const lasting = points.filter(([at], i) => i + 1 === points.length || points[i + 1][0] - at >= (end - start) / 2000); // what stood
    lasting.forEach(([at, ppm], i) => { d += i ? ` H ${x(at).toFixed(1)} V ${y(ppm).toFixed(1)}` : `M ${x(at).toFixed(1)} ${y(ppm).toFixed(1)}`; });
    if (d) picture.append(make("svg:path", { class: "path line" + (index % 6), d }));
  });
  picture.append(make("svg:text", { x: left, y: high - 3 }, new Date(start).toLocaleTimeString()), make("svg:text", { x: wide - 70, y: high - 3 }, new Date(end).toLocaleTimeString()));
  return picture;
}

function table(caption, heads, rows) {
  return make("div", { class: "scroll" }, make("h2", {}, caption), make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell)))))));
}

function tradeForm(detail) {
  if (detail.state !== "open") return null;
  const pool = detail.maker === "pool";
  const message = make("output", { role: "status" });
  const outcome = make("select", { "aria-label": "Outcome", id: "trade-outcome" }, ...detail.outcomes.map((name) => make("option", {}, name)));
  const kind = make("select", { "aria-label": "Buy or sell", id: "trade-kind" }, make("option", { value: "buy" }, "buy for"), make("option", { value: "sell" }, "sell"));
  const amount = make("input", { type: "number", min: "0.000001", step: "any", value: "1", "aria-label": "Amount", id: "trade-amount" });
  const unit = make("span", { class: "quiet" }, "credits");
  kind.addEventListener("change", () => { unit.textContent = kind.value === "buy" ? "credits" : "shares"; });
  return make("form", { id: "trade", onsubmit: async (event) => {
    event.preventDefault();
    message.className = "";
    message.textContent = "...";
    const number = Math.round(Number(amount.value) * 1e6);
    const body = kind.value === "buy" ? { do: pool ? "take" : "buy", outcome: outcome.value, budget: number } : { do: pool ? "take_selling" : "sell", outcome: outcome.value, units: number };
    try {
      const done = await ask(`/v1/markets/${encodeURIComponent(detail.name)}/trades`, { method: "POST", body: JSON.stringify(body), headers: { "Idempotency-Key": crypto.randomUUID() } });
      message.textContent = `${credits(done.units)} shares for ${credits(Math.abs(done.amount))} credits; price now ${cents(done.price_ppm)}`;
      loadAccount();
    } catch (error) { message.className = "error"; message.textContent = error.message; }
  } }, kind, amount, unit, make("span", {}, "of"), outcome, make("button", {}, "Trade"), message);
}

function decision(detail) {
  const made = detail.decision, would = detail.would_decide;
  if (!made && !would) return null;
  const shown = made ? made.shown : false;
  const why = made && (!would || would.shown === made.shown) && detail.state !== "open" ? made.why : (would || made).why;
  return make("p", {}, make("span", { class: "badge" + (shown ? " shown" : "") }, shown ? "shown early" : "not shown"), " ", why + ".");
}

function drawDetail() {
  const detail = known.detail, asked = detail.question || {};
  const kept = document.activeElement && $("trade") && $("trade").contains(document.activeElement);
  if (kept && $("detail").dataset.name === detail.name) { redraw(detail); return; }
  $("detail").dataset.name = detail.name;
  $("detail").replaceChildren(...[
    make("p", { class: "quiet" }, `${detail.name}: ${asked.criterion || ""}${asked.note ? " of note " + asked.note : ""}; ${detail.state}${detail.closes ? "; closes " + when(detail.closes) : ""}`),
    asked.post_text ? make("div", {}, make("h2", {}, "Post"), make("p", { class: "text" }, asked.post_text)) : null,
    asked.note_text ? make("div", {}, make("h2", {}, "Note"), make("p", { class: "text" }, asked.note_text)) : null,
    make("div", { id: "live" }),
    tradeForm(detail),
    make("div", { id: "below" })].filter(Boolean));
  redraw(detail);
}

function redraw(detail) {
  const prices = detail.prices_ppm || [];
  const live = [];
  if (detail.state === "final" || detail.state === "void") live.push(make("p", { class: "big price" }, detail.outcome || detail.mode));
  else if (prices.length === 2) live.push(make("p", { class: "big price", id: "price" }, cents(prices[0])));
  else live.push(table("Candidates", ["outcome", "price"], detail.outcomes.map((name, i) => [name, cents(prices[i])])));
  live.push(decision(detail), make("h2", {}, "Price"), chart(detail, known.events));
  $("live").replaceChildren(...live.filter(Boolean));
  const below = [];
  if (detail.depth && detail.depth.length) below.push(table("Depth: what it costs to lift a price", ["outcome", "to", "credits"], detail.depth.map((d) => [d.outcome, cents(d.to_ppm), credits(d.cost)])));
  if (detail.people_in_it && detail.people_in_it.length) below.push(table("Who bet what", ["account", "paid in", "holds"], detail.people_in_it.map((p) => [`${p.name} (${p.role})`, credits(p.net), Object.entries(p.units).map(([o, u]) => `${o} ${credits(u)}`).join(", ") || "-"])));
  if (detail.orders && detail.orders.length) below.push(table("Resting orders", ["outcome", "price", "shares"], detail.orders.map((o) => [o.outcome, cents(o.price_ppm), credits(o.units)])));
  if (known.events.length) below.push(table("Last trades", ["time", "who", "what", "credits"], known.events.filter((e) => e.user).slice(-12).reverse().map((e) => [new Date(e.at).toLocaleTimeString(), e.user, `${e.kind} ${detail.outcomes[e.outcome] || ""} ${credits(e.units || 0)}`, credits(Math.abs(e.amount || 0))])));
  $("below").replaceChildren(...below);
}

async function loadAccount() {
  if (!known.key) { $("who").textContent = "looking only"; return; }
  try {
    const me = await ask("/v1/me");
    $("who").textContent = `${me.name}, ${me.role}: ${credits(me.credits)} credits`;
    $("who").className = "";
  } catch (error) { $("who").textContent = error.message; $("who").className = "error"; }
}

async function follow() {
  for (;;) {
    try {
      const headers = known.key ? { Authorization: "Bearer " + known.key } : {};
      const answer = await fetch("/v1/events" + (known.last ? "?after=" + known.last : ""), { headers });
      if (!answer.ok) throw new Error("no stream");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          const data = part.split("\n").find((line) => line.startsWith("data: "));
          if (data) happened(JSON.parse(data.slice(6)));
        }
      }
    } catch { /* the server is away: again below */ }
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}

let soon = null;
const stale = { list: false, detail: false };
function happened(event) {
  known.last = Math.max(known.last, event.seq);
  stale.list = true;
  if ((event.market || event.name || event.note) === known.chosen) stale.detail = true;
  if (!soon) soon = setTimeout(async () => {
    soon = null;
    const { list, detail } = stale;
    stale.list = stale.detail = false;
    try {
      if (list) await loadList();
      if (detail) { await loadDetail(); }
    } catch { /* the next event brings another look */ }
  }, 250);
}

$("account").addEventListener("submit", (event) => {
  event.preventDefault();
  known.key = $("key").value.trim();
  sessionStorage.setItem("key", known.key);
  $("key").value = "";
  loadAccount();
  loadList().then(loadDetail).catch(() => {});
});
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("search").addEventListener("input", () => loadList());
$("state").addEventListener("change", () => loadList());
$("list").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  const names = [...known.markets.keys()];
  const at = names.indexOf(known.chosen) + (event.key === "ArrowDown" ? 1 : -1);
  if (names[at]) choose(names[at]).then(() => { const row = $("list").querySelector('[aria-current="true"]'); if (row) row.focus(); });
});

async function begin() {
  try {
    await loadAccount();
    await loadList();
    const wanted = decodeURIComponent(location.hash.slice(1)) || [...known.markets.keys()][0];
    if (wanted) await choose(wanted);
  } catch (error) { $("detail").replaceChildren(make("p", { class: "error" }, error.message)); }
  follow();
}
begin();
