// Small pictures of numbers, each with the same in words for those who do not see it.
import { make } from "./dom.js";

const WIDE = 300, HIGH = 64;

const picture = (words, ...children) => make("svg:svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": words, class: "chart" },
  make("svg:title", {}, words), ...children);

/** A line through ``values``, from 0 to their greatest; ``room`` points fill the width. */
export function curve(values, room, words) {
  const top = Math.max(...values, 1e-9);
  const at = (value, place) => `${(WIDE * (place + room - values.length) / Math.max(1, room - 1)).toFixed(1)},${(HIGH - 2 - (HIGH - 6) * value / top).toFixed(1)}`;
  const ground = make("svg:line", { x1: 0, x2: WIDE, y1: HIGH - 1, y2: HIGH - 1, class: "ground" });
  return picture(words, ground, values.length > 1 ? make("svg:polyline", { points: values.map(at).join(" "), class: "curve" }) : null);
}

/** A bar for each of ``counts``. */
export function bars(counts, words) {
  const top = Math.max(...counts, 1), step = WIDE / counts.length;
  const ground = make("svg:line", { x1: 0, x2: WIDE, y1: HIGH - 1, y2: HIGH - 1, class: "ground" });
  return picture(words, ground, ...counts.map((number, place) => {
    const high = (HIGH - 6) * number / top;
    return make("svg:rect", { x: (place * step + step * 0.1).toFixed(1), y: (HIGH - 1 - high).toFixed(1), width: (step * 0.8).toFixed(1), height: high.toFixed(1), class: "bar" });
  }));
}

/** Shares of one whole side by side: [[class, share], ...], the rest empty. */
export function shares(parts, words) {
  let from = 0;
  const found = parts.map(([name, share]) => {
    const rect = make("svg:rect", { x: (WIDE * from).toFixed(2), y: 0, width: (WIDE * share).toFixed(2), height: 12, class: name });
    from += share;
    return rect;
  });
  return make("svg:svg", { viewBox: `0 0 ${WIDE} 12`, preserveAspectRatio: "none", role: "img", "aria-label": words, class: "shares" },
    make("svg:title", {}, words), make("svg:rect", { x: 0, y: 0, width: WIDE, height: 12, class: "free" }), ...found);
}
