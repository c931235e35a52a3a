// The page as a whole: the model at the other end, the two tabs, the keyboard, and what stays over a reload.
import { get } from "./api.js";
import { Chat } from "./chat.js";
import { Conversation } from "./conversation.js";
import { $, button, count } from "./dom.js";
import { keep, kept } from "./keep.js";
import { isLink, readLink, writeLink } from "./link.js";
import { SettingsForm } from "./settings.js";
import { hideAlternatives, watchTokens } from "./tokens.js";
import { Watch } from "./watch.js";

const known = { model: "", tab: "chat", writing: null, linked: null };
const settings = new SettingsForm(() => changed());
const chat = new Chat({ settings: () => settings.values, model: () => known.model, changed: () => changed() });
const watch = new Watch();

function changed() {
  clearTimeout(known.writing);
  known.writing = setTimeout(write, 250);
}

function write() {
  clearTimeout(known.writing);
  const whole = keep({ conversation: chat.conversation, settings: settings.values, probabilities: chat.probabilities, draft: $("prompt").value, tab: known.tab });
  if (!whole) trouble("This conversation is too long to be kept over a reload.");
}

function trouble(words, ...more) {
  $("trouble").replaceChildren(words, ...more);
  $("trouble").hidden = words === "";
}

async function meetModel() {
  trouble("");
  try {
    const models = await get("v1/models");
    known.model = String(models.data[0].id);
    $("model").textContent = known.model;
    if (known.linked !== null) linkedNotice();
  } catch (error) {
    trouble(`No model: ${error.message || "the list is empty"}. `, button("Retry", meetModel));
    return;
  }
  try {
    const status = await get("v1/kolossos/status");
    $("base").hidden = status.trained_on_chats !== false;
    if (status.context > 0) {
      $("model").textContent = `${known.model}, ${count(status.context)} tokens of context`;
      settings.fitTo(status.context);
    }
  } catch { /* another server of the same interface: chat works without its numbers */ }
}

function showTab(name, focus = false) {
  known.tab = name;
  for (const one of ["chat", "watch"]) {
    $(one).hidden = one !== name;
    $(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    $(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
  $("skip").hidden = name !== "chat";
  if (focus) $(`tab-${name}`).focus();
  watch.turn(name === "watch");
  changed();
}

function linkNotice(...children) {
  known.linked = null;
  $("from-link").replaceChildren(...children);
  $("from-link").hidden = children.length === 0;
}

/** What the address holds after "#": shown at once in an empty tab, else offered; then taken out of the address. */
async function openLink() {
  const fragment = location.hash.slice(1);
  if (!isLink(fragment)) return;
  history.replaceState(null, "", location.pathname + location.search);
  showTab("chat");
  let found;
  try { found = await readLink(fragment); } catch (error) {
    linkNotice(`Nothing was opened: ${error.message}. `, button("Close", () => linkNotice()));
    return;
  }
  if (!chat.conversation.shown().length) { showLinked(found); return; }
  linkNotice("The link holds another conversation, which would take the place of this one. ",
    button("Open it", () => showLinked(found)), " ", button("Keep this one", () => linkNotice()));
}

function showLinked({ model, settings: values, turns }) {
  const conversation = new Conversation();
  let at = 0;
  for (const turn of turns) at = conversation.add(at, turn).id;
  settings.chosen = true;
  settings.show(values);
  chat.open(conversation);
  known.linked = model;
  linkedNotice();
}

function linkedNotice() {
  const model = known.linked;
  const other = model && known.model && model !== known.model ? ` It was made with ${model}; here is ${known.model}: its answers may differ.` : "";
  linkNotice(`This conversation came with a link.${other} Answers can be reproduced. `,
    button("Ask again and compare", compare), " ", button("Close", () => linkNotice()));
  known.linked = model;
}

async function compare() {
  if (chat.work) return;
  const { conversation } = chat;
  const found = await chat.compareAll((place, of) => linkNotice(`Asking again: answer ${place} of ${of}.`));
  if (chat.conversation !== conversation) return;
  const words = found ? `${found.same} of ${found.of} answers are the same.` : "Not all answers were asked for again.";
  linkNotice(`${words} `, button("Ask again and compare", compare), " ", button("Close", () => linkNotice()));
}

async function copyLink() {
  const field = $("link");
  field.hidden = true;
  try {
    const fragment = await writeLink({ model: known.model, settings: settings.values, turns: chat.conversation.shown() });
    field.value = `${location.origin}${location.pathname}#${fragment}`;
  } catch (error) {
    $("copied").textContent = `No link: ${error.message}.`;
    return;
  }
  field.hidden = false;
  try {
    await navigator.clipboard.writeText(field.value);
    $("copied").textContent = "Copied: the turns shown and the settings are in the link itself.";
  } catch {
    field.select();
    $("copied").textContent = "This browser does not let a page copy here: the link stands below.";
  }
}

/** An empty conversation; the one before can be had back until something else takes the notice's place. */
function beginAnew() {
  const before = chat.conversation;
  $("link").hidden = true;
  $("copied").textContent = "";
  chat.open(new Conversation());
  linkNotice();
  if (before.shown().length) linkNotice("A new conversation. ", button("Bring the last one back", () => { linkNotice(); chat.open(before); }), " ", button("Close", () => linkNotice()));
  $("prompt").focus();
}

function begin() {
  $("compose").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("prompt").value;
    if (text.trim() && chat.send(text)) $("prompt").value = "";
    changed();
  });
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!chat.work) $("compose").requestSubmit();
  });
  $("prompt").addEventListener("input", changed);
  $("stop").addEventListener("click", () => { chat.stop(); $("prompt").focus(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || $("key-dialog").open) return;
    if (!chat.stop()) hideAlternatives();
  });
  $("new").addEventListener("click", beginAnew);
  $("copy-link").addEventListener("click", copyLink);
  $("probabilities").addEventListener("change", () => { chat.probabilities = $("probabilities").checked; hideAlternatives(); chat.draw(); changed(); });
  for (const name of ["chat", "watch"]) $(`tab-${name}`).addEventListener("click", () => showTab(name));
  $("tabs").addEventListener("keydown", (event) => {
    if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) {
      event.preventDefault();
      showTab(event.key === "Home" ? "chat" : event.key === "End" ? "watch" : known.tab === "chat" ? "watch" : "chat", true);
    }
  });
  watchTokens($("turns"));
  addEventListener("beforeunload", () => chat.stop()); // else the browser breaks the connection, which would look like a fault
  addEventListener("pagehide", write);
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") write(); });
  addEventListener("hashchange", openLink);
  $("settings").open = matchMedia("(min-width: 60.01rem)").matches;
}

async function start() {
  begin();
  const found = kept();
  if (found) {
    if (found.settings) { settings.chosen = true; settings.show(found.settings); }
    chat.probabilities = $("probabilities").checked = found.probabilities;
    $("prompt").value = found.draft;
    chat.open(found.conversation);
  } else chat.draw();
  showTab(found ? found.tab : "chat");
  await Promise.all([openLink(), meetModel()]);
  if (!document.activeElement || document.activeElement === document.body) $("prompt").focus({ preventScroll: true });
}

start();
