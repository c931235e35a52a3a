// The second tab: what the server does now, asked for each second as long as somebody can see it.
import { get } from "./api.js";
import { bars, curve, shares } from "./charts.js";
import { $, count, make } from "./dom.js";
import { Rates, quantile, readStatus, tally } from "./rates.js";

const EVERY_MS = 1000;
const LEAST_POINTS = 30; // of a curve: fewer do not fill its width
const FIRST_TOKEN_EDGES = [0, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]; // seconds
const STALLED_S = 10;

const share = (part, whole) => (whole > 0 ? `${(100 * part / whole).toFixed(0)} %` : "\u2013");
const seconds = (value) => (value === null ? "\u2013" : value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toFixed(1)} s`);
const rate = (value) => (value === null ? "\u2013" : value < 10 ? value.toFixed(1) : count(Math.round(value)));

function span(total) {
  const minutes = Math.floor(total / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  return days ? `${days} d ${hours % 24} h` : hours ? `${hours} h ${minutes % 60} min` : minutes ? `${minutes} min` : `${Math.floor(total)} s`;
}

export class Watch {
  constructor() {
    this.rates = new Rates();
    this.on = false;
    this.timer = null;
    this.control = null;
    this.heard = null;
    this.state = make("p", { class: "state", role: "status" }, "Asking the server.");
    this.figures = make("dl", { class: "figures" });
    this.boxes = make("div", { class: "boxes" });
    $("watch").append(this.state, this.figures, this.boxes);
    document.addEventListener("visibilitychange", () => this.turn(this.on));
  }

  /** Begin or end asking; nothing is asked while the page cannot be seen. */
  turn(on) {
    this.on = on;
    clearTimeout(this.timer);
    if (this.control) this.control.abort();
    this.control = null;
    if (on && document.visibilityState === "visible") this.ask();
  }

  async ask() {
    const control = new AbortController();
    this.control = control;
    try {
      const status = readStatus(await get("v1/kolossos/status", control.signal));
      if (this.control !== control) return;
      this.heard = performance.now();
      this.rates.add(status, this.heard / 1000);
      this.draw(status);
    } catch (error) {
      if (error.name === "AbortError" || this.control !== control) return;
      const since = this.heard === null ? "" : ` The numbers are ${seconds((performance.now() - this.heard) / 1000)} old.`;
      this.tell(`${error.message}.${since}`, true);
      if (error.status === 401) { this.turn(false); return; }
    }
    this.timer = setTimeout(() => this.ask(), EVERY_MS);
  }

  tell(words, fault) {
    const text = words[0].toUpperCase() + words.slice(1);
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.classList.toggle("error", fault);
  }

  draw(status) {
    const stalled = status.stalled_s > STALLED_S;
    if (!status.alive) this.tell("The engine is dead: the server has to be started again.", true);
    else if (stalled) this.tell(`The engine has been at one step for ${seconds(status.stalled_s)}.`, true);
    else this.tell("The engine is alive.", false);
    const speed = this.rates.perSecond("new_tokens");
    const busy = this.rates.perSecond("busy_s");
    const facts = [
      ["running", count(status.running)],
      ["waiting", count(status.waiting)],
      ["tokens/s now", rate(speed)],
      ["busy now", busy === null ? "\u2013" : share(Math.min(1, busy), 1)],
      ["prompt tokens from the cache", share(status.cached_tokens, status.prompt_tokens)],
      ["requests", count(status.requests)],
      ["cancelled", count(status.cancelled)],
      ["failed", count(status.failed)],
      ["tokens made", count(status.new_tokens)],
      ["up for", span(status.uptime_s)],
    ];
    this.figures.replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    this.boxes.replaceChildren(this.pages(status), this.speed(), batches(status), firstTokens(status));
  }

  pages(status) {
    const { pages, pages_used: used, pages_cached: cached, page_tokens: each } = status;
    const free = Math.max(0, pages - used - cached);
    const words = `Of ${count(pages)} pages of ${count(each)} tokens, ${count(used)} are used, ${count(cached)} cached, ${count(free)} free.`;
    const whole = Math.max(pages, 1);
    return box("Memory for keys and values", words, shares([["used", used / whole], ["cached", cached / whole]], words),
      make("p", { class: "key" }, make("span", { class: "used" }, "used"), make("span", { class: "cached" }, "cached"), make("span", { class: "free" }, "free")));
  }

  speed() {
    const { speeds } = this.rates;
    const words = `Over the last ${count(speeds.length)} s: at most ${rate(Math.max(...speeds, 0))} tokens/s, now ${rate(speeds[speeds.length - 1] || 0)}.`;
    return box("Tokens a second", words, curve(speeds, Math.max(LEAST_POINTS, speeds.length), words));
  }
}

const box = (title, words, ...children) => make("section", {}, make("h2", {}, title), ...children, make("p", { class: "quiet" }, words));

const scale = (names) => make("p", { class: "edges quiet", "aria-hidden": "true" }, ...names.map((name) => make("span", {}, name)));

function batches(status) {
  const sizes = status.batch_sizes;
  if (!sizes.length) return box("Batch sizes", "No step has been made yet.");
  const edges = sizeEdges(Math.max(...sizes));
  const words = `Of the newest ${count(sizes.length)} steps: median ${quantile(sizes, 0.5)} rows, at most ${Math.max(...sizes)}.`;
  const names = edges.map((edge, place) => (place + 1 < edges.length && edges[place + 1] - edge > 1 ? `${edge}\u2013${edges[place + 1] - 1}` : `${edge}`));
  return box("Batch sizes", words, bars(tally(sizes, edges), words), scale(names));
}

/** Edges of at most eight bars from 1 to ``most``. */
function sizeEdges(most) {
  const step = Math.max(1, Math.ceil(most / 8));
  return Array.from({ length: Math.max(1, Math.ceil(most / step)) }, (_, place) => 1 + place * step);
}

function firstTokens(status) {
  const times = status.first_token_s;
  if (!times.length) return box("Time to first token", "No answer has begun yet.");
  const words = `Of the newest ${count(times.length)} answers: median ${seconds(quantile(times, 0.5))}, 95 of 100 within ${seconds(quantile(times, 0.95))}.`;
  const names = FIRST_TOKEN_EDGES.map((edge) => (edge === 0 ? "0 s" : String(edge)));
  return box("Time to first token", words, bars(tally(times, FIRST_TOKEN_EDGES), words), scale(names));
}
