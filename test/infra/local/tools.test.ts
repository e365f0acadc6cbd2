import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { onPath, TOOLS, type Tool, ToolMissingError } from '../../../infra/local/tools.ts';

describe('tools', () => {
  it('finds grpcurl on PATH, and first of all the pinned one', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'tools-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const grpcurl = tool('grpcurl');
    const env = { PATH: `:/nowhere:${join(folder, 'path')}` };
    assert.equal(grpcurl.find({ folder, env }), undefined);
    const other = program(join(folder, 'path'), 'grpcurl');
    assert.equal(grpcurl.find({ folder, env }), other);
    const pinned = program(join(folder, `bin-${grpcurl.version}`), 'grpcurl');
    assert.equal(grpcurl.find({ folder, env }), pinned);
  });

  it('a file that may not be executed is not a program', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'tools-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    chmodSync(program(folder, 'go'), 0o644);
    assert.equal(onPath('go', { PATH: folder }), undefined);
    assert.equal(onPath('go', {}), undefined);
  });

  it('says what is needed where grpcurl cannot be installed', () => {
    assert.throws(
      () => tool('grpcurl').install({ folder: tmpdir(), env: { PATH: '' } }),
      (error) =>
        error instanceof ToolMissingError && error.message.includes('Go') && error.message.includes(tool('grpcurl').version),
    );
  });
});

describe('DynamoDB Local', () => {
  const dynamo = tool('dynamodb-local');
  const java = (version: string): string => `echo "    java.specification.version = ${version}" >&2; echo "$@"`;
  const maven = 'for word in "$@"; do case $word in -DoutputDirectory=*) touch "${word#*=}/server.jar" ;; esac; done';
  const isMissing = (pattern: RegExp) => (error: unknown) =>
    error instanceof ToolMissingError && pattern.test(error.message) && error.message.includes('dynamodb-local');

  it('is brought by Maven, with a program that starts it', (t) => {
    const { folder, path, env } = newPlace(t);
    program(path, 'java', java('17'));
    program(path, 'mvn', maven);
    assert.equal(dynamo.find({ folder, env }), undefined);
    const installed = dynamo.install({ folder, env });
    assert.equal(dynamo.find({ folder, env }), installed);
    assert.ok(existsSync(join(`${installed}-lib`, 'server.jar')));
    const pom = readFileSync(join(`${installed}-lib`, 'pom.xml'), 'utf8');
    assert.match(pom, /<groupId>com.amazonaws<\/groupId>\s+<artifactId>DynamoDBLocal<\/artifactId>/);
    assert.ok(pom.includes(`<version>${dynamo.version}</version>`));
    const said = execFileSync(installed, ['-port', '1 2'], { env, encoding: 'utf8', stdio: 'pipe' });
    assert.ok(said.includes(`-cp ${installed}-lib/* com.amazonaws.`) && said.endsWith('ServerRunner -port 1 2\n'), said);
  });

  it('is not here when Maven failed half-way, and comes whole the next time', (t) => {
    const { folder, path, env } = newPlace(t);
    program(path, 'java', java('21'));
    program(path, 'mvn', `${maven}; exit 1`);
    assert.throws(() => dynamo.install({ folder, env }), /Command failed/);
    assert.equal(dynamo.find({ folder, env }), undefined);
    program(path, 'mvn', maven);
    assert.equal(dynamo.find({ folder, env: { ...env, PATH: '' } }), undefined);
    assert.equal(dynamo.install({ folder, env }), dynamo.find({ folder, env }));
  });

  it('says what is needed where it cannot be installed', (t) => {
    const { folder, path, env } = newPlace(t);
    const install = (): unknown => dynamo.install({ folder, env: { PATH: path } });
    mkdirSync(path);
    assert.throws(install, isMissing(/Java 17 or newer \(none is on PATH\) and Maven/));
    program(path, 'mvn', maven);
    assert.throws(() => dynamo.install({ folder, env: { PATH: path } }), isMissing(/Java 17 or newer \(none is on PATH\)$/));
    for (const old of ['1.8', '11']) {
      program(path, 'java', java(old));
      assert.throws(
        () => dynamo.install({ folder, env }),
        isMissing(new RegExp(`Java 17 or newer \\(${old.replace('1.', '')} is`)),
      );
    }
    program(path, 'java', 'exit 1');
    assert.throws(() => dynamo.install({ folder, env }), isMissing(/none is on PATH/));
  });

  it('is not here without the Java that runs it', (t) => {
    const { folder, path, env } = newPlace(t);
    program(join(folder, `bin-${dynamo.version}`), 'dynamodb-local');
    assert.equal(dynamo.find({ folder, env: { PATH: path } }), undefined);
    program(path, 'java', java('17'));
    assert.ok(dynamo.find({ folder, env }) !== undefined);
  });
});

/** A folder for tools, and one on PATH before the system's programs. */
function newPlace(t: TestContext): { folder: string; path: string; env: { PATH: string } } {
  const folder = mkdtempSync(join(tmpdir(), 'tools-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'path');
  return { folder, path, env: { PATH: `${path}:/usr/bin:/bin` } };
}

function tool(name: string): Tool {
  const found = TOOLS.find((candidate) => candidate.name === name);
  assert.ok(found !== undefined);
  return found;
}

function program(folder: string, name: string, script = ''): string {
  const path = join(folder, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}
