// What stays over a reload, in this browser tab only: each tab has a conversation of its own.
import { Conversation } from "./conversation.js";
import { isSettings, pickSettings } from "./settings.js";

const PLACE = "kolossos.chat";
const MOST = 2_000_000; // characters; browsers give an origin some five million

/** Write it down; false if it is too long for that. Probabilities of tokens go first where room is short. */
export function keep({ conversation, settings, probabilities, draft, tab }) {
  for (const tokens of [true, false]) {
    const text = JSON.stringify({ conversation: conversation.plain(tokens), settings, probabilities, draft, tab });
    if (text.length > MOST) continue;
    try {
      sessionStorage.setItem(PLACE, text);
      return true;
    } catch { /* full, or not allowed: try with less */ }
  }
  try { sessionStorage.removeItem(PLACE); } catch { /* nothing was kept */ }
  return false;
}

/** What was kept, or null where there is nothing that can be used. */
export function kept() {
  try {
    const text = sessionStorage.getItem(PLACE);
    if (!text || text.length > MOST) return null;
    const found = JSON.parse(text);
    return {
      conversation: Conversation.from(found.conversation),
      settings: isSettings(found.settings) ? pickSettings(found.settings) : null,
      probabilities: found.probabilities === true,
      draft: typeof found.draft === "string" ? found.draft : "",
      tab: found.tab === "watch" ? "watch" : "chat",
    };
  } catch { return null; }
}
