import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Environment } from '../process/env.ts';

/** A real program that the integration tests run and that npm does not bring. */
export interface Tool {
  readonly name: string;
  /** Pinned: what `install` brings. */
  readonly version: string;
  /** Where it is, or undefined when it has to be installed. */
  find(place: ToolPlace): string | undefined;
  /** Installs it under `place.folder`. @throws ToolMissingError saying what is needed. */
  install(place: ToolPlace): string;
}

export interface ToolPlace {
  /** Git-ignored; everything installed lies under it. */
  readonly folder: string;
  readonly env: Environment;
}

/** The tool is not here and cannot be brought; the message says what would help. */
export class ToolMissingError extends Error {
  override readonly name = 'ToolMissingError';
}

const GRPCURL_VERSION = 'v1.9.3';

const grpcurl: Tool = {
  name: 'grpcurl',
  version: GRPCURL_VERSION,
  find: ({ folder, env }) => executable(join(folder, binFolder(GRPCURL_VERSION), 'grpcurl')) ?? onPath('grpcurl', env),
  install: ({ folder, env }) => {
    const go = onPath('go', env);
    if (go === undefined) {
      throw new ToolMissingError(
        `grpcurl is not on PATH, and without Go it cannot be installed: install grpcurl ${GRPCURL_VERSION} or Go`,
      );
    }
    const bin = join(folder, binFolder(GRPCURL_VERSION));
    mkdirSync(bin, { recursive: true });
    execFileSync(go, ['install', `github.com/fullstorydev/grpcurl/cmd/grpcurl@${GRPCURL_VERSION}`], {
      env: { ...env, GOBIN: bin },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return join(bin, 'grpcurl');
  },
};

export const TOOLS: readonly Tool[] = [grpcurl];

/** The first file of that name on PATH that may be executed. */
export function onPath(name: string, env: Environment): string | undefined {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => executable(join(folder, name))).find((path) => path !== undefined);
}

/** One folder a version, so that a new pin is never satisfied by what an old one installed. */
function binFolder(version: string): string {
  return `bin-${version}`;
}

function executable(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}
