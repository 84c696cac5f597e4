import { ask } from "./api.js";
import { lineChart } from "./chart.js";
import { el, state, table, tiles } from "./dom.js";
import { parseMetrics } from "./metrics.js";
import { repeat } from "./repeating.js";
import { count, milliseconds, share } from "./words.js";

const KEPT = 90;
const MADE = new Set(["answered", "failed"]);

export function healthView(main, view) {
  const shown = el("div");
  const checks = el("div");
  const providers = el("div");
  const chart = lineChart("Attempts that succeeded, of the last three minutes");
  const points = [];
  let before = null;

  const look = async () => {
    const [text, { data }, ready] = await Promise.all([ask("/metrics"), ask("/v1/providers"), ask("/health/ready", { alsoRefused: true })]);
    const now = figures(parseMetrics(text));
    const made = before === null ? 0 : now.attempts - before.attempts;
    if (made > 0) points.push(Math.max(0, now.succeeded - before.succeeded) / made);
    before = now;
    points.splice(0, points.length - KEPT);
    chart.draw(points);
    const rows = data.filter((each) => each.is_configured).map((each) => ({ ...each, ...now.of(each.slug) }));
    shown.replaceChildren(tiles([
      [ready.status, "traffic"],
      [count(now.open), "left alone for now"],
      [count(now.opened), "times somebody was, since the start"],
      [count(now.attempts), "attempts at providers"],
      [share(now.attempts ? now.succeeded / now.attempts : null), "of them succeeded"],
    ]));
    checks.replaceChildren(table(CHECKS, Object.entries(ready.checks), "Nothing is checked."));
    providers.replaceChildren(table(PROVIDERS, rows, "No provider is configured."));
  };
  main.append(
    el("h1", {}, "Health"), shown, el("h2", {}, "Attempts that succeeded, of the last three minutes"), chart.svg, chart.now,
    el("h2", {}, "Providers, all workers of this host"), providers,
    el("p", { class: "quiet" }, "Who fails or throttles us is left alone for a while; then one request tries it again. Without traffic nothing is known: that is not the same as well."),
    el("h2", {}, "What this worker needs"), checks,
  );
  repeat(look, view);
}

const CHECKS = [
  ["Check", ([name]) => name],
  ["State", ([, said]) => state(said.status, said.status === "ok")],
  ["Reason", ([, said]) => el("span", { class: "long" }, said.reason ?? "–")],
];
const PROVIDERS = [
  ["Provider", (row) => row.name],
  ["State", (row) => state(...standing(row))],
  ["Left alone", (row) => count(row.left), true],
  ["Attempts", (row) => count(row.attempts), true],
  ["Succeeded", (row) => share(row.attempts ? row.succeeded / row.attempts : null), true],
  ["The rest", (row) => el("span", { class: "long" }, Object.entries(row.rest).map(([outcome, times]) => `${outcome.replaceAll("_", " ")}: ${count(times)}`).join(", ") || "–")],
  ["First token, mean", (row) => milliseconds(row.streams ? row.seconds / row.streams : null), true],
  ["Models", (row) => count(row.models), true],
];

function standing({ left, attempts, succeeded }) {
  if (left) return ["left alone", false];
  if (!attempts) return ["unknown", null];
  return succeeded / attempts < 0.9 ? ["failing", false] : ["answers", true];
}

function figures(lines) {
  const found = new Map();
  const now = { attempts: 0, succeeded: 0, open: 0, opened: 0, of };
  function of(slug) {
    if (!found.has(slug)) found.set(slug, { left: 0, attempts: 0, succeeded: 0, rest: {}, streams: 0, seconds: 0 });
    return found.get(slug);
  }
  const read = {
    gatewayz_attempts_total({ provider, outcome }, value) {
      const row = of(provider);
      for (const sum of [now, row]) {
        if (MADE.has(outcome)) sum.attempts += value;
        if (outcome === "answered") sum.succeeded += value;
      }
      if (outcome !== "answered" && value) row.rest[outcome] = value;
    },
    gatewayz_provider_left_alone: ({ provider }, value) => (of(provider).left = value),
    gatewayz_breakers_open: (_, value) => (now.open = value),
    gatewayz_breakers_opened_total: (_, value) => (now.opened = value),
    gatewayz_first_token_seconds_count({ provider, cache }, value) {
      if (cache === "none" || cache === "miss") of(provider).streams += value;
    },
    gatewayz_first_token_seconds_sum({ provider, cache }, value) {
      if (cache === "none" || cache === "miss") of(provider).seconds += value;
    },
  };
  for (const [name, labels, value] of lines) read[name]?.(labels, value);
  return now;
}
