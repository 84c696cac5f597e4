import { el } from "./dom.js";
import { count } from "./words.js";

// A line through shares between 0 and 1, the newest at the right.
const SVG = "http://www.w3.org/2000/svg";

export function lineChart(label) {
  const svg = document.createElementNS(SVG, "svg");
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  for (const [name, value] of [["viewBox", "0 -5 100 110"], ["preserveAspectRatio", "none"], ["class", "chart"], ["role", "img"]])
    svg.setAttribute(name, value);
  const said = el("p", { class: "quiet" });
  const draw = (points) => {
    const step = 100 / Math.max(1, points.length - 1);
    path.setAttribute("d", points.map((y, i) => `${i ? "L" : "M"}${(i * step).toFixed(2)} ${(100 - 100 * y).toFixed(2)}`).join(""));
    said.textContent = points.length ? `${Math.round(100 * points.at(-1))} % now` : "nothing yet";
    svg.setAttribute("aria-label", `${label}: ${said.textContent}`);
  };
  draw([]);
  return { svg, now: said, draw };
}

// Amounts beside each other: [amount, is good news, name]. A row of bars without names, named ones below each other.
export function bars(label, amounts) {
  const most = Math.max(...amounts.map(([amount]) => amount), 1e-9);
  const text = amounts.map(([amount, , name]) => `${name ? `${name} ` : ""}${amount < 10 && !Number.isInteger(amount) ? amount.toFixed(2) : count(Math.round(amount))}`);
  if (amounts.length === 0) return el("p", { class: "quiet" }, "Nothing to show yet.");
  if (amounts[0][2] === undefined) {
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of [["viewBox", `0 0 ${Math.max(20, amounts.length)} 100`], ["preserveAspectRatio", "none"], ["class", "bars"], ["role", "img"], ["aria-label", `${label}: ${text.join(", ")}`]])
      svg.setAttribute(name, value);
    amounts.forEach(([amount, isGood], at) => {
      const bar = svg.appendChild(document.createElementNS(SVG, "rect"));
      const high = Math.max(2, (94 * amount) / most);
      for (const [name, value] of [["x", at + 0.12], ["y", 100 - high], ["width", 0.76], ["height", high], ["class", isGood ? "good" : "bad"]]) bar.setAttribute(name, value);
    });
    return el("figure", {}, svg, el("figcaption", { class: "quiet" }, `${label}; the longest ${most.toFixed(2)} s`));
  }
  return el("dl", { class: "amounts", "aria-label": label }, ...amounts.flatMap(([amount, , name]) => [
    el("dt", {}, name),
    el("dd", {}, el("meter", { min: 0, max: most < 1 ? 1 : most, value: amount, "aria-label": name }), ` ${count(amount)}`),
  ]));
}
