import { ask } from "./api.js";
import { el, field, form, state, table } from "./dom.js";
import { span } from "./words.js";

export function explainView(main, { attempt }) {
  const told = el("div", { "aria-live": "polite" });
  const known = el("datalist", { id: "entities" });
  const explain = ({ entity, key }) => attempt(async () => {
    told.replaceChildren();
    const said = await ask(`/api/system/cache/explain?${new URLSearchParams(key ? { entity, key } : { entity })}`);
    told.replaceChildren(...shown(said));
  });
  main.append(
    el("h1", {}, "Why a read is a hit, or not"),
    form(explain, "Explain", field("Entity", { name: "entity", list: "entities", required: true, autocomplete: "off" }), field("Key, if it has keys", { name: "key", autocomplete: "off" })),
    known, told,
  );
  attempt(async () => {
    const { entities } = await ask("/api/system/cache/stats");
    known.replaceChildren(...Object.keys(entities).map((name) => el("option", { value: name })));
  });
}

const shown = (said) => [
  el("div", { class: "tiers" }, tier("Memory of the worker that answered", said.l1), tier("Redis, shared by all workers", said.l2)),
  table(FACTS, factsOf(said), ""),
  el("details", {}, el("summary", {}, "All that was said"), el("pre", { tabindex: 0 }, JSON.stringify(said, null, 2))),
];

const tier = (name, said) => el("section", { class: "tile" },
  el("h2", {}, name), el("p", {}, state(said.is_hit ? "a hit" : "not a hit", said.is_hit), ` ${said.state}`), el("p", {}, `${said.why}.`),
  said.age == null ? null : el("p", { class: "quiet" }, `loaded ${span(said.age)} ago${said.version == null ? "" : `, version ${said.version}`}${said.tags.length ? `, tags ${said.tags.join(", ")}` : ""}`));

const FACTS = [
  ["What", ([name]) => name],
  ["Says", ([, text]) => el("span", { class: "long" }, text)],
];
const factsOf = (said) => [
  ["How a key is written", said.key_form],
  ["Last invalidation", said.last_invalidation ? `${span(said.last_invalidation.seconds_ago)} ago, ${said.last_invalidation.is_whole ? "of every key" : "of this key"}` : "none that this worker heard of"],
  ["Lease on a load", said.lease ? `to ${said.lease.to}, for ${span(said.lease.seconds)} more` : "nobody's"],
  ["Generations", said.generations ? `key ${said.generations.key ?? "none"}, entity ${said.generations.entity ?? "none"}` : "not known"],
  ["Under way here", said.is_loading_here ? "yes" : "no"],
  ["Learned to be fresh for", span(said.learned_ttl.seconds)],
  ["Worker", String(said.worker)],
];
