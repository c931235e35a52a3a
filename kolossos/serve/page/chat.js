// The conversation at work: ask, stop, edit, go between branches, ask again. Views draw it; this decides.
import { askAgain } from "./again.js";
import { answer } from "./answer.js";
import { Conversation } from "./conversation.js";
import { $, fill } from "./dom.js";
import { TurnView } from "./turn.js";

export class Chat {
  /** ``changed`` is called after every change that is worth keeping; ``settings`` and ``model`` give today's values. */
  constructor({ settings, model, changed }) {
    Object.assign(this, { settings, model, changed, conversation: new Conversation(), views: new Map(), probabilities: false, work: null, working: null, waits: false });
    this.doing = {
      edit: (turn, text) => this.send(text, turn.parent),
      regenerate: (turn) => this.regenerate(turn),
      retry: (turn) => this.retry(turn),
      choose: (turn, step) => this.choose(turn, step),
      score: (turn) => this.score(turn),
      copy: (turn) => this.copy(turn),
      redraw: () => this.draw(),
    };
  }

  /** Show another conversation; what was being answered is stopped. */
  open(conversation) {
    this.stop();
    this.conversation = conversation;
    this.views.clear();
    this.draw();
    this.changed();
  }

  say(words) { $("said").textContent = words; }

  /** A turn of the person, and the answer to it. False where it cannot be sent now. */
  send(text, parent = this.conversation.last().id) {
    if (this.work || !this.model()) return false;
    if (this.conversation.full) { this.say("This conversation is full: begin a new one."); return false; }
    const asked = this.conversation.add(parent, { role: "user", text });
    this.answer(this.conversation.add(asked.id, { role: "assistant", text: "", asked: { ...this.settings() } }));
    return true;
  }

  regenerate(turn) {
    if (this.work || !this.model() || this.conversation.full) return;
    const asked = { ...this.settings(), seed: this.conversation.nextSeed(turn) };
    this.answer(this.conversation.add(turn.parent, { role: "assistant", text: "", asked }));
  }

  /** Ask once more with today's settings: they may be what was wrong. The seed of a branch stays its own. */
  retry(turn) {
    if (this.work || !this.model()) return;
    const only = this.conversation.siblings(turn).all.length === 1;
    turn.asked = only ? { ...this.settings() } : { ...this.settings(), seed: turn.asked.seed };
    this.answer(turn);
  }

  async answer(turn) {
    Object.assign(turn, { text: "", tokens: null, end: null, fault: null, usage: null, again: null });
    this.say("Answering.");
    const focus = document.activeElement;
    await this.at(turn, async (signal) => {
      this.toEnd(true);
      const before = this.conversation.before(turn);
      Object.assign(turn, await answer({
        model: this.model(), asked: turn.asked, before, probabilities: this.probabilities, signal,
        hear: ({ text, tokens }) => { Object.assign(turn, { text, tokens }); this.drawSoon(turn); },
      }));
    }, (error) => {
      Object.assign(turn, error ? { end: "failed", fault: inWords(error) } : { end: "stopped" });
    });
    this.say(turn.end === "failed" ? `No answer: ${turn.fault}` : `Answer: ${turn.text.slice(0, 2000)}`);
    if (!focus.isConnected || document.activeElement === document.body) $("prompt").focus({ preventScroll: true });
  }

  /** Do work on a turn, one at a time; ``failed`` hears the error, or null where a person stopped it. */
  async at(turn, work, failed) {
    const control = new AbortController();
    this.work = control;
    this.working = turn;
    this.draw();
    try { await work(control.signal); } catch (error) {
      failed(error.name === "AbortError" ? null : error);
    } finally {
      if (this.work === control) { this.work = null; this.working = null; }
      this.draw();
      this.changed();
    }
  }

  stop() {
    if (!this.work) return false;
    this.work.abort();
    return true;
  }

  choose(turn, step) {
    if (this.work) return;
    const shown = this.conversation.choose(turn, step);
    this.draw();
    const view = this.views.get(shown.id);
    (step < 0 ? [view.back, view.on] : [view.on, view.back]).find((one) => !one.disabled).focus();
    this.changed();
  }

  /** The probabilities of an answer that was asked for without them; another answer becomes a branch. */
  async score(turn) {
    if (this.work || !this.model()) return;
    turn.again = null;
    await this.at(turn, (signal) => this.compare(turn, signal, true), (error) => {
      if (error) turn.again = { same: false, words: `Not asked again: ${inWords(error)}.` };
    });
    this.say(turn.again ? turn.again.words : "");
  }

  async compare(turn, signal, probabilities) {
    const before = this.conversation.before(turn);
    const { same, words, got } = await askAgain({ model: this.model(), turn, before, probabilities, signal });
    if (same) {
      if (got.tokens && got.tokens.length) turn.tokens = got.tokens;
      if (got.usage) turn.usage = got.usage;
      turn.again = { same, words };
      return true;
    }
    turn.again = { same, words };
    if (this.conversation.full) return false;
    const chosen = this.conversation.get(turn.parent).chosen;
    const other = this.conversation.add(turn.parent, { role: "assistant", text: got.text, tokens: got.tokens, usage: got.usage || null, end: got.end || "stopped", asked: turn.asked });
    this.conversation.get(turn.parent).chosen = chosen;
    turn.again = { same, words: `${words} It is branch ${this.conversation.siblings(other).place + 1}.` };
    return false;
  }

  /** Ask again for every answer shown: how many are the same, of how many; null if it was stopped or failed. */
  async compareAll(progress) {
    const answers = this.conversation.shown().filter((turn) => turn.role === "assistant" && turn.end !== "failed");
    let same = 0;
    for (const [place, turn] of answers.entries()) {
      if (this.work || !this.model()) return null;
      let whole = true;
      progress(place + 1, answers.length);
      turn.again = null;
      await this.at(turn, async (signal) => { same += await this.compare(turn, signal, this.probabilities); }, (error) => {
        whole = false;
        turn.again = error ? { same: false, words: `Not asked again: ${inWords(error)}.` } : null;
        this.draw();
      });
      if (!whole) return null;
    }
    return { same, of: answers.length };
  }

  async copy(turn) {
    try {
      await navigator.clipboard.writeText(turn.text);
      this.say("Copied.");
    } catch { this.say("This browser does not let a page copy here."); }
  }

  drawSoon(turn) {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      const follows = this.atEnd();
      const view = this.views.get(turn.id);
      if (view && this.working === turn) this.drawView(view);
      this.toEnd(follows);
    });
  }

  atEnd() { return document.documentElement.scrollHeight - scrollY - innerHeight < 80; }

  toEnd(follows) { if (follows && !$("chat").hidden) scrollTo(0, document.documentElement.scrollHeight); }

  drawView(view) {
    const { turn } = view;
    view.draw({ working: this.working === turn, busy: Boolean(this.work), probabilities: this.probabilities, branches: this.conversation.siblings(turn) });
  }

  draw() {
    const follows = this.atEnd();
    const views = this.conversation.shown().map((turn) => {
      if (!this.views.has(turn.id)) this.views.set(turn.id, new TurnView(turn, this.doing));
      return this.views.get(turn.id);
    });
    views.forEach((view) => this.drawView(view));
    fill($("turns"), views.map((view) => view.element));
    $("empty").hidden = views.length > 0;
    $("stop").hidden = !this.work;
    $("send").hidden = Boolean(this.work);
    $("legend").hidden = !this.probabilities;
    this.toEnd(follows);
  }
}

const inWords = (error) => {
  if (error.again) return `${error.message.replace(/\.$/, "")}; the server would be asked again in ${error.again} s`;
  return error.message.replace(/\.$/, "");
};
