// How an answer is asked for: the values, their bounds, and the form that shows them.
import { $ } from "./dom.js";

export const DEFAULTS = Object.freeze({ system: "", temperature: 0.8, top_p: 1, max_tokens: 256, seed: 0 });
export const LONGEST_SYSTEM = 20_000; // characters

const whole = (least, most) => (value) => Number.isInteger(value) && value >= least && value <= most;
const CHECKS = {
  system: [(value) => typeof value === "string" && value.length <= LONGEST_SYSTEM, `System text has at most ${LONGEST_SYSTEM} characters.`],
  temperature: [(value) => Number.isFinite(value) && value >= 0 && value <= 2, "Temperature is from 0 to 2."],
  top_p: [(value) => Number.isFinite(value) && value > 0 && value <= 1, "Top-p is above 0 and at most 1."],
  max_tokens: [whole(1, 1_000_000), "Most tokens is a whole number, 1 or more."],
  seed: [whole(0, 2_147_483_647), "Seed is a whole number from 0 to 2147483647."],
};
const NAMES = Object.keys(DEFAULTS);

/** Whether these are whole and valid settings. */
export function isSettings(value) {
  return Boolean(value) && typeof value === "object" && NAMES.every((name) => Object.hasOwn(value, name) && CHECKS[name][0](value[name]));
}

/** The settings in ``value`` and nothing else of it. */
export const pickSettings = (value) => Object.fromEntries(NAMES.map((name) => [name, value[name]]));

export class SettingsForm {
  constructor(changed) {
    this.values = { ...DEFAULTS };
    this.chosen = false; // whether a person or a link has set them; if not, they fit themselves to the model
    $("settings-form").addEventListener("input", () => { if (this.read()) { this.chosen = true; changed(); } });
    $("settings-form").addEventListener("submit", (event) => event.preventDefault());
    $("settings-form").addEventListener("focusout", () => { if (this.read()) this.show(this.values); });
    this.show(this.values);
  }

  /** Take what stands in the fields if all of it is valid; else say in one line what is not, and keep the last values. */
  read() {
    const given = {}, faults = [];
    for (const name of NAMES) {
      const text = $(name).value;
      given[name] = name === "system" ? text : text.trim() === "" ? NaN : Number(text);
      const wrong = !CHECKS[name][0](given[name]);
      $(name).setAttribute("aria-invalid", String(wrong));
      if (wrong) faults.push(CHECKS[name][1]);
    }
    $("settings-fault").textContent = faults.join(" ");
    if (faults.length) return false;
    this.values = given;
    return true;
  }

  show(values) {
    this.values = pickSettings(values);
    for (const name of NAMES) if ($(name).value !== String(values[name])) $(name).value = values[name];
    this.read();
  }

  /** An answer takes at most half of the context unless a person wants it otherwise. */
  fitTo(context) {
    if (this.chosen || !(context > 1)) return;
    this.show({ ...this.values, max_tokens: Math.max(1, Math.min(DEFAULTS.max_tokens, Math.floor(context / 2))) });
  }
}
