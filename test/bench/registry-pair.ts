import type { Registry } from '../../registry/release/registry.ts';
import { never, promotion, publish } from '../support/registry/publish.ts';
import { smallVersion } from '../support/registry/sample-version.ts';

export const CALLS = ['promote', 'resolve', 'list'] as const;
export const WAYS = ['bare', 'in this process', 'through gRPC'] as const;

export type CallName = (typeof CALLS)[number];
export type Calls = Readonly<Record<CallName, () => Promise<unknown>>>;

/** A registry on one pair of adapters, with the bare library on a store of the same content beside it. */
export interface RegistryPair extends AsyncDisposable {
  readonly name: string;
  readonly bareName: string;
  readonly calls: Readonly<Record<(typeof WAYS)[number], Calls>>;
}

export const MODELS = 20;
/** The one that is moved and resolved; in the middle of the list. */
export const MODEL = 'CLS_10';
export const ALIAS = 'production';
/** As many as one page of the use case reads at once. */
export const PAGE = 50;

/** Twenty models with an alias each; the one that is moved has two versions, and points at the first. */
export async function fill(registry: Registry): Promise<void> {
  for (let index = 0; index < MODELS; index += 1) {
    const name = `CLS_${String(index).padStart(2, '0')}`;
    await registry.createModel({ name, kind: 'classification', description: 'of a bench', labels: {}, requestId: '' }, never);
    await publish(registry, name, smallVersion(`${name} 1`));
    await registry.promoteVersion(promotion({ model: name, version: 1, reason: 'the first' }), never);
  }
  await publish(registry, MODEL, smallVersion(`${MODEL} 2`));
}

/** The calls on a registry. Whoever else moves the alias shares `next`, so that each promotion is a move. */
export function callsOf(registry: Registry, next: () => number): Calls {
  return {
    promote: () => registry.promoteVersion(promotion({ model: MODEL, version: next(), reason: 'to and fro' }), never),
    resolve: () => registry.resolveVersion({ model: MODEL, ref: { kind: 'alias', alias: ALIAS } }, never),
    list: () => registry.listModels({ pageSize: PAGE - 1, pageToken: '', labels: {} }, never),
  };
}

/** 2, 1, 2, ...: where the alias goes next. */
export function toAndFro(): () => number {
  let at = 1;
  return () => {
    at = 3 - at;
    return at;
  };
}
