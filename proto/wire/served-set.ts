import type { AliasName, ModelName } from './names.ts';

export interface ServedSetSettings {
  /** Model names; `*` stands for any run of characters. */
  readonly models: readonly string[];
  readonly aliases: readonly string[];
}

/** Which aliases a server keeps loaded: those of any listed name on any model that matches a pattern. */
export function createServedSet({ models, aliases }: ServedSetSettings): (model: ModelName, alias: AliasName) => boolean {
  const names = new Set<string>(aliases);
  return (model, alias) => names.has(alias) && isServedModel(models, model);
}

export function isServedModel(patterns: readonly string[], model: ModelName): boolean {
  return patterns.some((pattern) => matchesNamePattern(pattern, model));
}

/**
 * Whether `*` in the pattern can stand for what the text has there.
 *
 * Takes the shortest run for each `*` and lengthens only the last one: the steps are bounded by the product of the lengths. Patterns
 * come from peers too, and a regular expression of many `.*` would take for ever on a name that hardly misses it.
 */
export function matchesNamePattern(pattern: string, text: string): boolean {
  let at = 0;
  let inPattern = 0;
  let star: { readonly after: number; from: number } | undefined;
  while (at < text.length) {
    if (pattern[inPattern] === '*') {
      inPattern += 1;
      star = { after: inPattern, from: at };
    } else if (pattern[inPattern] === text[at]) {
      inPattern += 1;
      at += 1;
    } else if (star !== undefined) {
      star.from += 1;
      at = star.from;
      inPattern = star.after;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(inPattern));
}
