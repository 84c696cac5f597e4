import { ask } from "./api.js";
import { dollars, el, field, form, table } from "./dom.js";

export const perMillion = (price) => (price == null ? "unknown" : dollars(1e6 * Number(price)));

export function catalogView(main, { attempt }) {
  const found = el("div");
  const compared = el("section", { "aria-live": "polite" });
  const compare = (model) => attempt(async () => {
    const said = await ask(`/v1/models/${encodeURI(model)}/endpoints`);
    const rows = said.data.endpoints;
    compared.replaceChildren(el("h2", {}, `${model}: price by provider, cheapest first`), table(PRICES, sorted(rows), "Nobody offers it."));
    compared.scrollIntoView({ block: "nearest" });
  });
  const columns = [
    ["Model", (row) => el("button", { type: "button", onclick: () => compare(row.id) }, row.id)],
    ["Provider", (row) => row.provider],
    ["Context", (row) => row.context_length?.toLocaleString("en"), true],
    ["Prompt / M", (row) => perMillion(row.pricing?.prompt), true],
    ["Completion / M", (row) => perMillion(row.pricing?.completion), true],
  ];
  const search = ({ q }) => attempt(async () => {
    const said = await ask(`/v1/models/search?${new URLSearchParams({ ...(q.trim() ? { q } : {}), sort_by: "price", limit: 50 })}`);
    found.replaceChildren(el("p", { class: "quiet" }, `${said.total ?? said.data.length} offers, cheapest first`), table(columns, said.data, "No model has all these words. Try fewer."));
  });
  main.append(el("h1", {}, "Catalog"), form(search, "Search", field("Words in the model or provider", { name: "q" })), compared, found);
  search({ q: "" });
}

const PRICES = [
  ["Provider", (row) => row.provider_name],
  ["Prompt / M", (row) => perMillion(row.pricing?.prompt), true],
  ["Completion / M", (row) => perMillion(row.pricing?.completion), true],
];
const sorted = (rows) => rows.toSorted((a, b) => Number(a.pricing?.prompt ?? Infinity) - Number(b.pricing?.prompt ?? Infinity));
