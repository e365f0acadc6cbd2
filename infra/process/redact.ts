const SECRET =
  /^(?:(?:proxy-)?authorization|cookie|set-cookie|.*(?:token|password|passwd|secret|(?:api|access|private)[-_]?key))$/i;
/** A cursor and a page token are positions, not secrets, and one looks for them in a log. */
const OPEN = /^(?:next)?_?page_?token$/i;
/** Deeper than any field of a log line; what lies below is left out rather than let through. */
const MAX_DEPTH = 8;
/** A caller's text may be as long as a message, and so may an error that repeats it. */
const MAX_TEXT = 2000;
const CENSOR = '[redacted]';

/** A copy of a log line in which the values of secret-looking keys are censored, at any depth and in any case, and long texts cut. */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactFields(fields, 0);
}

function redactFields(fields: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      SECRET.test(key) && !OPEN.test(key) ? CENSOR : redactValue(value, depth + 1),
    ]),
  );
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string' && value.length > MAX_TEXT) {
    return `${value.slice(0, MAX_TEXT)}... (${value.length} characters)`;
  }
  if (Array.isArray(value)) {
    return depth > MAX_DEPTH ? CENSOR : value.map((element) => redactValue(element, depth + 1));
  }
  const isPlain = typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value));
  if (!isPlain) {
    return value;
  }
  return depth > MAX_DEPTH ? CENSOR : redactFields(value, depth);
}
