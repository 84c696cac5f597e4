import { ask } from "./api.js";
import { lineChart } from "./chart.js";
import { el, field, form, table, tiles } from "./dom.js";
import { repeat } from "./repeating.js";
import { bytes, count, milliseconds, share, span } from "./words.js";

const KEPT = 90;

export function cacheView(main, view) {
  const remarks = el("div", { role: "status" });
  const shown = el("div");
  const entities = el("div");
  const cleared = el("p", { role: "status", class: "quiet" });
  const chart = lineChart("Hit rate of the last three minutes");
  const points = [];
  let before = null;

  const clear = ({ gateway }) => view.attempt(async () => {
    const said = await ask("/api/system/cache/clear", { method: "POST", body: { gateway } });
    cleared.textContent = said.everywhere
      ? `${gateway}: forgotten by every worker in ${(1000 * said.seconds).toFixed(1)} ms.`
      : `${gateway}: forgotten here; some workers could not be told yet, and will be.`;
  });
  const look = async () => {
    const [stats, status] = await Promise.all([ask("/api/system/cache/stats"), ask("/admin/cache-status")]);
    const { total } = stats;
    const reads = before === null ? 0 : total.reads - before.reads;
    if (reads > 0) points.push(Math.max(0, total.hits - before.hits) / reads);
    before = total;
    points.splice(0, points.length - KEPT);
    chart.draw(points);
    remarks.replaceChildren(...status.remarks.map((remark) => el("p", { class: "remark" }, remark)));
    shown.replaceChildren(tiles(tilesOf(stats, status)));
    const rows = Object.entries(stats.entities).filter(([, row]) => row.reads || row.memory.entries);
    entities.replaceChildren(table(COLUMNS, rows, "Nothing is cached yet. Send a request."));
  };
  main.append(
    el("h1", {}, "Live cache"), remarks, shown, el("h2", {}, "Hit rate of the last three minutes"), chart.svg, chart.now,
    el("h2", {}, "By entity, all workers of this host"), entities,
    el("p", { class: "quiet" }, "Saved: hits times the mean load; for chat what the answers took when they were made. In Redis: estimated."),
    el("h2", {}, "Forget one gateway's models, in every worker"),
    form(clear, "Clear", field("Gateway, such as openai", { name: "gateway", required: true, autocomplete: "off" })), cleared,
  );
  repeat(look, view);
}

const COLUMNS = [
  ["Entity", ([name]) => name],
  ["Hit rate", ([, row]) => share(row.hit_rate), true],
  ["Reads", ([, row]) => count(row.reads), true],
  ["Memory", ([, row]) => count(row.memory.hits), true],
  ["Redis", ([, row]) => count(row.redis?.hits), true],
  ["Missed", ([, row]) => count(row.misses), true],
  ["Load, mean", ([, row]) => milliseconds(row.source.mean_seconds), true],
  ["Age, mean", ([, row]) => span(row.memory.age.mean), true],
  ["Entries", ([, row]) => count(row.memory.entries), true],
  ["Size", ([, row]) => bytes(row.memory.bytes), true],
  ["In Redis", ([, row]) => count(row.redis?.entries), true],
  ["Invalidated", ([, row]) => count(row.invalidations), true],
  ["Saved", ([, row]) => span(row.saved_seconds), true],
];

const tilesOf = ({ total, entities, workers, redis, invalidations, consistency }, status) => [
  [share(total.hit_rate), "hit rate since the start"],
  [share(status.now.hit_rate), "hit rate of the last minute"],
  [`$${Number(total.saved_usd).toFixed(4)}`, "saved by kept answers"],
  [span(entities.chat.saved_seconds), "of waiting saved by them"],
  [`${workers.answering} of ${workers.of}`, "workers answered"],
  [redis === null ? "none" : breakerOf(redis.breaker), "Redis breaker"],
  [invalidations.hears_others ? "yes" : "no", "hear each other"],
  [share(status.fill), "of memory full"],
  [count(invalidations.count), "invalidations"],
  [count(status.outbox), "changes that wait"],
  [count(consistency.violations), "consistency violations"],
];

// The worst of all workers'.
const breakerOf = (workers) => ["open", "half_open", "closed"].find((state) => workers[state]) ?? "–";
