// Elements from data. What the gateway says becomes text, never markup.
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// `columns`: [heading, row => text or element, is a number].
export function table(columns, rows, empty) {
  if (rows.length === 0) return el("p", { class: "quiet" }, empty);
  const kind = (isNumber) => (isNumber ? { class: "number" } : {});
  const head = columns.map(([name, , isNumber]) => el("th", { scope: "col", ...kind(isNumber) }, name));
  const line = (row) => el("tr", {}, ...columns.map(([, cell, isNumber]) => el("td", kind(isNumber), cell(row) ?? "–")));
  const body = el("tbody", {}, ...rows.map(line));
  return el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": columns[0][0] }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), body));
}

export const tiles = (rows) =>
  el("div", { class: "tiles" }, ...rows.map(([value, label]) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, label))));

// A word and whether it is good news; null for neither.
export const state = (word, isGood) => el("span", { class: isGood == null ? "state" : isGood ? "state good" : "state bad" }, word);

// Two digits of cents, and more where there are more.
export const dollars = (amount) =>
  `$${Number(amount).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`;

export const field = (label, attributes) => el("label", {}, label, el("input", attributes));

export const select = (label, name, options) =>
  el("label", {}, label, el("select", { name, required: true }, ...options.map((option) => el("option", { value: option }, option))));

export function form(submit, label, ...fields) {
  const onsubmit = (event) => {
    event.preventDefault();
    submit(Object.fromEntries(new FormData(event.target)), event.target);
  };
  return el("form", { onsubmit }, ...fields, el("button", { class: "first" }, label));
}

export function say(message = "") {
  document.getElementById("said").textContent = message;
}
