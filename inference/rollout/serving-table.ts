import type { AliasName, ModelName, ModelReference } from '../../proto/wire/names.ts';
import { AliasTable, aliasKey } from './alias-table.ts';
import { type LastKnown, toLastKnown } from './last-known.ts';
import type { DesiredAlias, SourceEvent } from './model-source.ts';
import type { ServableId, VersionKey } from './servable.ts';
import type { VersionBook } from './version-book.ts';

/** By alias key. */
export type Serving = ReadonlyMap<string, ServableId>;

/** Whether this server keeps an alias. */
type IsServed = (model: ModelName, alias: AliasName) => boolean;

/** What each alias that this server keeps is to serve, what it serves, and what it served in the last run. */
export class ServingTable {
  readonly #isServed: IsServed;
  readonly #book: VersionBook;
  #aliases = new AliasTable([]);
  /** Something is known about what is wanted: from the registry, or from the last run. */
  #isInformed = false;
  #serving: Serving = new Map();
  /** What the aliases served in the last run, or until it was unloaded: served again until the registry's word can be. */
  #remembered: ReadonlyMap<string, VersionKey> = new Map();

  /** Versions that an alias may serve are noted in `book`. */
  constructor(isServed: IsServed, book: VersionBook) {
    this.#isServed = isServed;
    this.#book = book;
  }

  /** Begins with what was served last. */
  restore(lastKnown: LastKnown | undefined): void {
    this.#aliases = new AliasTable(lastKnown?.aliases ?? []);
    this.#remembered = new Map(this.#kept().map((alias) => [aliasKey(alias.model, alias.alias), alias]));
    this.#isInformed = this.#remembered.size > 0;
  }

  apply(event: SourceEvent): void {
    this.#aliases.apply(event);
    this.#isInformed ||= event.kind === 'snapshot';
  }

  /** Requests that come from now on get these. */
  point(serving: Serving): void {
    this.#serving = serving;
  }

  get serving(): Serving {
    return this.#serving;
  }

  /** All that the registry tells of, kept or not. */
  get aliases(): AliasTable {
    return this.#aliases;
  }

  status(): { readonly desired: DesiredAlias; readonly serving: VersionKey | undefined }[] {
    return this.#kept().map((desired) => {
      const id = this.#serving.get(aliasKey(desired.model, desired.alias));
      return { desired, serving: id && this.#book.get(id)?.key };
    });
  }

  desired(): Map<string, ServableId> {
    return new Map(this.#kept().map((alias) => [aliasKey(alias.model, alias.alias), this.#book.want(alias)]));
  }

  /** Of the kept aliases that serve nothing yet. */
  remembered(): Map<string, ServableId> {
    const found = this.#kept().flatMap(({ model, alias }) => {
      const key = aliasKey(model, alias);
      const id = this.#rememberedId(key);
      return id === undefined ? [] : [[key, id] as const];
    });
    return new Map(found);
  }

  /** What to write down before `serving` is pointed at; what leaves with it is remembered here too. */
  toRemember(serving: Serving): LastKnown {
    this.#keepUnloaded(serving);
    const servingOf = (key: string): VersionKey | undefined => {
      const id = serving.get(key);
      return id === undefined ? this.#remembered.get(key) : this.#book.get(id)?.key;
    };
    return toLastKnown(this.#kept(), servingOf);
  }

  /** What the alias that a request names serves, now and while it is waited for; undefined where no such alias is kept. */
  follow({ model, selector }: ModelReference): (() => ServableId | undefined) | undefined {
    if (
      selector.kind !== 'alias' ||
      !this.#isServed(model, selector.alias) ||
      this.#aliases.get(model, selector.alias) === undefined
    ) {
      return undefined;
    }
    const key = aliasKey(model, selector.alias);
    return () => this.#serving.get(key) ?? this.#comingId(key);
  }

  /** What serves and does not leave for its successor: that is the same, or not here yet. */
  staying(isHere: (id: ServableId) => boolean): ServableId[] {
    const desired = this.desired();
    return [...this.#serving].flatMap(([key, id]) => {
      const next = desired.get(key);
      return next === undefined || next === id || !isHere(next) ? [id] : [];
    });
  }

  /** An alias that is to serve this version serves nothing now, but did: what it served left first. */
  hasMadeRoomFor(id: ServableId): boolean {
    return this.#kept().some((alias) => {
      const key = aliasKey(alias.model, alias.alias);
      return !this.#serving.has(key) && this.#remembered.has(key) && this.#book.want(alias) === id;
    });
  }

  /** Every alias that is wanted now serves, or failed to. */
  isSettled(): boolean {
    return this.#isInformed && this.#kept().every((alias) => this.#isAliasSettled(alias));
  }

  #kept(): DesiredAlias[] {
    return this.#aliases.all().filter(({ model, alias }) => this.#isServed(model, alias));
  }

  /** What leaves before its successor is loaded comes back should that fail. */
  #keepUnloaded(serving: Serving): void {
    const remembered = new Map(this.#remembered);
    for (const { model, alias } of this.#kept()) {
      const key = aliasKey(model, alias);
      const id = serving.has(key) ? undefined : this.#serving.get(key);
      const left = id && this.#book.get(id)?.key;
      if (left !== undefined) {
        remembered.set(key, left);
      }
    }
    this.#remembered = remembered;
  }

  /** What an alias that serves nothing yet will serve: what is desired or, if that failed, what was remembered. */
  #comingId(key: string): ServableId | undefined {
    const desired = this.#kept().find(({ model, alias }) => aliasKey(model, alias) === key);
    const coming = desired && [this.#book.want(desired), this.#rememberedId(key)];
    return coming?.find((id) => id !== undefined && !this.#hasFailed(id)) ?? coming?.[0];
  }

  #rememberedId(key: string): ServableId | undefined {
    const remembered = this.#serving.has(key) ? undefined : this.#remembered.get(key);
    return remembered && this.#book.want(remembered);
  }

  #hasFailed(id: ServableId): boolean {
    return this.#book.get(id)?.state === 'failed';
  }

  #isAliasSettled(alias: DesiredAlias): boolean {
    const key = aliasKey(alias.model, alias.alias);
    const desired = this.#book.want(alias);
    const serving = this.#serving.get(key);
    const coming = this.#comingId(key);
    return (
      serving === desired ||
      (this.#hasFailed(desired) && (serving !== undefined || coming === undefined || this.#hasFailed(coming)))
    );
  }
}
