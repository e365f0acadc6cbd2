// Runs one suite of compiled tests: `node test/run.mjs unit|integration|soak [part of a path ...]`. Each file is a process
// of its own on Node's test runner, in a process group of its own, so that nothing it started outlives it.
// The last line is `N passed, N failed`, with `, N skipped` where something was skipped; NO_SKIP=1 counts a skip as a failure.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// A file that takes longer than this hangs, or left a server, a timer or a child process open: a unit file that takes twenty times as
// long as the longest on an idle machine, an integration file that takes ten times as long. What is slow and busy stays below it.
const LIMIT_MS = {
  unit: 600_000,
  integration: 1_200_000,
  soak: 3_600_000 * Math.max(Number(process.env['SOAK_SHARE'] ?? 1) || 1, 1 / 3),
};
// Integration tests start real servers and measure; they get the machine to themselves.
const AT_ONCE = { unit: availableParallelism(), integration: 1, soak: 1 };

const here = fileURLToPath(new URL('.', import.meta.url));
const reporter = new URL('reporter.mjs', import.meta.url).href;
const [suite = 'unit', ...parts] = process.argv.slice(2);
if (!Object.hasOwn(LIMIT_MS, suite)) {
  stop(`unknown suite "${suite}": ${Object.keys(LIMIT_MS).join(', ')}`);
}
const limitMs = Number(process.env['TEST_LIMIT_MS'] ?? LIMIT_MS[suite]);
const isSkipFailure = process.env['NO_SKIP'] === '1';

const sources = readdirSync(here, { recursive: true })
  .map((path) => String(path).replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.test.ts'))
  .filter((path) => (['integration', 'soak'].find((name) => path.startsWith(`${name}/`)) ?? 'unit') === suite)
  .filter((path) => parts.length === 0 || parts.some((part) => path.includes(part.replace(/^test\//, ''))))
  .sort();
const missing = sources.filter((path) => !existsSync(compiled(path)));
if (sources.length === 0) {
  stop(`no ${suite} test matches`);
}
if (missing.length > 0) {
  stop(`not compiled: ${missing.join(', ')}`);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const groups = new Set();
const folder = mkdtempSync(join(tmpdir(), 'test-events-'));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => process.exit(130));
}
process.on('exit', () => {
  for (const pid of groups) killGroup(pid);
  rmSync(folder, { recursive: true, force: true });
});

const waiting = sources.map((path, index) => ({ path, events: join(folder, `${index}.jsonl`) }));
await Promise.all(
  Array.from({ length: AT_ONCE[suite] }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      show(next, await execute(next));
    }
  }),
);
if (failures.length > 0) {
  console.log(`\nfailed:\n${failures.map((name) => `  ${name}`).join('\n')}`);
}
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
console.log(`${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''}`);

/** Runs one file to its end or its limit. */
function execute({ path, events }) {
  const started = performance.now();
  const reporting = ['--test-reporter', reporter, '--test-reporter-destination', events];
  const child = spawn(process.execPath, ['--enable-source-maps', ...reporting, compiled(path)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  groups.add(child.pid);
  const output = [];
  child.stdout.on('data', (bytes) => output.push(bytes));
  child.stderr.on('data', (bytes) => output.push(bytes));
  return new Promise((resolve) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      killGroup(child.pid);
    }, limitMs);
    // A grandchild that the test left running holds the output open: the group ends with the file.
    child.on('exit', () => killGroup(child.pid));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      groups.delete(child.pid);
      resolve({ code, signal, isLate, output: Buffer.concat(output).toString(), ms: performance.now() - started });
    });
  });
}

/** Counts and prints what one file did: one line when all is well, else every failure and what the file wrote. */
function show({ path, events }, { code, signal, isLate, output, ms }) {
  const lines = existsSync(events) ? readFileSync(events, 'utf8').split('\n').filter(Boolean) : [];
  const tests = lines.map((line) => JSON.parse(line));
  const failed = tests.filter(({ outcome }) => outcome === 'failed');
  const skipped = tests.filter(({ outcome }) => outcome === 'skipped');
  const endedIds = new Set(tests.filter(({ outcome }) => outcome !== 'started').map(({ id }) => id));
  const unfinished = tests.filter(({ outcome, id }) => outcome === 'started' && !endedIds.has(id)).map(({ name }) => name);
  const rest = unfinished.length > 0 ? `not finished: ${unfinished.join('; ')}` : 'no test was under way';
  if (isLate) {
    failed.push({ name: path, detail: `still running after ${limitMs} ms; ${rest}` });
  } else if (failed.length === 0 && (code !== 0 || unfinished.length > 0)) {
    const notes = tests.filter(({ outcome }) => outcome === 'note').map(({ detail }) => detail);
    failed.push({ name: path, detail: [`exited with ${code ?? signal}; ${rest}`, ...notes].join('\n') });
  } else if (endedIds.size === 0) {
    failed.push({ name: path, detail: 'there is no test in it' });
  }
  if (isSkipFailure) {
    failed.push(...skipped.map(({ name, detail }) => ({ name, detail: `skipped: ${detail}` })));
  } else {
    counts.skipped += skipped.length;
  }
  const passed = tests.filter(({ outcome }) => outcome === 'passed').length;
  counts.passed += passed;
  counts.failed += failed.length;
  console.log(`${failed.length > 0 ? 'FAILED' : 'ok'} ${path}: ${passed} passed, ${(ms / 1000).toFixed(1)} s`);
  for (const { name, detail } of skipped) console.log(`  skipped: ${name}${detail ? ` (${detail})` : ''}`);
  for (const { name, detail } of failed) {
    failures.push(`${path}: ${name}`);
    console.log(`  FAILED ${name}\n${detail.replaceAll(/^/gm, '    ')}`);
  }
  // A soak says what it did: how many kills, which inputs.
  if ((failed.length > 0 || suite === 'soak') && output.trim() !== '') {
    console.log(`  the file wrote:\n${output.trimEnd().replaceAll(/^/gm, '    ')}`);
  }
}

function compiled(path) {
  return join(here, '..', 'dist', 'test', path.replace(/\.ts$/, '.js'));
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function stop(problem) {
  console.error(problem);
  process.exit(2);
}
