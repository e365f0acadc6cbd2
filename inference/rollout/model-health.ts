import { DEFAULT_ALIAS } from '../../proto/wire/names.ts';
import type { RolloutStatus } from './rollout.ts';
import { type ServableId, servableId } from './servable.ts';

/**
 * Whether each model serves, by the names that requests have for it: `NAME@alias` and `NAME:version`, and `NAME` for its default
 * alias. An alias serves while any version is loaded for it, be it an older one than the registry wants; a version while it is
 * loaded itself. What this server neither keeps nor was asked for has no name here.
 */
export function modelHealth(
  { aliases, versions }: Pick<RolloutStatus, 'aliases' | 'versions'>,
  isLoaded: (id: ServableId) => boolean,
): Map<string, boolean> {
  const health = new Map<string, boolean>();
  for (const { key, id } of versions) {
    const name = `${key.model}:${key.version}`;
    // Two contents may have one name, where the registry was set up anew.
    health.set(name, isLoaded(id) || health.get(name) === true);
  }
  for (const { desired, serving } of aliases) {
    const isServing = serving !== undefined && isLoaded(servableId(serving));
    health.set(`${desired.model}@${desired.alias}`, isServing);
    if (desired.alias === DEFAULT_ALIAS) {
      health.set(desired.model, isServing);
    }
  }
  return health;
}
