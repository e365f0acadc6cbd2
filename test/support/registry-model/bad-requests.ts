import * as fc from 'fast-check';
import type { ErrorReason } from '../../../proto/wire/errors.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { bytesOf, collect, never, promotion } from '../registry/publish.ts';
import { reportOf } from '../registry/server-report.ts';
import { refuse } from './reference-records.ts';
import type { Verb } from './verb.ts';

const blob = { digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 10 };
const page = { pageSize: 1, pageToken: '' };
const move = { alias: 'production', expectedRevision: undefined, reason: '', actor: '', requestId: '' };
const first = async (events: AsyncIterable<unknown>) => {
  for await (const event of events) {
    return event;
  }
  return undefined;
};

/** One of every call that is wrong whatever there is, with the reason that it is refused for. */
const BAD: Readonly<Record<string, readonly [ErrorReason, (registry: Registry) => Promise<unknown>]>> = {
  createModel: [
    'INVALID_REQUEST',
    (registry) => registry.createModel({ name: '', kind: 'generic', description: '', labels: {}, requestId: '' }, never),
  ],
  getModel: ['INVALID_REQUEST', (registry) => registry.getModel('/', never)],
  listModels: ['INVALID_PAGE_TOKEN', (registry) => registry.listModels({ ...page, labels: {}, pageToken: 'no' }, never)],
  getVersion: ['INVALID_REQUEST', (registry) => registry.getVersion({ model: 'm', version: 0 }, never)],
  listVersions: [
    'INVALID_REQUEST',
    (registry) => registry.listVersions({ ...page, pageSize: 1001, model: 'm', labels: {} }, never),
  ],
  stageVersion: [
    'INVALID_REQUEST',
    (registry) => registry.stageVersion({ model: 'm', manifestJson: Buffer.from('{}'), labels: { A: '' }, requestId: '' }, never),
  ],
  uploadBlob: [
    'INVALID_REQUEST',
    (registry) => registry.uploadBlob({ stagingId: '', blob: undefined, firstChunk: 0, data: bytesOf(Buffer.alloc(1)) }, never),
  ],
  finalizeVersion: [
    'INVALID_REQUEST',
    (registry) => registry.finalizeVersion({ stagingId: '', requestId: 'r'.repeat(129) }, never),
  ],
  resolveVersion: ['INVALID_REQUEST', (registry) => registry.resolveVersion({ model: 'm', ref: undefined }, never)],
  readBlob: ['INVALID_REQUEST', (registry) => collect(registry.readBlob({ blob, offsetBytes: 11, lengthBytes: 0 }, never))],
  promoteVersion: ['RESERVED_ALIAS', (registry) => registry.promoteVersion(promotion({ model: 'm', alias: 'latest' }), never)],
  rollbackAlias: ['INVALID_REQUEST', (registry) => registry.rollbackAlias({ ...move, model: 'm', alias: 'v1' }, never)],
  listAliasEvents: [
    'INVALID_REQUEST',
    (registry) => registry.listAliasEvents({ ...page, model: 'm', alias: '', atMs: 1 }, never),
  ],
  watchAliases: ['INVALID_CURSOR', (registry) => first(registry.watchAliases({ cursor: 'no', heartbeatSeconds: 1 }, never))],
  reportServables: ['INVALID_REQUEST', (registry) => registry.reportServables({ ...reportOf('1'), server: undefined }, never)],
  getRollout: ['INVALID_REQUEST', (registry) => registry.getRollout({ model: 'm', alias: '?' }, never)],
  watchRollout: [
    'INVALID_REQUEST',
    (registry) => first(registry.watchRollout({ model: 'm', alias: '', heartbeatSeconds: 3601 }, never)),
  ],
  prefetchVersion: [
    'INVALID_REQUEST',
    (registry) => registry.prefetchVersion({ model: 'm', version: 1, holdSeconds: 604_801 }, never),
  ],
  deprecateVersion: [
    'INVALID_REQUEST',
    (registry) => registry.deprecateVersion({ model: 'm', version: 1, reason: 'r'.repeat(1001) }, never),
  ],
  undeprecateVersion: ['INVALID_REQUEST', (registry) => registry.undeprecateVersion({ model: 'm', version: -1 }, never)],
  deleteVersion: [
    'INVALID_REQUEST',
    (registry) => registry.deleteVersion({ model: 'm', version: 1, reason: '', actor: 'a'.repeat(201), requestId: '' }, never),
  ],
  collectGarbage: ['INVALID_REQUEST', (registry) => registry.collectGarbage({ isDryRun: false, graceSeconds: -1 }, never)],
};

/** A request that is refused for what it says; and a manifest that says nothing. */
export const badRequest: Verb<{ readonly call: string }> = {
  name: 'bad request',
  steps: fc.record({ call: fc.constantFrom(...Object.keys(BAD)) }),
  perform: async (registry, { call }) => BAD[call]?.[1](registry),
  expect: (_reference, { call }) => refuse('invalid-argument', BAD[call]?.[0] ?? 'INTERNAL'),
};
