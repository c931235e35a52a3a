// How one turn of a conversation stands on the page: its text or tokens, what came of it, and what can be done with it.
import { button, count, fill, make } from "./dom.js";
import { drawText } from "./text.js";
import { drawTokens } from "./tokens.js";

export class TurnView {
  /** ``doing``: what the buttons call, each with the turn: edit, regenerate, retry, choose (and a step), score, say. */
  constructor(turn, doing) {
    this.turn = turn;
    this.doing = doing;
    this.words = make("div", { class: "body" });
    this.tokens = make("div", { class: "body tokens", role: "group", "aria-label": "Tokens of this answer; arrow keys go through them" });
    this.fault = make("p", { class: "fault error" });
    this.about = make("p", { class: "about quiet" });
    this.branch = make("span", { class: "place" });
    this.back = button("\u2039", () => doing.choose(turn, -1), { class: "step", "aria-label": "Branch before" });
    this.on = button("\u203a", () => doing.choose(turn, 1), { class: "step", "aria-label": "Next branch" });
    this.branches = make("span", { class: "branches", role: "group", "aria-label": "Branches" }, this.back, this.branch, this.on);
    this.actions = make("div", { class: "actions" });
    this.verdict = make("p", { class: "verdict" });
    const mine = turn.role === "user";
    this.element = make("li", { class: `turn ${turn.role}`, "data-id": turn.id },
      make("div", { class: "head" }, make("h2", { class: "who" }, mine ? "You" : "Answer"), mine ? this.actions : null),
      this.words, this.tokens, this.fault, this.verdict, make("div", { class: "foot" }, this.about, mine ? null : this.actions));
    this.made = mine
      ? [button("Edit", () => this.edit())]
      : [button("Regenerate", () => doing.regenerate(turn), { title: "another answer, with the next seed" }), button("Copy", () => doing.copy(turn))];
    this.retry = button("Retry", () => doing.retry(turn), { class: "retry" });
    this.score = button("Show probabilities", () => doing.score(turn), { title: "asks again with the same seed and shows each token's probability" });
  }

  /** ``working``: this turn is being answered. ``busy``: some answer is. ``branches``: {all, place} of `siblings`. */
  draw({ working, busy, probabilities, branches }) {
    const { turn } = this;
    const scored = turn.role === "assistant" && probabilities && turn.tokens && turn.tokens.length > 0;
    this.words.hidden = scored || Boolean(this.editing) || (turn.text === "" && !working);
    this.tokens.hidden = !scored;
    if (scored) drawTokens(this.tokens, turn.tokens); else drawText(this.words, turn.text);
    this.element.classList.toggle("working", working);
    this.element.setAttribute("aria-busy", String(working));
    this.fault.hidden = turn.end !== "failed" || working;
    if (!this.fault.hidden) fill(this.fault, [make("span", {}, `No answer: ${turn.fault}.`.replace(/\.\.$/, ".")), this.retry]);
    this.about.textContent = turn.role === "assistant" && !working ? about(turn) : "";
    this.verdict.textContent = turn.again ? turn.again.words : "";
    this.verdict.className = `verdict ${turn.again && turn.again.same ? "same" : "error"}`;
    const many = branches.all.length > 1;
    this.branch.textContent = `${branches.place + 1}/${branches.all.length}`;
    this.back.disabled = busy || branches.place === 0;
    this.on.disabled = busy || branches.place === branches.all.length - 1;
    const unscored = turn.role === "assistant" && probabilities && !scored && turn.text !== "" && turn.end !== "failed";
    const shown = this.editing ? [] : [many ? this.branches : null, ...this.made, unscored ? this.score : null].filter(Boolean);
    for (const one of [...this.made, this.score, this.retry]) one.disabled = busy;
    this.actions.hidden = working;
    fill(this.actions, shown);
  }

  edit() {
    if (this.editing) return;
    const box = make("textarea", { rows: Math.min(12, this.turn.text.split("\n").length + 1), "aria-label": "This turn, to be changed", maxlength: 200000 });
    box.value = this.turn.text;
    const send = () => { if (box.value.trim() && this.doing.edit(this.turn, box.value)) this.leave(); };
    const form = make("form", { class: "edit" }, box, make("div", { class: "tools" }, make("button", {}, "Send as a new branch"), button("Cancel", () => this.leave(true))));
    form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); this.leave(true); }
      else if (event.key === "Enter" && event.target === box && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    });
    this.editing = form;
    this.words.after(form);
    this.doing.redraw(this.turn);
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }

  leave(focus = false) {
    this.editing.remove();
    this.editing = null;
    this.doing.redraw(this.turn);
    if (focus) this.made[0].focus();
  }
}

function about(turn) {
  const facts = [];
  if (turn.asked) facts.push(`seed ${turn.asked.seed}`);
  if (turn.usage) {
    facts.push(`${count(turn.usage.answer)} tokens`);
    if (turn.usage.cached) facts.push(`${count(turn.usage.cached)} of ${count(turn.usage.prompt)} prompt tokens from the cache`);
  }
  if (turn.end === "length") facts.push("cut: most tokens reached");
  if (turn.end === "stopped") facts.push("stopped");
  if (turn.end === "stop" && turn.text === "") facts.push("the model ended at once");
  return facts.join(" \u00b7 ");
}
