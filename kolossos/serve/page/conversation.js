// A conversation as a tree: a turn that is edited or answered again is another branch, and nothing is lost.
import { isSettings, pickSettings } from "./settings.js";

export const MOST_TURNS = 1000;
export const LONGEST_TEXT = 200_000; // characters of one turn
const ENDS = ["stop", "length", "stopped", "failed"];

export class Conversation {
  constructor() {
    this.turns = new Map([[0, { id: 0, parent: null, children: [], chosen: null }]]);
    this.next = 1;
  }

  get(id) { return this.turns.get(id); }

  get full() { return this.turns.size + 2 > MOST_TURNS; }

  /** A new last branch under ``parent``, shown from now on. */
  add(parent, turn) {
    const added = { tokens: null, asked: null, end: null, fault: null, usage: null, again: null, ...turn, id: this.next, parent, children: [], chosen: null };
    this.next += 1;
    this.turns.set(added.id, added);
    const above = this.turns.get(parent);
    above.children.push(added.id);
    above.chosen = added.id;
    return added;
  }

  /** The turns of the branch that is shown, first to last. */
  shown() {
    const found = [];
    for (let at = this.turns.get(0); at.chosen !== null;) {
      at = this.turns.get(at.chosen);
      found.push(at);
    }
    return found;
  }

  /** The turns that lead to ``turn``, without it. */
  before(turn) {
    const found = [];
    for (let id = turn.parent; id !== 0 && id !== null;) {
      const above = this.turns.get(id);
      found.unshift(above);
      id = above.parent;
    }
    return found;
  }

  last() {
    const shown = this.shown();
    return shown.length ? shown[shown.length - 1] : this.turns.get(0);
  }

  siblings(turn) {
    const all = this.turns.get(turn.parent).children;
    return { all, place: all.indexOf(turn.id) };
  }

  /** Show the branch ``step`` places on; the turn now shown in the place of ``turn``. */
  choose(turn, step) {
    const { all, place } = this.siblings(turn);
    const id = all[Math.min(all.length - 1, Math.max(0, place + step))];
    this.turns.get(turn.parent).chosen = id;
    return this.turns.get(id);
  }

  /** The seed of one more answer in the place of ``turn``: none of its branches has it. */
  nextSeed(turn) {
    const seeds = this.siblings(turn).all.map((id) => this.turns.get(id).asked).filter(Boolean).map((asked) => asked.seed);
    return (Math.max(...seeds) + 1) % 2147483648;
  }

  /** As plain values; without tokens' probabilities where they would take too much room. */
  plain(tokens = true) {
    const turns = [...this.turns.values()].filter((turn) => turn.id !== 0).map((turn) => {
      const { id, parent, role, text, asked, end, fault, usage, chosen } = turn;
      return { id, parent, role, text, asked, end, fault, usage, chosen, tokens: tokens ? turn.tokens : null };
    });
    return { turns, chosen: this.turns.get(0).chosen };
  }

  /** From plain values; throws an Error where they make no conversation. */
  static from(plain) {
    const made = new Conversation();
    if (!plain || !Array.isArray(plain.turns) || plain.turns.length > MOST_TURNS) throw new Error("no conversation");
    const names = new Map([[0, 0]]);
    for (const turn of plain.turns) {
      const kept = checkTurn(turn);
      if (!names.has(turn.parent) || names.has(turn.id)) throw new Error("a turn has no place");
      const whole = kept.role === "assistant" && kept.end === null ? { ...kept, end: "stopped" } : kept;
      const usage = turn.usage && typeof turn.usage === "object" ? turn.usage : null;
      names.set(turn.id, made.add(names.get(turn.parent), { ...whole, tokens: checkTokens(turn.tokens), usage }).id);
    }
    for (const turn of [{ id: 0, chosen: plain.chosen }, ...plain.turns]) {
      const at = made.get(names.get(turn.id)), chosen = names.get(turn.chosen);
      if (at.children.includes(chosen)) at.chosen = chosen;
    }
    return made;
  }
}

/** Role, text, end and settings of a turn from outside, or an Error. */
export function checkTurn(turn) {
  if (!turn || typeof turn !== "object") throw new Error("a turn is no object");
  const { role, text, end = null, asked = null } = turn;
  if (role !== "user" && role !== "assistant") throw new Error("a turn has no role");
  if (typeof text !== "string" || text.length > LONGEST_TEXT) throw new Error("a turn has no text, or too much");
  if (end !== null && !ENDS.includes(end)) throw new Error("a turn ends in an unknown way");
  if (role === "assistant" && !isSettings(asked)) throw new Error("an answer does not say how it was asked for");
  const fault = typeof turn.fault === "string" ? turn.fault.slice(0, 500) : null;
  return { role, text, end, fault, asked: role === "assistant" ? pickSettings(asked) : null };
}

function checkTokens(tokens) {
  const piece = (token) => token && typeof token.text === "string" && typeof token.logprob === "number"
    && (token.bytes === null || (Array.isArray(token.bytes) && token.bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256)));
  if (!Array.isArray(tokens)) return null;
  return tokens.every((token) => piece(token) && Array.isArray(token.top) && token.top.every(piece)) ? tokens : null;
}
