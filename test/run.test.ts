import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { processEnvironment } from '../infra/process/env.ts';
import { repositoryRoot } from './support/reference-data.ts';

/** What a test file does, and the last line and exit status that the runner must make of it. */
interface Case {
  readonly file: string;
  readonly total: string;
  readonly status: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Must occur in the output. */
  readonly says?: string;
}

const HEAD = `import { before, describe, it, test } from 'node:test';\n`;
const CASES: Readonly<Record<string, Case>> = {
  'tests in suites and subtests count once': {
    file: `describe('s', () => { it('a', () => {}); describe('t', () => { it('b', () => {}); }); });
      test('parent', async (t) => { await t.test('x', () => {}); await t.test('y', () => {}); });`,
    total: '4 passed, 0 failed',
    status: 0,
  },
  'a failure shows its cause and where it is': {
    file: `describe('suite', () => { it('good', () => {}); it('bad', () => { throw new Error('the cause'); }); });`,
    total: '1 passed, 1 failed',
    status: 1,
    says: 'suite > bad\n    Error: the cause',
  },
  'a failed subtest counts once, and a parent that fails by itself counts': {
    file: `test('a', async (t) => { await t.test('x', () => { throw new Error('x'); }); });
      test('b', async (t) => { await t.test('y', () => {}); throw new Error('own'); });`,
    total: '1 passed, 2 failed',
    status: 1,
  },
  'a failed hook is a failure': {
    file: `describe('s', () => { before(() => { throw new Error('hook'); }); it('a', () => {}); });`,
    total: '0 passed, 2 failed',
    status: 1,
  },
  'a skip is shown': {
    file: `test('a', () => {}); test('b', { skip: 'the reason' }, () => {});`,
    total: '1 passed, 0 failed, 1 skipped',
    status: 0,
    says: 'the reason',
  },
  'NO_SKIP=1 makes a skip a failure': {
    file: `test('a', () => {}); test('b', { skip: 'the reason' }, () => {});`,
    total: '1 passed, 1 failed',
    status: 1,
    env: { NO_SKIP: '1' },
  },
  'a file that cannot be imported is a failure': {
    file: `import './absent.js';`,
    total: '0 passed, 1 failed',
    status: 1,
    says: 'ERR_MODULE_NOT_FOUND',
  },
  'a file that ends its process is a failure': {
    file: `test('a', () => process.exit(0));`,
    total: '0 passed, 1 failed',
    status: 1,
  },
  'a file without a test is a failure': { file: '', total: '0 passed, 1 failed', status: 1 },
  'an error after the last test is a failure': {
    file: `test('a', () => { setTimeout(() => { throw new Error('late'); }, 1); });`,
    total: '1 passed, 1 failed',
    status: 1,
    says: 'late',
  },
  'what a file leaves running ends with it': {
    file: `import { spawn } from 'node:child_process'; test('a', () => { spawn('sleep', ['600'], { stdio: 'inherit' }).unref(); });`,
    total: '1 passed, 0 failed',
    status: 0,
  },
};

const HANGING: Case = {
  file: `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); test('hangs', () => new Promise(() => {}));`,
  total: '0 passed, 1 failed',
  status: 1,
};

describe('test runner', () => {
  for (const [name, each] of Object.entries(CASES)) {
    it(name, () => {
      const stdout = outputOf(each);
      assert.equal(stdout.includes(each.says ?? ''), true, stdout);
    });
  }

  it('a file that hangs is ended, even when it ignores signals, and the test that hangs is named', () => {
    // Ended it is whatever the limit. To be named the test must have begun, for which a busy machine may need a longer one.
    let stdout = '';
    for (let limitMs = 2000; !stdout.includes('not finished: hangs'); limitMs *= 2) {
      stdout = outputOf({ ...HANGING, env: { TEST_LIMIT_MS: String(limitMs) } });
      assert.ok(stdout.includes(`still running after ${limitMs} ms`) && limitMs < 100_000, stdout);
    }
  });

  it('runs the suite and the files that it was asked for', () => {
    const folder = mkdtempSync(join(tmpdir(), 'runner-'));
    try {
      const one = `${HEAD}test('a', () => {});`;
      const files = { 'registry/a.test.ts': one, 'clients/b.test.ts': one, 'integration/c.test.ts': one };
      assert.equal(runSuite(folder, files, []).stdout.trimEnd().split('\n').at(-1), '2 passed, 0 failed');
      assert.equal(runSuite(folder, files, ['unit', 'registry/']).stdout.trimEnd().split('\n').at(-1), '1 passed, 0 failed');
      assert.equal(runSuite(folder, files, ['integration']).stdout.includes('integration/c.test.ts'), true);
      const soak = { 'soak/d.test.ts': `${one} console.log('what it did');` };
      assert.equal(runSuite(folder, soak, ['soak']).stdout.includes('what it did'), true);
      assert.equal(runSuite(folder, files, ['unit', 'nothing-like-it']).status, 2);
      assert.equal(runSuite(folder, files, ['other']).status, 2);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** What the runner prints about the file, once its total and its status are right. */
function outputOf({ file, total, status, env }: Case): string {
  const folder = mkdtempSync(join(tmpdir(), 'runner-'));
  try {
    const run = runSuite(folder, { 'some.test.ts': HEAD + file }, ['unit'], env);
    assert.equal(run.stdout.trimEnd().split('\n').at(-1), total, run.stdout);
    assert.equal(run.status, status);
    return run.stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runSuite(
  folder: string,
  files: Readonly<Record<string, string>>,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { stdout: string; status: number | null } {
  for (const [path, text] of Object.entries({
    'package.json': '{"type":"module"}',
    ...prefixed('test', files),
    ...compiled(files),
  })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  for (const program of ['run.mjs', 'reporter.mjs']) {
    copyFileSync(join(repositoryRoot, 'test', program), join(folder, 'test', program));
  }
  const { NO_SKIP: _, ...inherited } = processEnvironment();
  return spawnSync(process.execPath, [join(folder, 'test', 'run.mjs'), ...args], {
    encoding: 'utf8',
    env: { ...inherited, ...env },
  });
}

function prefixed(folder: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, text]) => [`${folder}/${path}`, text]));
}

function compiled(files: Readonly<Record<string, string>>): Record<string, string> {
  return prefixed(
    'dist/test',
    Object.fromEntries(Object.entries(files).map(([path, text]) => [path.replace(/\.ts$/, '.js'), text])),
  );
}
