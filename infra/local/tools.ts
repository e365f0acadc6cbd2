import { execFileSync, spawnSync, type StdioOptions } from 'node:child_process';
import { accessSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Environment } from '../process/env.ts';

/** A real program that the integration tests run and that npm does not bring. */
export interface Tool {
  readonly name: string;
  /** Pinned: what `install` brings. */
  readonly version: string;
  /** What whoever installs it agrees to, where it is not free software. */
  readonly licence?: string;
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
  // AWS's own server for tests, which behaves as DynamoDB does. It needs a Java runtime.
  javaTool({
    name: 'dynamodb-local',
    version: '2.6.1',
    licence: 'the DynamoDB Local License Agreement (LICENSE.txt in its jar), which asks for an AWS account in good standing',
    artifact: 'com.amazonaws:DynamoDBLocal',
    mainClass: 'com.amazonaws.services.dynamodbv2.local.main.ServerRunner',
    minJava: 17,
  }),
];

/** A program that `go install` builds. */
function goTool({ name, version, module }: { readonly name: string; readonly version: string; readonly module: string }): Tool {
  return {
    name,
    version,
    find: ({ folder, env }) => executable(join(folder, binFolder(version), name)) ?? onPath(name, env),
    install: ({ folder, env }) => {
      const go = onPath('go', env);
      if (go === undefined) {
        throw new ToolMissingError(
          `${name} is not on PATH, and without Go it cannot be installed: install ${name} ${version} or Go`,
        );
      }
      const bin = join(folder, binFolder(version));
      mkdirSync(bin, { recursive: true });
      execFileSync(go, ['install', `${module}@${version}`], { env: { ...env, GOBIN: bin }, stdio: QUIET });
      return join(bin, name);
    },
  };
}

interface JavaToolOptions extends Required<Pick<Tool, 'name' | 'version' | 'licence'>> {
  /** The Maven coordinates without the version. */
  readonly artifact: string;
  readonly mainClass: string;
  readonly minJava: number;
}

/** A program of what Maven brings: a script that runs its main class, the rest in a folder beside it. */
function javaTool({ name, version, licence, artifact, mainClass, minJava }: JavaToolOptions): Tool {
  return {
    name,
    version,
    licence,
    find: ({ folder, env }) => {
      const own = onPath('java', env) === undefined ? undefined : executable(join(folder, binFolder(version), name));
      return own ?? onPath(name, env);
    },
    install: ({ folder, env }) => {
      const [java, maven] = [onPath('java', env), onPath('mvn', env)];
      const found = java === undefined ? 0 : javaVersion(java, env);
      if (found < minJava || maven === undefined) {
        const lacking = [
          ...(found < minJava ? [`Java ${minJava} or newer (${found === 0 ? 'none' : found} is on PATH)`] : []),
          ...(maven === undefined ? ['Maven (mvn is not on PATH)'] : []),
        ];
        throw new ToolMissingError(`${name} is not here, and installing it needs ${lacking.join(' and ')}`);
      }
      const bin = join(folder, binFolder(version));
      const lib = join(bin, `${name}-lib`);
      // What a broken installation left.
      rmSync(lib, { recursive: true, force: true });
      mkdirSync(lib, { recursive: true });
      const pom = join(lib, 'pom.xml');
      writeFileSync(pom, pomOf(artifact, version));
      const goal = [COPY_DEPENDENCIES, `-DoutputDirectory=${lib}`, '-DincludeScope=runtime'];
      execFileSync(maven, ['--batch-mode', '--quiet', '--strict-checksums', '--file', pom, ...goal], { env, stdio: TO_STDERR });
      // Last: only a whole installation is found.
      writeFileSync(join(bin, name), startScript(`${name}-lib`, mainClass), { mode: 0o755 });
      return join(bin, name);
    },
  };
}

const QUIET: StdioOptions = ['ignore', 'ignore', 'inherit'];
/** Maven says on standard output what is wrong. */
const TO_STDERR: StdioOptions = ['ignore', process.stderr, 'inherit'];
const COPY_DEPENDENCIES = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

/** 8, 17, ...; 0 where the program does not say. */
function javaVersion(java: string, env: Environment): number {
  const { stderr } = spawnSync(java, ['-XshowSettings:properties', '-version'], { env, encoding: 'utf8' });
  return Number(/java\.specification\.version = (?:1\.)?(\d+)/.exec(stderr)?.[1] ?? 0);
}

function pomOf(artifact: string, version: string): string {
  const [group, id] = artifact.split(':');
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>tool</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>${group}</groupId>
      <artifactId>${id}</artifactId>
      <version>${version}</version>
    </dependency>
  </dependencies>
</project>
`;
}

/** For a process of minutes the first compiler and the plain collector are the cheapest. */
function startScript(lib: string, mainClass: string): string {
  return `#!/bin/sh
lib="$(dirname "$0")/${lib}"
exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "-Dsqlite4java.library.path=$lib" -cp "$lib/*" ${mainClass} "$@"
`;
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
