import { execFileSync, type StdioOptions } from 'node:child_process';
import { accessSync, constants, copyFileSync, mkdirSync, rmSync } from 'node:fs';
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

export const TOOLS: readonly Tool[] = [
  goTool({ name: 'grpcurl', version: 'v1.9.3', module: 'github.com/fullstorydev/grpcurl/cmd/grpcurl' }),
  // An S3-compatible server on a folder: multipart checksums, conditional writes, versioning.
  goTool({ name: 'versitygw', version: 'v1.8.0', module: 'github.com/versity/versitygw/cmd/versitygw' }),
  // A DynamoDB-compatible server on SQLite, checked by its authors against DynamoDB itself: transactions, conditions, capacity units.
  cargoTool({ name: 'dynoxide', version: '3.2.0', crate: 'dynoxide-rs', features: 'native-sqlite,http-server,cli' }),
];

/** A program that `go install` builds. */
function goTool({ name, version, module }: { readonly name: string; readonly version: string; readonly module: string }): Tool {
  return builtTool({ name, version, compiler: 'go', language: 'Go' }, (go, bin, env) =>
    execFileSync(go, ['install', `${module}@${version}`], { env: { ...env, GOBIN: bin }, stdio: QUIET }),
  );
}

/** A program that `cargo install` builds, from the crate's own lock file. */
function cargoTool(tool: Readonly<Record<'name' | 'version' | 'crate' | 'features', string>>): Tool {
  const { name, version, crate, features } = tool;
  return builtTool({ name, version, compiler: 'cargo', language: 'Rust' }, (cargo, bin, env) => {
    // It installs into a folder "bin" of its own under the root.
    const root = join(bin, '..', `cargo-${name}-${version}`);
    const choice = ['--version', version, '--locked', '--no-default-features', '--features', features, '--quiet'];
    execFileSync(cargo, ['install', crate, ...choice, '--root', root], { env, stdio: QUIET });
    copyFileSync(join(root, 'bin', name), join(bin, name));
    rmSync(root, { recursive: true, force: true });
  });
}

const QUIET: StdioOptions = ['ignore', 'ignore', 'inherit'];

function builtTool(
  tool: Readonly<Record<'name' | 'version' | 'compiler' | 'language', string>>,
  build: (compiler: string, bin: string, env: Environment) => void,
): Tool {
  const { name, version, language } = tool;
  return {
    name,
    version,
    find: ({ folder, env }) => executable(join(folder, binFolder(version), name)) ?? onPath(name, env),
    install: ({ folder, env }) => {
      const compiler = onPath(tool.compiler, env);
      if (compiler === undefined) {
        throw new ToolMissingError(
          `${name} is not on PATH, and without ${language} it cannot be installed: install ${name} ${version} or ${language}`,
        );
      }
      const bin = join(folder, binFolder(version));
      mkdirSync(bin, { recursive: true });
      build(compiler, bin, env);
      return join(bin, name);
    },
  };
}

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
