// Look again and again while the view is shown, more seldom while nobody sees it.
const EVERY = 2000;

export async function repeat(look, { attempt, signal }) {
  await attempt(look);
  if (!signal.aborted) setTimeout(() => signal.aborted || repeat(look, { attempt, signal }), document.hidden ? 5 * EVERY : EVERY);
}
