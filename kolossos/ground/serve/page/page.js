// Ask, check, search. Whatever comes from a source is put in as text, never as markup.

const $ = (id) => document.getElementById(id);
const TABS = ["ask", "check", "search"];
const ABOUT = { numbers: "another number", dates: "another date", negation: "the contrary" };
let opened = null; // the button whose quotation is shown
let asked = 0; // the newest request; what answers an older one is dropped

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

async function call(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error?.message ?? `The server answered ${answer.status}.`);
  return found;
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

function about(quotation) {
  const author = quotation.author && quotation.kind === "post" ? `@${quotation.author.replace(/^@/, "")}` : quotation.author;
  const date = quotation.date ? quotation.date.slice(0, 10) : "no date";
  const rated = quotation.status === "CURRENTLY_RATED_HELPFUL" ? "rated helpful" : "";
  return [quotation.title, author, quotation.kind, rated, date].filter(Boolean).join(" · ");
}

function note(text) {
  return make("p", { className: "note", dir: "auto" }, `Note rated helpful: ${text}`);
}

function close() {
  const button = opened;
  opened = null;
  $("source").hidden = true;
  if (button) {
    button.setAttribute("aria-expanded", "false");
    button.focus();
  }
}

function open(quotation, button) {
  if (opened) opened.setAttribute("aria-expanded", "false");
  opened = button;
  button.setAttribute("aria-expanded", "true");
  $("source-title").textContent = quotation.title || `${quotation.kind[0].toUpperCase()}${quotation.kind.slice(1)}${quotation.author ? ` by ${quotation.author}` : ""}`;
  $("source-about").textContent = `${about(quotation)} · characters ${quotation.start}–${quotation.end}`;
  $("source-link").replaceChildren();
  if (/^https?:\/\//i.test(quotation.address)) {
    $("source-link").append(make("a", { href: quotation.address, rel: "noopener noreferrer", target: "_blank" }, quotation.address));
  } else {
    $("source-link").textContent = quotation.address;
  }
  $("source-notes").replaceChildren(...quotation.notes.map((each) => note(each.text)));
  const mark = make("mark", {}, quotation.text);
  $("source-text").replaceChildren(quotation.before, mark, quotation.after);
  $("source").hidden = false;
  $("source").focus({ preventScroll: true });
  const panel = $("source");
  panel.scrollTop = Math.max(0, mark.offsetTop - panel.clientHeight / 3);
}

function cite(quotation, number) {
  const button = make("button", { type: "button", className: "cite", dir: "auto" }, `[${number}] ${about(quotation)}`);
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-controls", "source");
  button.addEventListener("click", () => (opened === button ? close() : open(quotation, button)));
  return button;
}

function quote(quotation, number, className = "answer") {
  const text = make("blockquote", { className: "quote", dir: "auto" }, quotation.text);
  return make("div", { className }, text, cite(quotation, number), ...quotation.notes.map((each) => note(each.text)));
}

function showAnswer(found) {
  const parts = [];
  let number = 0;
  if (!found.found) parts.push(make("p", { className: "none" }, "Not found in these sources."));
  parts.push(...found.quotations.map((each) => quote(each, ++number)));
  for (const each of found.conflicts) {
    parts.push(make("h3", { className: "error" }, `Another source says ${ABOUT[each.about]}`), quote(each, ++number, "answer against"));
  }
  const support = Math.round(found.support * 100);
  const bar = make("div", { className: "bar" }, make("span"));
  bar.firstChild.style.width = `${support}%`;
  bar.setAttribute("aria-hidden", "true");
  const sure = `An answer is in the sources with probability ${found.support.toFixed(2)}`;
  const first = found.right === null ? "" : `, the first quotation holds it with ${found.right.toFixed(2)}`;
  const right = found.found ? first : ` (needed: ${found.least_support})`;
  const by = found.by === "quoting" ? "rules" : found.by;
  parts.push(bar, make("p", { className: "quiet" }, `${sure}${right}; chosen by ${by}.`));
  parts.push(...found.remarks.map((each) => make("p", { className: "quiet" }, each)));
  if (found.left_out) {
    parts.push(make("p", { className: "quiet" }, `Left out: ${found.left_out} ${found.left_out === 1 ? "passage" : "passages"} that gave orders to whoever answers, or repeated the question.`));
  }
  if (found.nearest.length) parts.push(make("h3", {}, "Nearest"), ...found.nearest.map((each) => quote(each, ++number)));
  $("ask-found").replaceChildren(...parts);
}

function showClaims(found) {
  let number = 0;
  const parts = found.claims.map((claim) => {
    const kind = claim.verdict === "not found" ? "unknown" : claim.verdict;
    const chance = claim.probabilities[claim.verdict].toFixed(2);
    const head = make("p", { className: `verdict ${kind}` }, `${claim.verdict} (${chance})`);
    const text = make("p", { dir: "auto" }, claim.claim);
    return make("div", { className: "answer" }, head, text, ...claim.quotations.flatMap((each) => [
      make("blockquote", { className: `quote stance ${each.stance === "not found" ? "unknown" : each.stance}`, dir: "auto" }, each.text),
      cite(each, ++number),
    ]));
  });
  parts.push(...found.remarks.map((each) => make("p", { className: "quiet" }, each)));
  $("check-found").replaceChildren(...parts);
}

function why(result) {
  const parts = [];
  if (result.why["lexical rank"]) parts.push(`words #${result.why["lexical rank"]}`);
  if (result.why["dense rank"]) parts.push(`meaning #${result.why["dense rank"]}`);
  if (result.why.matched.length) parts.push(`has ${result.why.matched.slice(0, 8).join(", ")}`);
  if (result.folded.length) parts.push(`+ ${result.folded.length} near the same`);
  return parts.join("; ");
}

function showResults(found) {
  const parts = found.results.map((result, at) => {
    const text = make("p", { className: "quote", dir: "auto" }, ...result.parts.map(([part, marked]) => (marked ? make("mark", {}, part) : part)));
    const notes = result.place.notes.map((each) => note(each.text));
    return make("div", { className: "answer" }, text, cite(result.place, at + 1), ...notes, make("p", { className: "quiet" }, why(result)));
  });
  $("search-found").replaceChildren(...(parts.length ? parts : [make("p", { className: "none" }, "Nothing found.")]));
}

const WAYS = {
  ask: [(text) => call("v1/ask", { question: text }), showAnswer],
  check: [(text) => call("v1/check", { text }), showClaims],
  search: [(text) => call(`v1/search?q=${encodeURIComponent(text)}`), showResults],
};

async function run(tab) {
  const text = $(`${tab}-text`).value;
  if (!text.trim()) return;
  const mine = ++asked;
  const [fetched, show] = WAYS[tab];
  const button = $(`${tab}-form`).querySelector("button");
  opened = null;
  $("source").hidden = true;
  trouble("");
  button.disabled = true;
  $(`${tab}-found`).replaceChildren(make("p", { className: "quiet" }, "Reading the sources …"));
  if (tab !== "check") history.replaceState(null, "", `#${tab}:${encodeURIComponent(text)}`);
  try {
    const found = await fetched(text);
    if (mine === asked) show(found);
  } catch (error) {
    if (mine === asked) {
      $(`${tab}-found`).replaceChildren();
      trouble(error.message);
    }
  } finally {
    button.disabled = false;
  }
}

function select(tab, focus = false) {
  for (const each of TABS) {
    const chosen = each === tab;
    $(each).hidden = !chosen;
    $(`tab-${each}`).setAttribute("aria-selected", String(chosen));
    $(`tab-${each}`).tabIndex = chosen ? 0 : -1;
  }
  opened = null;
  $("source").hidden = true;
  trouble("");
  if (focus) $(`tab-${tab}`).focus();
}

const current = () => TABS.find((each) => !$(each).hidden);

for (const tab of TABS) {
  $(`tab-${tab}`).addEventListener("click", () => select(tab));
  $(`${tab}-form`).addEventListener("submit", (event) => {
    event.preventDefault();
    run(tab);
  });
}
$("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) select(TABS[(TABS.indexOf(current()) + step + TABS.length) % TABS.length], true);
});
$("check-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run("check");
});
$("close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("source").hidden) return close();
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === "/") {
    event.preventDefault();
    $(`${current()}-text`).focus();
  } else if (/^[1-9]$/.test(event.key)) {
    $(current()).querySelectorAll("button.cite")[Number(event.key) - 1]?.click();
  }
});

call("v1/about").then((found) => {
  const compared = found.vectors ? "words and vectors" : "words alone";
  $("about").textContent = found.model ? `compared by ${compared}; ${found.model} chooses` : `compared by ${compared}`;
}, (error) => trouble(error.message));

const asking = /^#(ask|search):(.*)$/s.exec(location.hash);
if (asking) {
  select(asking[1]);
  try {
    $(`${asking[1]}-text`).value = decodeURIComponent(asking[2]);
    run(asking[1]);
  } catch { /* a link that is no text */ }
} else {
  $("ask-text").focus();
}
