// The openai client for Node and the Vercel AI SDK: node node_calls.mjs BASE MODEL [KEY], in a folder with both installed.
import OpenAI from "openai";
import { generateText, streamText } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

const [base, model, key = "x"] = process.argv.slice(2);
const client = new OpenAI({ baseURL: base, apiKey: key, maxRetries: 0, timeout: 120_000 });
const provider = createOpenAICompatible({ name: "local", baseURL: base, apiKey: key, includeUsage: true });
const messages = [{ role: "user", content: "Name a colour." }];
const asked = { model, messages, max_tokens: 8, temperature: 0 };
let right = 0, all = 0;

async function call(what, work) {
  all += 1;
  let seen;
  try { seen = await work(); } catch (error) { seen = `${error.constructor.name}: ${error.message}`; }
  right += seen === true ? 1 : 0;
  console.log(`  ${seen === true ? "right" : "WRONG"}  ${what}${seen === true ? "" : `: ${String(seen).slice(0, 200)}`}`);
}

await call("openai: chat", async () => {
  const { usage } = await client.chat.completions.create(asked);
  return usage.total_tokens === usage.prompt_tokens + usage.completion_tokens || JSON.stringify(usage);
});
await call("openai: a stream with its usage", async () => {
  const plain = await client.chat.completions.create(asked);
  let text = "", usage = null;
  for await (const chunk of await client.chat.completions.create(
    { ...asked, stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return (text === plain.choices[0].message.content && usage?.total_tokens === plain.usage.total_tokens)
    || JSON.stringify({ text, usage });
});
await call("openai: aborted", async () => {
  const abort = new AbortController();
  const stream = await client.chat.completions.create(
    { ...asked, max_tokens: 400, stream: true }, { signal: abort.signal });
  let chunks = 0;
  try {
    for await (const _ of stream) { chunks += 1; if (chunks === 2) abort.abort(); }
  } catch (error) { return error.constructor.name === "APIUserAbortError" || error.constructor.name; }
  return chunks < 400 || "the whole answer came";
});
await call("openai: the next chat after an abort", async () =>
  (await client.chat.completions.create(asked)).choices.length === 1);
await call("AI SDK: generateText", async () => {
  const answer = await generateText({ model: provider(model), prompt: "Name a colour.", maxOutputTokens: 8, maxRetries: 0 });
  return (answer.usage.inputTokens > 0 && ["stop", "length"].includes(answer.finishReason)) || JSON.stringify(answer.usage);
});
await call("AI SDK: streamText", async () => {
  const answer = streamText({ model: provider(model), prompt: "Name a colour.", maxOutputTokens: 8, maxRetries: 0 });
  for await (const _ of answer.textStream) { /* read it */ }
  const usage = await answer.usage;
  return usage.outputTokens > 0 || JSON.stringify(usage);
});
console.log(`Node: ${right} of ${all}`);
process.exit(right === all ? 0 : 1);
