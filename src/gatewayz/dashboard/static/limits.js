import { ask } from "./api.js";
import { bars } from "./chart.js";
import { el, field, form, select, table, tiles } from "./dom.js";
import { parseMetrics } from "./metrics.js";
import { count } from "./words.js";

const NAMES = ["requests", "tokens"].flatMap((measure) => ["minute", "hour", "day"].map((window) => `${measure}_per_${window}`)).concat("concurrent");
const WINDOWS = { 0: "at once", 60: "a minute", 3600: "an hour", 86400: "a day" };

export function limitsView(main, { attempt }) {
  const shown = el("div");
  const held = el("section", { "aria-live": "polite" });
  const set = el("div");
  let subjects = new Map();
  let chosen = null;

  const look = () => attempt(async () => {
    const [text, accounts, keys, plans] = await Promise.all([ask("/metrics"), ask("/admin/accounts?limit=100"), ask("/admin/keys?limit=100"), ask("/admin/plans?limit=100")]);
    shown.replaceChildren(...judged(parseMetrics(text)), el("h2", {}, "What was set"), table(SET, rowsOf(accounts.data, keys.data, plans.data), "No plan, account or key has a limit of its own."));
    subjects = new Map([
      ...accounts.data.map((each) => [`account ${each.username}`, `/admin/limits/accounts/${each.id}`]),
      ...keys.data.filter((each) => !each.revoked_at).map((each) => [`key ${each.name} …${each.last_four}`, `/admin/limits/keys/${each.id}`]),
    ]);
    set.replaceChildren(
      form(choose, "Show", select("Account or key", "subject", [...subjects.keys()])),
    );
  });
  const choose = ({ subject }) => attempt(async () => {
    chosen = subject;
    draw(await ask(subjects.get(subject)));
  });
  const draw = ({ own, effective }) => held.replaceChildren(
    el("h2", {}, `${chosen}: what holds`),
    table(EFFECTIVE, effective, "Nothing limits it."),
    form((given) => change(own, given), "Set", select("Limit", "name", NAMES), field("Amount; empty for none of its own", { name: "amount", type: "number", min: 1, autocomplete: "off" }), field("Reason", { name: "reason", required: true, autocomplete: "off" })),
  );
  const change = (own, { name, amount, reason }) => attempt(async () => {
    const { [name]: _former, ...others } = own;
    const limits = amount ? { ...others, [name]: Number(amount) } : others;
    const said = await ask(subjects.get(chosen), { method: "PUT", body: { limits, reason } });
    await look();
    draw(said);
  });
  main.append(el("h1", {}, "Limits"), shown, el("h2", {}, "What holds for one account or key"), set, held);
  look();
}

const EFFECTIVE = [
  ["Limit of", (row) => row.subject],
  ["Measure", (row) => row.measure],
  ["Window", (row) => WINDOWS[row.window] ?? `${row.window} s`],
  ["Amount", (row) => count(row.amount), true],
];
const SET = [
  ["Set for", (row) => row.of],
  ["Limits", (row) => el("span", { class: "long" }, Object.entries(row.limits).map(([name, amount]) => `${name.replaceAll("_", " ")}: ${amount === null ? "lifted" : count(amount)}`).join(", "))],
];

const rowsOf = (accounts, keys, plans) => [
  ...plans.map((each) => ({ of: `plan ${each.name}`, limits: each.limits })),
  ...accounts.map((each) => ({ of: `account ${each.username}`, limits: each.limits })),
  ...keys.filter((each) => !each.revoked_at).map((each) => ({ of: `key ${each.name} …${each.last_four}`, limits: each.limits })),
].filter((each) => Object.keys(each.limits).length);

const WORDS = { admitted: "let in", refused_requests: "refused: requests", refused_tokens: "refused: tokens", refused_concurrent: "refused: at once", unfunded: "refused: credits" };

function judged(lines) {
  const sums = new Map(Object.keys(WORDS).map((outcome) => [outcome, 0]));
  let running = 0;
  let alone = 0;
  for (const [name, labels, value] of lines) {
    if (name === "gatewayz_admissions_total") sums.set(labels.outcome, (sums.get(labels.outcome) ?? 0) + value);
    if (name === "gatewayz_running_requests") running += value;
    if (name === "gatewayz_admissions_local_total") alone += value;
  }
  const refused = [...sums].filter(([outcome]) => outcome !== "admitted");
  return [
    tiles([...[...sums].map(([outcome, value]) => [count(value), WORDS[outcome]]), [count(running), "run under a limit"], [count(alone), "judged without Redis"]]),
    el("h2", {}, "Refused since the start, by why"),
    bars("Requests refused since the start, by why", refused.map(([outcome, value]) => [value, false, WORDS[outcome].replace("refused: ", "")])),
  ];
}
