import { ask } from "./api.js";
import { lineChart } from "./chart.js";
import { el, state, table, tiles } from "./dom.js";
import { parseMetrics } from "./metrics.js";
import { repeat } from "./repeating.js";
import { count, milliseconds, share, since } from "./words.js";

const KEPT = 90;
const GOOD = { healthy: true, degraded: false, down: false, unknown: null };

export function healthView(main, view) {
  const shown = el("div");
  const checks = el("div");
  const providers = el("div");
  const unwell = el("div");
  const chart = lineChart("Attempts that succeeded, of the last three minutes");
  const points = [];
  let before = null;

  const look = async () => {
    const [text, told, ready] = await Promise.all([ask("/metrics"), ask("/health/dashboard"), ask("/health/ready", { alsoRefused: true })]);
    const now = attempts(parseMetrics(text));
    const made = before === null ? 0 : now.made - before.made;
    if (made > 0) points.push(Math.max(0, now.answered - before.answered) / made);
    before = now;
    points.splice(0, points.length - KEPT);
    chart.draw(points);
    shown.replaceChildren(tiles([
      [ready.status, "traffic"],
      [told.summary.status, "providers together"],
      [share(told.summary.uptime), "of half an hour's attempts succeeded"],
      [count(now.open), "left alone for now"],
      [count(told.unwell.length), "models degraded or down"],
    ]));
    providers.replaceChildren(table(PROVIDERS, told.providers, "No provider is configured."));
    unwell.replaceChildren(table(UNWELL, told.unwell, "No model is known to be unwell."));
    checks.replaceChildren(table(CHECKS, Object.entries(ready.checks), "Nothing is checked."));
  };
  main.append(
    el("h1", {}, "Health"), shown, el("h2", {}, "Attempts that succeeded, of the last three minutes"), chart.svg, chart.now,
    el("h2", {}, "Providers, as all workers find them"), providers,
    el("p", { class: "quiet" }, "Who fails or throttles us is left alone for a while; then one request tries it again. Without traffic nothing is known: that is not the same as well."),
    el("h2", {}, "Models that are unwell"), unwell,
    el("h2", {}, "What this worker needs"), checks,
  );
  repeat(look, view);
}

const FARED = [
  ["State", (row) => state(row.status, GOOD[row.status])],
  ["Why", (row) => el("span", { class: "long" }, row.reason)],
  ["Since", (row) => since(row.since)],
  ["Succeeded", (row) => share(row.uptime), true],
  ["Answer, p50", (row) => milliseconds(row.latency?.p50), true],
  ["p95", (row) => milliseconds(row.latency?.p95), true],
  ["First token, p50", (row) => milliseconds(row.first_token?.p50), true],
];
const PROVIDERS = [["Provider", (row) => row.name], ...FARED];
const UNWELL = [["Model", (row) => `${row.provider}/${row.provider_model_id}`], ...FARED];
const CHECKS = [
  ["Check", ([name]) => name],
  ["State", ([, said]) => state(said.status, said.status === "ok")],
  ["Reason", ([, said]) => el("span", { class: "long" }, said.reason ?? "–")],
];

function attempts(lines) {
  const now = { made: 0, answered: 0, open: 0 };
  const read = {
    gatewayz_attempts_total({ outcome }, value) {
      if (outcome === "answered" || outcome === "failed") now.made += value;
      if (outcome === "answered") now.answered += value;
    },
    gatewayz_breakers_open: (_, value) => (now.open = value),
  };
  for (const [name, labels, value] of lines) read[name]?.(labels, value);
  return now;
}
