/** The name of a protobuf enum's value, as people write it: `MODEL_KIND_CLASSIFICATION` is `classification`. */
export function nameOf(values: Readonly<Record<string, number>>, prefix: string, value: number): string {
  const name = Object.entries(values).find(([, number]) => number === value)?.[0];
  return name === undefined ? `unknown (${value})` : name.slice(prefix.length).toLowerCase();
}

/** The other way round; undefined for a name that this release does not know. */
export function valueOf<E extends number>(values: Readonly<Record<string, E>>, prefix: string, name: string): E | undefined {
  const key = `${prefix}${name.toUpperCase()}`;
  return Object.hasOwn(values, key) ? values[key] : undefined;
}
