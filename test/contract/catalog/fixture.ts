import type { ModelName } from '../../../proto/wire/names.ts';
import type { Version } from '../../../registry/model/version.ts';
import type { Catalog, RequestIdentity } from '../../../registry/release/catalog.ts';

export interface CatalogFixture {
  readonly catalog: Catalog;
  /** Another instance on the same store, as another process would have it. */
  openAnother(): Promise<Catalog>;
  close(): Promise<void>;
}

export interface Addition {
  readonly request?: RequestIdentity;
  readonly labels?: Record<string, string>;
}

/** What the parts of the contract work on: the catalog of the test that runs, and versions for it. */
export interface CatalogBench {
  readonly catalog: () => Catalog;
  readonly openAnother: CatalogFixture['openAnother'];
  /** Stages and adds a version whose content is `seed`. */
  readonly add: (model: ModelName, seed: string, change?: Addition) => ReturnType<Catalog['addVersion']>;
  readonly added: (model: ModelName, seed: string, labels?: Record<string, string>) => Promise<Version>;
  /** Of the version added last. */
  readonly stagingId: () => string;
}
