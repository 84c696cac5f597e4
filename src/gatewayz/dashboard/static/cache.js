import { ask } from "./api.js";
import { lineChart } from "./chart.js";
import { el, field, form, table } from "./dom.js";
import { parseMetrics } from "./metrics.js";

const EVERY = 2000;
const KEPT = 90;
const HITS = new Set(["hit_l1", "hit_l2", "stale", "negative", "collapsed"]);

export function cacheView(main, { attempt, signal }) {
  const tiles = el("div", { class: "tiles" });
  const entities = el("div");
  const cleared = el("p", { role: "status", class: "quiet" });
  const chart = lineChart("Hit rate of the last three minutes");
  const points = [];
  let before = null;

  const clear = ({ gateway }) => attempt(async () => {
    const said = await ask("/api/system/cache/clear", { method: "POST", body: { gateway } });
    cleared.textContent = said.everywhere
      ? `${gateway}: forgotten by every worker in ${(1000 * said.seconds).toFixed(1)} ms.`
      : `${gateway}: forgotten here; some workers could not be told yet, and will be.`;
  });
  const look = async () => {
    const [text, here] = await Promise.all([ask("/metrics"), ask("/api/system/cache/stats")]);
    const now = figures(parseMetrics(text));
    const change = before && { hits: now.hits - before.hits, reads: now.reads - before.reads };
    before = now;
    if (change?.reads > 0) points.push(change.hits / change.reads);
    points.splice(0, points.length - KEPT);
    chart.draw(points);
    tiles.replaceChildren(...tilesOf(now, here));
    entities.replaceChildren(table(COLUMNS, [...now.entities.values()], "Nothing is cached yet. Send a request."));
  };
  const goOn = async () => {
    await attempt(look);
    if (!signal.aborted) setTimeout(() => signal.aborted || goOn(), document.hidden ? 5 * EVERY : EVERY);
  };
  main.append(
    el("h1", {}, "Live cache"), tiles, el("h2", {}, "Hit rate of the last three minutes"), chart.svg, chart.now,
    el("h2", {}, "By entity, all workers of this host"), entities,
    el("h2", {}, "Forget one gateway's models, in every worker"),
    form(clear, "Clear", field("Gateway, such as openai", { name: "gateway", required: true, autocomplete: "off" })), cleared,
  );
  goOn();
}

const share = (hits, reads) => (reads ? `${((100 * hits) / reads).toFixed(1)} %` : "–");
const COLUMNS = [
  ["Entity", (row) => row.name],
  ["Hit rate", (row) => share(row.hits, row.reads), true],
  ["Reads", (row) => row.reads.toLocaleString("en"), true],
  ["Memory", (row) => row.l1.toLocaleString("en"), true],
  ["Redis", (row) => row.l2.toLocaleString("en"), true],
  ["Load, mean", (row) => (row.loads ? `${((1000 * row.seconds) / row.loads).toFixed(1)} ms` : "–"), true],
  ["Invalidated", (row) => row.invalidated.toLocaleString("en"), true],
];

function tilesOf(now, here) {
  const tile = (value, label) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, label));
  return [
    tile(share(now.hits, now.reads), "hit rate since the start"),
    tile(`$${now.usd.toFixed(4)}`, "saved by kept answers"),
    tile(`${now.seconds.toFixed(1)} s`, "of waiting saved"),
    tile(String(now.invalidated), "invalidations"),
    tile(here.l2, "Redis breaker"),
    tile(here.trusted ? "yes" : "no", "hears other workers"),
    tile(String(now.violations), "consistency violations"),
  ];
}

function figures(lines) {
  const now = { hits: 0, reads: 0, usd: 0, seconds: 0, invalidated: 0, violations: 0, entities: new Map() };
  const of = (name) => {
    const fresh = { name, hits: 0, reads: 0, l1: 0, l2: 0, loads: 0, seconds: 0, invalidated: 0 };
    if (!now.entities.has(name)) now.entities.set(name, fresh);
    return now.entities.get(name);
  };
  const read = {
    gatewayz_cache_requests_total({ entity, result }, value) {
      for (const sum of [now, of(entity)]) {
        sum.reads += value;
        if (HITS.has(result)) sum.hits += value;
      }
      if (result === "hit_l1") of(entity).l1 += value;
      if (result === "hit_l2") of(entity).l2 += value;
    },
    gatewayz_cache_load_seconds_count: ({ entity }, value) => (of(entity).loads += value),
    gatewayz_cache_load_seconds_sum: ({ entity }, value) => (of(entity).seconds += value),
    model_cache_invalidations_total({ entity }, value) {
      now.invalidated += value;
      of(entity).invalidated += value;
    },
    gatewayz_cache_sample_violations_total: (_, value) => (now.violations += value),
    gatewayz_responses_saved_usd_total: (_, value) => (now.usd += value),
    gatewayz_responses_saved_seconds_total: (_, value) => (now.seconds += value),
  };
  for (const [name, labels, value] of lines) read[name]?.(labels, value);
  return now;
}
