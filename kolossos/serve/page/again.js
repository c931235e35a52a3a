// Answers can be reproduced: ask for one again, with its own settings, and say whether it is the same.
import { answer } from "./answer.js";
import { groups } from "./tokens.js";

/**
 * Ask again for ``turn``, an answer to ``before``: {same, words, got}. An answer that was stopped, by a person or an
 * error, is compared as far as it went, and asked for no further. Throws Fault, or AbortError after ``signal``.
 */
export async function askAgain({ model, turn, before, probabilities, signal, hear = () => {} }) {
  const partial = turn.end !== "stop" && turn.end !== "length";
  const enough = new AbortController();
  const pass = () => enough.abort();
  signal.addEventListener("abort", pass, { once: true });
  let got = { text: "", tokens: null };
  try {
    got = await answer({
      model, asked: turn.asked, before, probabilities, signal: enough.signal,
      hear: (part) => {
        got = part;
        hear(part);
        if (partial && part.text.length >= turn.text.length) enough.abort();
      },
    });
  } catch (error) {
    if (signal.aborted || !enough.signal.aborted) throw error;
  } finally { signal.removeEventListener("abort", pass); }
  if (partial) got = { ...got, text: got.text.slice(0, turn.text.length), tokens: got.tokens && tokensOf(got.tokens, turn.text.length), end: turn.end };
  return { ...verdict(turn.text, got.text), got };
}

/** Whether two answers are the same, in words. */
export function verdict(first, second) {
  if (first === second) return { same: true, words: "Asked again: the same answer." };
  let at = 0;
  while (at < first.length && first[at] === second[at]) at += 1;
  return { same: false, words: `Asked again: another answer from character ${at + 1} on.` };
}

/** The first tokens, as far as ``length`` characters go. */
function tokensOf(tokens, length) {
  const found = [];
  let come = 0;
  for (const group of groups(tokens)) {
    if (come >= length) break;
    come += group.text.length;
    found.push(...group.tokens);
  }
  return found;
}
