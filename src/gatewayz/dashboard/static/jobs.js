import { ask } from "./api.js";
import { bars } from "./chart.js";
import { el, state, table } from "./dom.js";
import { repeat } from "./repeating.js";
import { since, span } from "./words.js";

const GOOD = new Set(["succeeded", "running", "waiting"]);

export function jobsView(main, view) {
  const list = el("div");
  const asked = el("p", { role: "status", class: "quiet" });
  const history = el("section", { "aria-live": "polite" });
  let chosen = null;

  const run = (job, dry_run) => view.attempt(async () => {
    const said = await ask(`/admin/jobs/${encodeURIComponent(job.name)}/run`, { method: "POST", body: { dry_run } });
    asked.textContent = `${job.name}: run ${said.run} is asked for${dry_run ? ", dry" : ""}.`;
    await look();
  });
  const choose = (name) => {
    chosen = name;
    view.attempt(look).then(() => history.scrollIntoView({ block: "nearest" }));
  };
  const columns = [
    ["Job", (job) => el("button", { type: "button", title: job.description, onclick: () => choose(job.name) }, job.name)],
    ["State", (job) => (job.last ? state(job.last.state, GOOD.has(job.last.state)) : "never ran")],
    ["Last run", (job) => since(job.last?.began_at)],
    ["Took", (job) => span(job.last?.duration), true],
    ["Result", (job) => el("span", { class: "long" }, resultOf(job.last))],
    ["Next run", (job) => since(job.next_due)],
    ["Failed", (job) => String(job.failures), true],
    ["", (job) => el("span", { class: "buttons" }, runButton(job, false), job.can_be_dry ? runButton(job, true) : null)],
  ];
  const runButton = (job, isDry) =>
    el("button", { type: "button", "aria-label": `Run ${job.name} now${isDry ? ", dry" : ""}`, onclick: () => run(job, isDry) }, isDry ? "Dry run" : "Run now");
  const look = async () => {
    const { data } = await ask("/admin/jobs");
    keepingFocus(list, () => list.replaceChildren(table(columns, data, "No process has held the jobs yet; it is elected within seconds.")));
    if (chosen === null) return;
    const { runs } = await ask(`/admin/jobs/${encodeURIComponent(chosen)}?limit=40`);
    const past = runs.filter((each) => each.duration != null).reverse();
    history.replaceChildren(
      el("h2", {}, `${chosen}: its runs, the newest first`),
      bars(`Seconds that runs of ${chosen} took, the newest at the right`, past.map((each) => [each.duration, each.state === "succeeded"])),
      table(RUNS, runs, "It has not run yet."),
    );
  };
  main.append(el("h1", {}, "Jobs of the fleet"), el("p", { class: "quiet" }, "One elected process runs them for all. Press a job for its history."), asked, list, history);
  repeat(look, view);
}

const RUNS = [
  ["Run", (run) => String(run.id)],
  ["State", (run) => state(run.state + (run.dry_run ? " (dry)" : ""), GOOD.has(run.state))],
  ["Began", (run) => since(run.began_at)],
  ["Took", (run) => span(run.duration), true],
  ["Result", (run) => el("span", { class: "long" }, resultOf(run))],
  ["Asked by", (run) => run.asked_by],
];

const resultOf = (run) => (run?.result ? pairs(run.result) : run?.reason ?? run?.progress ?? "–");
const pairs = (result) => Object.entries(result).map(([name, value]) => `${name}: ${listed(value)}`).join("; ") || "–";
const listed = (value) => {
  if (Array.isArray(value)) return value.map(listed).join(", ");
  if (value !== null && typeof value === "object") return Object.entries(value).map(([name, each]) => `${name} ${listed(each)}`).join(", ") || "none";
  return String(value);
};

// Who goes through a table by the keyboard stays where they are when it is drawn anew.
function keepingFocus(within, draw) {
  const had = within.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  draw();
  if (had) [...within.querySelectorAll("button")].find((each) => nameOf(each) === had)?.focus();
}

const nameOf = (element) => element.getAttribute("aria-label") ?? element.textContent;
