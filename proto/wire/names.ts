import { type FieldViolation, invalid } from './errors.ts';

declare const nameBrand: unique symbol;

export type ModelName = string & { readonly [nameBrand]: 'model' };
export type AliasName = string & { readonly [nameBrand]: 'alias' };

/** The alias a bare model name means. */
export const DEFAULT_ALIAS = 'production' as AliasName;

const MODEL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const ALIAS = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const RESERVED_ALIAS = /^(latest|v\d+)$/;
export const MAX_VERSION = 0xffff_ffff;

export function asModelName(text: string): ModelName | undefined {
  return MODEL.test(text) ? (text as ModelName) : undefined;
}

/** An alias that can be set or read; `latest` and `v<number>` are not among them. */
export function asAliasName(text: string): AliasName | undefined {
  return ALIAS.test(text) && !isReservedAlias(text) ? (text as AliasName) : undefined;
}

/** `latest` and `v<number>` in any case: names that would look like a version. */
export function isReservedAlias(text: string): boolean {
  return RESERVED_ALIAS.test(text.toLowerCase());
}

/** @throws ServiceError invalid-argument INVALID_REQUEST naming `field`. */
export function parseModelName(text: string, field: string): ModelName {
  const name = asModelName(text);
  if (name === undefined) {
    throw invalid([modelNameViolation(text, field)]);
  }
  return name;
}

export function modelNameViolation(text: string, field: string): FieldViolation {
  return { field, description: `expected a model name ([A-Za-z0-9][A-Za-z0-9._-]{0,127}), found "${text.slice(0, 140)}"` };
}

export type VersionSelector =
  | { readonly kind: 'alias'; readonly alias: AliasName }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'latest' };

/** `NAME`, `NAME@alias` or `NAME:version`. */
export interface ModelReference {
  readonly model: ModelName;
  readonly selector: VersionSelector;
}

/** The reference in `text`, or what is wrong with it. */
export function readModelReference(text: string, field: string): ModelReference | FieldViolation {
  const match = /^([^@:]*)(?:([@:])(.*))?$/s.exec(text);
  const [, name = '', mark, rest = ''] = match ?? [];
  const model = asModelName(name);
  if (match === null || model === undefined) {
    return modelNameViolation(match === null ? text : name, field);
  }
  if (mark === undefined) {
    return { model, selector: { kind: 'alias', alias: DEFAULT_ALIAS } };
  }
  if (mark === ':') {
    const version = Number(rest);
    return /^[1-9]\d{0,9}$/.test(rest) && version <= MAX_VERSION
      ? { model, selector: { kind: 'version', version } }
      : { field, description: `expected a version number after ":", found "${rest.slice(0, 80)}"` };
  }
  if (rest === 'latest') {
    return { model, selector: { kind: 'latest' } };
  }
  const alias = asAliasName(rest);
  return alias === undefined
    ? { field, description: `expected an alias ([a-z0-9][a-z0-9._-]{0,63}) after "@", found "${rest.slice(0, 80)}"` }
    : { model, selector: { kind: 'alias', alias } };
}

/** @throws ServiceError invalid-argument INVALID_REQUEST naming `field`. */
export function parseModelReference(text: string, field: string): ModelReference {
  const reference = readModelReference(text, field);
  if ('description' in reference) {
    throw invalid([reference]);
  }
  return reference;
}

export function formatReference({ model, selector }: ModelReference): string {
  switch (selector.kind) {
    case 'alias':
      return `${model}@${selector.alias}`;
    case 'version':
      return `${model}:${selector.version}`;
    case 'latest':
      return `${model}@latest`;
  }
}
