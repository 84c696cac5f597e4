// Figures as people read them. What is not known is a dash, never a zero.
const known = (form) => (value) => (value == null ? "–" : form(value));

export const count = known((value) => value.toLocaleString("en"));
export const share = known((value) => `${(100 * value).toFixed(1)} %`);
export const milliseconds = known((value) => `${(1000 * value).toFixed(1)} ms`);
export const bytes = known((value) => {
  const power = Math.min(3, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${(value / 1024 ** power).toFixed(power ? 1 : 0)} ${["B", "KB", "MB", "GB"][power]}`;
});
export const span = known((seconds) => {
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
});

// A moment, Unix seconds, as seen from now.
export const since = known((moment) => {
  const ago = Date.now() / 1000 - moment;
  if (Math.abs(ago) < 1) return "now";
  return ago > 0 ? `${span(ago)} ago` : `in ${span(-ago)}`;
});
