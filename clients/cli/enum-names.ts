/** The name of a protobuf enum's value, as people write it: `MODEL_KIND_CLASSIFICATION` is `classification`. */
export function nameOf(values: Readonly<Record<string, number>>, prefix: string, value: number): string {
  const name = Object.entries(values).find(([, number]) => number === value)?.[0];
  return name === undefined ? `unknown (${value})` : name.slice(prefix.length).toLowerCase();
}
