import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { onPath, type Tool, ToolMissingError, TOOLS } from '../../../infra/local/tools.ts';

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

function tool(name: string): Tool {
  const found = TOOLS.find((candidate) => candidate.name === name);
  assert.ok(found !== undefined);
  return found;
}

function program(folder: string, name: string): string {
  const path = join(folder, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, '#!/bin/sh\n', { mode: 0o755 });
  return path;
}
