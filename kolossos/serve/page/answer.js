// One answer of the model to a conversation: the request, and what comes of it piece by piece.
import { stream } from "./api.js";

const LONGEST_ANSWER = 2_000_000; // characters; no model that answers here says more
const ALTERNATIVES = 5;

/** The body of the request that asks for the answer to ``before``. */
export function request(model, asked, before, probabilities) {
  const system = asked.system ? [{ role: "system", content: asked.system }] : [];
  const said = before.filter((turn) => turn.text !== "").map((turn) => ({ role: turn.role, content: turn.text }));
  const body = {
    model, messages: [...system, ...said], stream: true, stream_options: { include_usage: true },
    temperature: asked.temperature, top_p: asked.top_p, seed: asked.seed, max_completion_tokens: asked.max_tokens,
  };
  return probabilities ? { ...body, logprobs: true, top_logprobs: ALTERNATIVES } : body;
}

/**
 * Ask for an answer; ``hear`` gets it as it grows: {text, tokens, end, usage}. Returns the whole.
 * tokens is null without probabilities. Throws Fault, or AbortError after ``signal``.
 */
export async function answer({ model, asked, before, probabilities, signal, hear = () => {} }) {
  const got = { text: "", tokens: probabilities ? [] : null, end: null, usage: null };
  for await (const chunk of stream("v1/chat/completions", request(model, asked, before, probabilities), signal)) {
    const choice = Array.isArray(chunk.choices) ? chunk.choices[0] : null;
    if (choice) take(got, choice);
    if (chunk.usage) got.usage = readUsage(chunk.usage);
    if (got.text.length > LONGEST_ANSWER) break;
    hear(got);
  }
  got.end = got.end || "length";
  return got;
}

function take(got, choice) {
  const delta = choice.delta || {};
  if (typeof delta.content === "string") got.text += delta.content;
  const scored = choice.logprobs && Array.isArray(choice.logprobs.content) ? choice.logprobs.content : [];
  if (got.tokens) got.tokens.push(...scored.map(readToken));
  if (choice.finish_reason) got.end = choice.finish_reason === "length" ? "length" : "stop";
}

const readToken = (token) => ({ ...readPiece(token), top: (Array.isArray(token.top_logprobs) ? token.top_logprobs : []).map(readPiece) });

function readPiece({ token, logprob, bytes }) {
  return { text: String(token), logprob: typeof logprob === "number" ? logprob : -9999, bytes: Array.isArray(bytes) ? bytes : null };
}

function readUsage(usage) {
  const details = usage.prompt_tokens_details || {};
  return { prompt: Number(usage.prompt_tokens) || 0, cached: Number(details.cached_tokens) || 0, answer: Number(usage.completion_tokens) || 0 };
}
