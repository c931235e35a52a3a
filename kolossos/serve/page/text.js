// A text as elements: paragraphs with their whitespace, and fenced code set apart. Nothing in it is read as markup.
import { fill, make } from "./dom.js";

/** The blocks of a text: {kind: "text" | "code", text, language}. A fence that is still open counts as code. */
export function blocks(text) {
  const found = [];
  let lines = [], fence = null;
  const close = (kind, language = "") => {
    if (lines.length && (kind === "code" || lines.some((line) => line.trim()) || !found.length)) found.push({ kind, text: lines.join("\n"), language });
    lines = [];
  };
  for (const line of text.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^`]*$/.exec(line);
    if (!fence && mark) {
      close("text");
      fence = { mark: mark[1], language: mark[2] };
    } else if (fence && mark && !mark[2] && mark[1].startsWith(fence.mark)) {
      if (!lines.length) lines.push("");
      close("code", fence.language);
      fence = null;
    } else lines.push(line);
  }
  if (fence && !lines.length) lines.push("");
  close(fence ? "code" : "text", fence ? fence.language : "");
  return found;
}

const drawn = new WeakMap(); // of each container, the blocks that stand in it

/** Show ``text`` in ``container``; only what changed since the last time is touched. */
export function drawText(container, text) {
  const before = drawn.get(container) || [];
  const after = blocks(text).map((block, place) => {
    const old = before[place];
    if (old && old.kind === block.kind && old.language === block.language) {
      if (old.text !== block.text) old.node.data = block.text;
      return { ...block, node: old.node, element: old.element };
    }
    const node = document.createTextNode(block.text);
    const element = block.kind === "text" ? make("div", { class: "words" }, node)
      : make("pre", { tabindex: 0, "aria-label": block.language ? `code, ${block.language}` : "code" }, make("code", {}, node));
    return { ...block, node, element };
  });
  drawn.set(container, after);
  fill(container, after.map((block) => block.element));
}
