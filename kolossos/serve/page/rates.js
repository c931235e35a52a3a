// What the server's sums say of this moment: differences between the numbers of one second and the next.
const MOST = 120; // points of a curve: two minutes
const WINDOW_S = 3;

export class Rates {
  constructor() { this.points = []; this.speeds = []; }

  /** Take the numbers of one moment (seconds by this browser's clock). A server that began anew begins a new curve. */
  add(status, now) {
    const last = this.points[this.points.length - 1];
    if (last && (status.new_tokens < last.new_tokens || status.uptime_s < last.uptime_s)) { this.points = []; this.speeds = []; }
    const { new_tokens, prompt_tokens, cached_tokens, busy_s, uptime_s } = status;
    this.points.push({ now, new_tokens, prompt_tokens, cached_tokens, busy_s, uptime_s });
    if (this.points.length > MOST) this.points.shift();
    const speed = this.perSecond("new_tokens");
    if (speed !== null) this.speeds.push(speed);
    if (this.speeds.length > MOST) this.speeds.shift();
  }

  /** The growth of a sum in a second over the last few; null before there are two points. */
  perSecond(name) {
    const last = this.points[this.points.length - 1];
    const first = this.points.find((point) => last.now - point.now <= WINDOW_S + 0.5);
    return first && first !== last && last.now > first.now ? (last[name] - first[name]) / (last.now - first.now) : null;
  }
}

const SUMS = ["uptime_s", "stalled_s", "running", "waiting", "pages", "pages_used", "pages_cached", "page_tokens", "requests",
  "cancelled", "failed", "prompt_tokens", "cached_tokens", "new_tokens", "busy_s"];
const numbers = (values) => (Array.isArray(values) ? values.filter(Number.isFinite) : []);

/** The numbers of an answer of /v1/kolossos/status, the engine's among them or under "engine"; what is missing is 0. */
export function readStatus(body) {
  const all = { ...body, ...(body && body.engine) };
  const sums = Object.fromEntries(SUMS.map((name) => [name, Number.isFinite(all[name]) ? all[name] : 0]));
  return { ...sums, alive: all.alive !== false, batch_sizes: numbers(all.batch_sizes), first_token_s: numbers(all.first_token_s) };
}

export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null;
}

/** How many of ``values`` fall between neighbours of ``edges``, the last one open to the right. */
export function tally(values, edges) {
  return edges.map((edge, place) => values.filter((value) => value >= edge && (place + 1 === edges.length || value < edges[place + 1])).length);
}
