import type { AliasName, ModelName } from '../../proto/wire/names.ts';
import type { DesiredAlias, SourceEvent } from './model-source.ts';

export type AliasKey = string;

export function aliasKey(model: ModelName, alias: AliasName): AliasKey {
  return `${model}@${alias}`;
}

/** All aliases as the registry last said. Silence changes nothing; only a snapshot that leaves an alias out removes it. */
export class AliasTable {
  #aliases = new Map<AliasKey, DesiredAlias>();

  constructor(aliases: readonly DesiredAlias[]) {
    this.#set(aliases);
  }

  apply(event: SourceEvent): void {
    switch (event.kind) {
      case 'snapshot':
        this.#set(event.aliases);
        break;
      case 'change': {
        const key = aliasKey(event.alias.model, event.alias.alias);
        const known = this.#aliases.get(key);
        // A replayed change may be older than the snapshot.
        if (known === undefined || event.alias.revision > known.revision) {
          this.#aliases.set(key, event.alias);
        }
        break;
      }
      case 'prefetch':
      case 'alive':
        break;
    }
  }

  get(model: ModelName, alias: AliasName): DesiredAlias | undefined {
    return this.#aliases.get(aliasKey(model, alias));
  }

  all(): DesiredAlias[] {
    return [...this.#aliases.values()];
  }

  #set(aliases: readonly DesiredAlias[]): void {
    this.#aliases = new Map(aliases.map((alias) => [aliasKey(alias.model, alias.alias), alias]));
  }
}
