// The server's HTTP interface: JSON calls and streams of events; every fault is one line for the person.
import { askForKey, heldKey } from "./key.js";

const LONGEST_LINE = 4_000_000; // characters of one event

export class Fault extends Error {
  constructor(message, { status = 0, again = null } = {}) {
    super(message);
    this.status = status;
    this.again = again; // seconds after which the server would like to be asked again
  }
}

const oneLine = (text) => String(text).replace(/\s+/g, " ").trim().slice(0, 500);

export function faultOf(error, fallback) {
  const message = error && typeof error === "object" && typeof error.message === "string" ? error.message : "";
  return oneLine(message) || fallback;
}

async function refused(answer) {
  const body = await answer.json().catch(() => null);
  const again = Number(answer.headers.get("Retry-After")) || null;
  const message = faultOf(body && body.error, `the server answered ${answer.status}`);
  return new Fault(message, { status: answer.status, again });
}

/** An answer with a status of success; asks for a key on 401. Throws Fault, or the browser's AbortError. */
async function reach(path, { body, signal } = {}) {
  for (let tries = 0; ; tries += 1) {
    const key = heldKey();
    const headers = { Accept: "application/json, text/event-stream" };
    if (key) headers.Authorization = "Bearer " + key;
    if (body) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Fault("the server cannot be reached");
    }
    if (answer.ok) return answer;
    const fault = await refused(answer);
    if (fault.status !== 401) throw fault;
    if (heldKey() !== key) continue; // another call was given a key in the meantime
    if (!(await askForKey(key ? "The server does not know this key." : ""))) throw new Fault("a key is needed", { status: 401 });
    if (signal && signal.aborted) throw new DOMException("stopped", "AbortError");
  }
}

/** The JSON of a GET. */
export async function get(path, signal) {
  const answer = await reach(path, { signal });
  try { return await answer.json(); } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault("the server's answer is no JSON");
  }
}

/** The objects of a streamed POST, until its [DONE]. Throws Fault where the stream holds an error or ends too soon. */
export async function* stream(path, body, signal) {
  const answer = await reach(path, { body, signal });
  for await (const data of events(answer.body, signal)) {
    if (data === "[DONE]") return;
    let chunk;
    try { chunk = JSON.parse(data); } catch { throw new Fault("the server's answer is no JSON"); }
    if (chunk && chunk.error) throw new Fault(faultOf(chunk.error, "the server failed"));
    if (chunk && typeof chunk === "object") yield chunk;
  }
  throw new Fault("the connection ended before the answer did");
}

async function* events(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "", data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      held += value;
      if (held.length > LONGEST_LINE) throw new Fault("the server sent an event that is too long");
      const lines = held.split(/\r\n|\n/);
      held = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line === "" && data.length) { const whole = data.join("\n"); data = []; yield whole; }
      }
    }
  } catch (error) {
    if (error instanceof Fault || error.name === "AbortError") throw error;
    if (signal && signal.aborted) throw new DOMException("stopped", "AbortError");
    throw new Fault("the connection broke before the answer ended");
  } finally {
    reader.cancel().catch(() => {});
  }
}
