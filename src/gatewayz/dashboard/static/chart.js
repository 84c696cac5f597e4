import { el } from "./dom.js";

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
    said.textContent = points.length ? `${Math.round(100 * points.at(-1))} % now` : "nothing read yet";
    svg.setAttribute("aria-label", `${label}: ${said.textContent}`);
  };
  draw([]);
  return { svg, now: said, draw };
}
