// A conversation as the part of an address after "#", which no browser sends to a server: JSON, deflated, base64url.
// Whoever opens a link trusts nobody: everything read here is bounded and checked before anything is shown.
import { checkTurn } from "./conversation.js";
import { isSettings, pickSettings } from "./settings.js";

const MARK = "c1="; // the form of the link; another form gets another mark
export const LONGEST_LINK = 64_000; // characters after "#"
export const MOST_BYTES = 1_000_000; // of JSON, deflated or not
export const MOST_LINK_TURNS = 400;

export const isLink = (fragment) => fragment.startsWith(MARK);

/** The fragment that holds the turns shown and the settings. Throws an Error where they are too long for a link. */
export async function writeLink({ model, settings, turns }) {
  if (turns.length > MOST_LINK_TURNS) throw new Error(`a link holds at most ${MOST_LINK_TURNS} turns`);
  const said = turns.map(({ role, text, end, asked }) => {
    if (role === "user") return { role, text };
    const different = Object.entries(asked).filter(([name, value]) => value !== settings[name]);
    return { role, text, end, asked: Object.fromEntries(different) };
  });
  const bytes = new TextEncoder().encode(JSON.stringify({ model, settings, turns: said }));
  const packed = bytes.length > MOST_BYTES ? null : await squeeze(bytes);
  const fragment = packed && MARK + toBase64(packed);
  if (!fragment || fragment.length > LONGEST_LINK) throw new Error("this conversation is too long for a link");
  return fragment;
}

/** {model, settings, turns} of a fragment. Throws an Error in one line for anything that `writeLink` does not write. */
export async function readLink(fragment) {
  if (!isLink(fragment)) throw new Error("this link holds no conversation");
  if (fragment.length > LONGEST_LINK) throw new Error("this link is too long");
  let found;
  try {
    const bytes = await unsqueeze(fromBase64(fragment.slice(MARK.length)));
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch { throw new Error("this link is damaged"); }
  try { return check(found); } catch (error) { throw new Error(`this link is damaged: ${error.message}`); }
}

function check(found) {
  if (!found || typeof found !== "object") throw new Error("it holds no conversation");
  if (typeof found.model !== "string" || found.model.length > 200) throw new Error("it names no model");
  if (!isSettings(found.settings)) throw new Error("its settings are out of range");
  if (!Array.isArray(found.turns) || found.turns.length > MOST_LINK_TURNS) throw new Error("it has no turns, or too many");
  const settings = pickSettings(found.settings);
  let last = "assistant";
  const turns = found.turns.map((turn) => {
    const asked = turn && typeof turn.asked === "object" ? { ...settings, ...turn.asked } : settings;
    const { role, text, end } = checkTurn({ role: turn.role, text: turn.text, end: turn.end, asked });
    if (role === "assistant" && last !== "user") throw new Error("an answer follows no turn");
    last = role;
    return role === "user" ? { role, text } : { role, text, end: end || "stopped", asked: pickSettings(asked) };
  });
  return { model: found.model, settings, turns };
}

const pipe = (bytes, through) => new Blob([bytes]).stream().pipeThrough(through);

const squeeze = async (bytes) => new Uint8Array(await new Response(pipe(bytes, new CompressionStream("deflate-raw"))).arrayBuffer());

async function unsqueeze(bytes) {
  const reader = pipe(bytes, new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MOST_BYTES) { // a small link may unfold into gigabytes
      await reader.cancel().catch(() => {});
      throw new Error("too long");
    }
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function fromBase64(text) {
  if (!/^[\w-]+$/.test(text)) throw new Error("no base64url");
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
}
