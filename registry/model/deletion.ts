import type { ModelName } from '../../proto/wire/names.ts';
import type { Actor } from './alias.ts';

/** What stays known of a version that was deleted; its number is never given again. */
export interface Deletion {
  readonly model: ModelName;
  readonly version: number;
  readonly actor: Actor;
  readonly reason: string;
  readonly timeMs: number;
}

/** Advice against a version; it stops nothing. */
export interface Deprecation {
  readonly reason: string;
  readonly timeMs: number;
}

/** As errors say it. */
export function describeDeletion({ version, actor, reason, timeMs }: Deletion): string {
  const who = actor.name === '' ? '' : ` by ${actor.name}`;
  return `version ${version} was deleted at ${new Date(timeMs).toISOString()}${who}${reason === '' ? '' : `: ${reason}`}`;
}
