import { ask } from "./api.js";
import { dollars, el, field, form, table } from "./dom.js";

export function accountsView(main, { attempt }) {
  const shown = el("section", { "aria-live": "polite" });
  const accounts = el("div");
  const keys = el("div");

  const list = () => attempt(async () => {
    const [a, k, c] = await Promise.all([ask("/admin/accounts?limit=100"), ask("/admin/keys?limit=100"), ask("/admin/credits?limit=100")]);
    const balances = new Map(c.data.map((row) => [row.account, row.balance]));
    accounts.replaceChildren(table(accountColumns(balances), a.data, "There is no account yet. Make one above."));
    keys.replaceChildren(table(keyColumns, k.data, "There is no key yet. Make one above."));
  });
  const accountColumns = (balances) => [
    ["Account", (row) => row.username],
    ["Id", (row) => String(row.id), true],
    ["State", (row) => (row.is_active ? "active" : "suspended")],
    ["Plan", (row) => row.plan],
    ["Available", (row) => dollars(balances.get(row.username)?.available ?? 0), true],
  ];
  const keyColumns = [
    ["Key", (row) => `${row.name} …${row.last_four}`],
    ["Account", (row) => row.account],
    ["Scopes", (row) => row.scopes.join(", ")],
    ["", (row) => (row.revoked_at ? "revoked" : el("button", { type: "button", "aria-label": `Revoke ${row.name} …${row.last_four}`, onclick: () => revoke(row) }, "Revoke"))],
  ];
  const revoke = (row) => {
    if (confirm(`Revoke ${row.name} …${row.last_four}? Whoever uses it is refused at once.`))
      attempt(() => ask(`/admin/keys/${row.id}`, { method: "DELETE" })).then(list);
  };
  const makeAccount = ({ username }, made) => attempt(async () => {
    await ask("/admin/accounts", { method: "POST", body: { username } });
    made.reset();
    await list();
  });
  const makeKey = ({ name, account_id }, made) => attempt(async () => {
    const said = await ask("/admin/keys", { method: "POST", body: { name, account_id: Number(account_id) } });
    made.reset();
    await list();
    shown.replaceChildren(el("p", {}, "The new key. It is shown this once: keep it now."), el("p", { class: "secret" }, said.key));
  });
  const grant = ({ account, amount, reason }, made) => attempt(async () => {
    await ask("/admin/credits/grant", { method: "POST", body: { account, amount, reason, reference: reference() } });
    made.reset();
    await list();
  });
  const need = { required: true, autocomplete: "off" };
  main.append(
    el("h1", {}, "Accounts, keys and credits"), shown,
    form(makeAccount, "Make account", field("New account", { name: "username", ...need })),
    form(makeKey, "Make key", field("Name of the key", { name: "name", ...need }), field("Account id", { name: "account_id", type: "number", min: 1, ...need })),
    form(grant, "Grant", field("Account", { name: "account", ...need }), field("US dollars", { name: "amount", inputmode: "decimal", pattern: "[0-9]+(\\.[0-9]+)?", ...need }), field("Reason", { name: "reason", ...need })),
    el("h2", {}, "Accounts"), accounts, el("h2", {}, "Keys"), keys,
  );
  list();
}

// Names the grant, so that one that is sent twice counts once. Also where the page did not come by https.
const reference = () => `dashboard-${[...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
