// The tokens of an answer, shaded by probability; the one that is pointed at or focused shows what else was likely.
import { $, make } from "./dom.js";

const SHADES = [0.9, 0.5, 0.2, 0.05]; // class p0 from 0.9 upwards, p4 below 0.05
const drawn = new WeakMap();

export const percent = (logprob) => {
  const share = 100 * Math.exp(logprob);
  return share > 0 && share < 0.1 ? "< 0.1 %" : `${share.toFixed(1)} %`;
};

const shade = (logprob) => { const place = SHADES.findIndex((least) => Math.exp(logprob) >= least); return "p" + (place < 0 ? SHADES.length : place); };

/** Tokens in groups that make whole characters: [{text, tokens}]. A character may be spread over several tokens. */
export function groups(tokens) {
  const decoder = new TextDecoder("utf-8");
  const found = [];
  let open = null;
  for (const token of tokens) {
    const text = token.bytes ? decoder.decode(Uint8Array.from(token.bytes), { stream: true }) : token.text;
    if (open) { open.text += text; open.tokens.push(token); } else open = { text, tokens: [token] };
    if (text !== "" || (token.bytes && !token.bytes.length)) { found.push(open); open = null; }
  }
  if (open) found.push({ ...open, text: open.text + decoder.decode() });
  return found;
}

/** Show ``tokens`` in ``container``; new ones are added, what stands there stays. */
export function drawTokens(container, tokens) {
  const held = drawn.get(container);
  const all = groups(tokens);
  const same = held && held.length <= all.length && held.every((group, place) => group.text === all[place].text && group.tokens.length === all[place].tokens.length);
  if (!same) container.replaceChildren();
  const first = same ? held.length : 0;
  container.append(...all.slice(first).map((group, place) => element(group, first + place === 0)));
  drawn.set(container, all);
}

function element(group, first) {
  const least = Math.min(...group.tokens.map((token) => token.logprob));
  const span = make("span", { class: `token ${shade(least)}`, role: "button", tabindex: first ? 0 : -1, "aria-describedby": "alternatives" }, group.text);
  span.alternatives = group.tokens;
  return span;
}

/** A token's text with its whitespace made visible; bytes that are no text as numbers. */
export function legible(piece) {
  let text = piece.text;
  if (piece.bytes && piece.bytes.length) {
    try { text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(piece.bytes)); } catch {
      return piece.bytes.map((byte) => "\\x" + byte.toString(16).padStart(2, "0")).join("");
    }
  }
  return text === "" ? "(nothing)" : text.replace(/ /g, "\u2423").replace(/\n/g, "\u21b5").replace(/\t/g, "\u21e5");
}

function rows(token) {
  const same = (piece) => piece.text === token.text && String(piece.bytes) === String(token.bytes);
  const all = token.top.some(same) ? token.top : [...token.top, token];
  return all.map((piece) => make("tr", same(piece) ? { class: "taken" } : {},
    make("td", {}, legible(piece)),
    make("td", {}, percent(piece.logprob)),
    make("td", { class: "quiet" }, same(piece) ? "chosen" : "")));
}

function show(span) {
  const box = $("alternatives");
  box.replaceChildren(...span.alternatives.map((token) => make("table", {}, make("tbody", {}, ...rows(token)))));
  box.hidden = false;
  const at = span.getClientRects()[0] || span.getBoundingClientRect();
  const wide = document.documentElement.clientWidth;
  const below = at.bottom + 6 + box.offsetHeight <= innerHeight || at.top < box.offsetHeight + 6;
  box.style.left = `${Math.max(4, Math.min(at.left, wide - box.offsetWidth - 4))}px`;
  box.style.top = `${below ? at.bottom + 6 : at.top - box.offsetHeight - 6}px`;
}

export function hideAlternatives() { $("alternatives").hidden = true; }

const tokenAt = (event) => (event.target.closest ? event.target.closest(".token") : null);

/** Let the tokens within ``root`` be pointed at, focused and walked through with the arrow keys. */
export function watchTokens(root) {
  root.addEventListener("pointerover", (event) => { if (tokenAt(event)) show(tokenAt(event)); });
  root.addEventListener("pointerout", (event) => {
    if (!tokenAt(event)) return;
    const focused = document.activeElement;
    if (focused && focused.classList.contains("token") && focused.matches(":focus-visible")) show(focused);
    else hideAlternatives();
  });
  root.addEventListener("focusin", (event) => { if (tokenAt(event)) show(tokenAt(event)); });
  root.addEventListener("focusout", (event) => { if (tokenAt(event)) hideAlternatives(); });
  root.addEventListener("keydown", (event) => { if (tokenAt(event)) walk(event, tokenAt(event)); });
  addEventListener("scroll", () => {
    const focused = document.activeElement;
    if (!$("alternatives").hidden && focused && focused.classList.contains("token")) show(focused);
    else hideAlternatives();
  }, { passive: true });
}

function walk(event, from) {
  const all = from.parentElement.children;
  const to = { ArrowRight: from.nextElementSibling, ArrowLeft: from.previousElementSibling, Home: all[0], End: all[all.length - 1] }[event.key];
  if (!to) return;
  event.preventDefault();
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}
