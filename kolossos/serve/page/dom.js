// Elements by hand. Text goes in as text nodes only: nothing a model writes is ever read as markup.
export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

export function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const button = (text, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, text);

/** Put ``children`` into ``parent`` unless they stand there already: focus, selection and scroll stay. */
export function fill(parent, children) {
  const same = parent.children.length === children.length && children.every((child, place) => parent.children[place] === child);
  if (!same) parent.replaceChildren(...children);
}

export const count = (number) => Number(number).toLocaleString("en");
