import { ask } from "./api.js";
import { el, field, form } from "./dom.js";

export function explainView(main, { attempt }) {
  const told = el("div", { "aria-live": "polite" });
  const explain = ({ entity, key }) => attempt(async () => {
    const query = new URLSearchParams(key ? { entity, key } : { entity });
    told.replaceChildren(el("pre", { tabindex: 0 }, JSON.stringify(await ask(`/api/system/cache/explain?${query}`), null, 2)));
  });
  main.append(
    el("h1", {}, "Why a read is a hit, or not"),
    form(explain, "Explain", field("Entity", { name: "entity", value: "models:stats", required: true }), field("Key, if it has keys", { name: "key", autocomplete: "off" })),
    told,
  );
}
