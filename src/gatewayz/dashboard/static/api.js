// The one way to the gateway: the session's cookie goes along by itself, its token in a header.
const TOKEN = "gatewayz-token";

export const isSignedIn = () => sessionStorage.getItem(TOKEN) !== null;
export const forget = () => sessionStorage.removeItem(TOKEN);

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function ask(path, { method = "GET", body, headers = {}, alsoRefused = false } = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const answer = await fetch(path, {
    method,
    headers: {
      ...(token ? { "x-csrf-token": token } : {}),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  }).catch(() => {
    throw new Refused(0, "The gateway does not answer. Is it running?");
  });
  const text = await answer.text();
  const said = text && answer.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : text;
  if (!answer.ok && !(alsoRefused && answer.status === 503)) throw new Refused(answer.status, said?.error?.message ?? `The gateway answered ${answer.status}.`);
  return said;
}

export async function signIn(key) {
  const { token } = await ask("/dashboard/session", { method: "POST", headers: { authorization: `Bearer ${key}` } });
  sessionStorage.setItem(TOKEN, token);
}

export async function signOut() {
  await ask("/dashboard/session", { method: "DELETE" }).finally(forget);
}
