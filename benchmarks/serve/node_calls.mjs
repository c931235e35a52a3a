// Calls by OpenAI's client for Node and by the Vercel AI SDK: a stream with usage, an abort, plain and streamed text.
//
//   npm install openai ai @ai-sdk/openai-compatible
//   node node_calls.mjs http://127.0.0.1:8000/v1 MODEL [KEY]
import assert from "node:assert";
import OpenAI from "openai";
import { generateText, streamText } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

const [base, model, key = "none"] = process.argv.slice(2);
const client = new OpenAI({ baseURL: base, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "Say hi." }];

const stream = await client.chat.completions.create({
  model, messages, max_tokens: 8, stream: true, stream_options: { include_usage: true },
});
let chunks = 0, usage;
for await (const chunk of stream) {
  chunks++;
  if (chunk.usage) usage = chunk.usage;
}
assert(usage.total_tokens === usage.prompt_tokens + usage.completion_tokens);
console.log("openai: stream of", chunks, "chunks, tokens", usage.total_tokens);

const stop = new AbortController();
const long = await client.chat.completions.create(
  { model, messages, max_tokens: 100000, stream: true }, { signal: stop.signal },
);
let heard = 0;
try {
  for await (const _ of long) if (++heard === 3) stop.abort();
} catch (error) {
  assert(error.constructor.name === "APIUserAbortError");
}
console.log("openai: aborted after", heard, "chunks");

const provider = createOpenAICompatible({ name: "kolossos", baseURL: base, apiKey: key, includeUsage: true });
const whole = await generateText({ model: provider(model), prompt: "Say hi.", maxOutputTokens: 8, maxRetries: 0 });
console.log("ai: text", JSON.stringify(whole.text), "tokens", whole.usage.inputTokens, whole.finishReason);
const told = streamText({ model: provider(model), prompt: "Say hi.", maxOutputTokens: 8, maxRetries: 0 });
let pieces = 0;
for await (const _ of told.textStream) pieces++;
assert((await told.usage).outputTokens > 0);
console.log("ai: stream of", pieces, "pieces, tokens", (await told.usage).outputTokens);
