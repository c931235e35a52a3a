// The key of a server that asks for one: kept for this tab, sent as a header, never part of an address.
import { $ } from "./dom.js";

const PLACE = "kolossos.key";
let asking = null;

export function heldKey() {
  try { return sessionStorage.getItem(PLACE) || ""; } catch { return ""; }
}

function hold(key) {
  try { sessionStorage.setItem(PLACE, key); } catch { /* a browser without storage asks again after a reload */ }
}

/** Ask the person for a key; true if one was given. Callers that need one at the same time share one dialog. */
export function askForKey(fault) {
  if (!asking) asking = show(fault).finally(() => { asking = null; });
  return asking;
}

function show(fault) {
  const dialog = $("key-dialog"), form = $("key-form"), field = $("key");
  $("key-fault").textContent = fault;
  field.value = "";
  return new Promise((resolve) => {
    let given = false;
    const submit = (event) => {
      event.preventDefault();
      const key = field.value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) { $("key-fault").textContent = "A key has letters, digits and signs, no blanks."; return; }
      hold(key);
      given = true;
      dialog.close();
    };
    const cancel = () => dialog.close();
    form.addEventListener("submit", submit);
    $("key-cancel").addEventListener("click", cancel);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submit);
      $("key-cancel").removeEventListener("click", cancel);
      field.value = "";
      resolve(given);
    }, { once: true });
    dialog.showModal();
    field.focus();
  });
}
