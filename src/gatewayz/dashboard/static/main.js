import { Refused, forget, isSignedIn, signIn, signOut } from "./api.js";
import { el, field, form, say } from "./dom.js";
import { accountsView } from "./accounts.js";
import { cacheView } from "./cache.js";
import { catalogView } from "./catalog.js";
import { explainView } from "./explain.js";
import { healthView } from "./health.js";
import { jobsView } from "./jobs.js";
import { limitsView } from "./limits.js";

const VIEWS = { cache: cacheView, explain: explainView, health: healthView, jobs: jobsView, catalog: catalogView, accounts: accountsView, limits: limitsView };
const main = document.getElementById("view");
const bar = document.getElementById("bar");
let leaving = new AbortController();

// A view fills its element; what it does later ends with the signal. `attempt` runs what may be refused.
function show() {
  leaving.abort();
  leaving = new AbortController();
  say();
  bar.hidden = !isSignedIn();
  if (!isSignedIn()) return main.replaceChildren(signInForm());
  const name = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "cache";
  for (const link of bar.querySelectorAll("nav a"))
    link.hash === `#${name}` ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  main.replaceChildren();
  VIEWS[name](main, { attempt, signal: leaving.signal });
}

async function attempt(work) {
  try {
    const done = await work();
    say();
    return done;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401 && isSignedIn()) {
      forget();
      show();
      say("The session has ended. Sign in again.");
    } else say(error.message);
  }
}

function signInForm() {
  const submit = ({ key }) => attempt(async () => {
    await signIn(key.trim());
    show();
    main.focus();
  });
  const key = field("Admin key", { name: "key", type: "password", required: true, autocomplete: "off" });
  const hint = el("p", { class: "quiet" }, "The key that GATEWAYZ_ADMIN_KEY sets, or one with the scope admin.");
  return el("section", { class: "sign-in" }, el("h1", {}, "Sign in to gatewayz"), form(submit, "Sign in", key), hint);
}

document.getElementById("sign-out").addEventListener("click", () => attempt(signOut).then(show));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", show);
show();
