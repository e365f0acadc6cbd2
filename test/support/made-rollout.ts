import { type Rollout, ServableState } from '../../proto/gen/maskterial/registry/v1/rollout.ts';
import type { ServiceError } from '../../proto/wire/errors.ts';
import { toRpcStatus } from '../../proto/wire/status.ts';

const SINCE = new Date('2026-03-04T05:06:07.890Z');

/** One server of a made-up rollout of the model CLS. */
export interface MadeServer {
  readonly name: string;
  /** The version that its alias serves; 0 is none. */
  readonly serving: number;
  /** What it has of the version that the alias points at; undefined when it has not heard of it. */
  readonly coming?: ServableState;
  readonly error?: ServiceError;
}

/** `CLS@production` at a version and revision, with these servers. */
export function makeRollout(version: number, revision: number, servers: readonly MadeServer[]): Rollout {
  const manifest = { digest: digestOf(version), sizeBytes: 10n };
  const readies = servers.filter(({ serving }) => serving === version).length;
  return {
    aliases: [
      {
        alias: { model: 'CLS', alias: 'production', version, revision, manifest, updateTime: SINCE },
        requiredServers: servers.length,
        servingServers: readies,
        readyServers: readies,
        failedServers: servers.filter(({ error }) => error !== undefined).length,
      },
    ],
    versions: [],
    servers: servers.map(({ name, serving, coming, error }) => ({
      id: `id-${name}`,
      name,
      serverVersion: '0.1.0',
      reportTime: SINCE,
      aliases: [
        {
          model: 'CLS',
          alias: 'production',
          desiredVersion: version,
          desiredRevision: revision,
          servingVersion: serving,
          servingManifestDigest: serving === 0 ? '' : digestOf(serving),
        },
      ],
      servables: [
        ...(serving === 0 ? [] : [servable(serving, ServableState.SERVABLE_STATE_READY)]),
        ...(coming === undefined ? [] : [servable(version, coming, error)]),
      ],
    })),
  };
}

function servable(version: number, state: ServableState, error?: ServiceError): Rollout['servers'][number]['servables'][number] {
  const failure = error && toRpcStatus(error);
  return { model: 'CLS', version, manifestDigest: digestOf(version), state, error: failure, since: SINCE };
}

/** The manifest digest that versions of CLS have here. */
export function digestOf(version: number): string {
  return `sha256:${String(version).repeat(64)}`;
}
