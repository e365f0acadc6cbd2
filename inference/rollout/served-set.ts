import type { AliasName, ModelName } from '../../proto/wire/names.ts';

export interface ServedSetSettings {
  /** Model names; `*` stands for any run of characters. */
  readonly models: readonly string[];
  readonly aliases: readonly string[];
}

/** Which aliases a server keeps loaded: those of any listed name on any model that matches a pattern. */
export function createServedSet({ models, aliases }: ServedSetSettings): (model: ModelName, alias: AliasName) => boolean {
  const patterns = models.map(toPattern);
  const names = new Set<string>(aliases);
  return (model, alias) => names.has(alias) && patterns.some((pattern) => pattern.test(model));
}

function toPattern(text: string): RegExp {
  const literal = text.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${literal.join('.*')}$`);
}
